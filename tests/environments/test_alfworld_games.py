"""Generated games: reproducible, disjoint, of the size asked for, and winnable."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from w2sg.contracts.errors import UserError
from w2sg.environments.alfworld.experts.demonstrations import expert_trajectory
from w2sg.environments.alfworld.experts.goals import parse_goal
from w2sg.environments.alfworld.shipped_experts import plan
from w2sg.environments.alfworld.tasks.floor_plans import ROOMS, floor_plan, numbers
from w2sg.environments.alfworld.tasks.games import TASK_TYPES, GameSettings, draw_game, generated_tasks
from w2sg.environments.alfworld.world.engine import Engine
from w2sg.environments.alfworld.world.environment import AlfworldEnvironment
from w2sg.environments.alfworld.world.translation import translate

from .alfworld_examples import SMALL, small_game

BATHROOM = GameSettings(task_types=("pick_and_place_simple",), rooms=("bathroom",), max_receptacles=4, distractors=0)


def test_the_same_arguments_give_the_same_game() -> None:
    assert draw_game(SMALL, split="train", index=3, seed=5) == draw_game(SMALL, split="train", index=3, seed=5)
    assert draw_game(SMALL, split="train", index=3, seed=5) != draw_game(SMALL, split="train", index=3, seed=6)


def test_no_game_is_in_two_splits() -> None:
    problems = {
        split: {draw_game(BATHROOM, split=split, index=n, seed=0)[0]["pddl_problem"] for n in range(150)}
        for split in ("train", "seen", "unseen")
    }
    assert not problems["train"] & problems["seen"]
    assert not problems["unseen"] & (problems["train"] | problems["seen"])


def test_unseen_games_lie_on_floor_plans_of_their_own() -> None:
    plans = {
        split: {draw_game(SMALL, split=split, index=n, seed=0)[1]["scene"]["scene_num"] for n in range(60)}
        for split in ("train", "seen", "unseen")
    }
    assert all(1 <= number % 100 <= 6 for number in plans["unseen"])
    assert all(7 <= number % 100 <= 30 for number in plans["train"] | plans["seen"])


@pytest.mark.parametrize("room", ROOMS)
def test_every_floor_plan_can_be_read_and_has_distinct_standpoints(room: str) -> None:
    every = numbers(room, unseen=False) + numbers(room, unseen=True)
    assert len(set(every)) == 30
    for number in every:
        plan_ = floor_plan(number)
        locations = [receptacle.location for receptacle in plan_.receptacles]
        assert len(set(locations)) == len(locations) >= 4 and plan_.objects


@pytest.mark.parametrize("index", range(12))
def test_rooms_are_cut_to_size_and_numbered_without_gaps(index: int) -> None:
    game, _ = draw_game(replace(SMALL, max_receptacles=5), split="train", index=index, seed=2)
    names = re.findall(r"\ba ([a-z]+) (\d+)", Engine(translate(game)).intro())
    assert 3 <= len(names) <= 5
    for kind in {kind for kind, _ in names}:
        numbers_ = sorted(int(n) for k, n in names if k == kind)
        assert numbers_ == list(range(1, len(numbers_) + 1))
    assert not any("basinbasin" in kind for kind, _ in names)


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_the_planner_wins_small_games(task_type: str) -> None:
    game = small_game(task_type)
    engine = Engine(game)
    commands = plan(game)
    assert commands and not engine.won()
    for command in commands:
        engine.act(command)
    assert engine.won()


def test_one_wording_or_all() -> None:
    def openings(settings: GameSettings) -> set[str]:
        games = (draw_game(settings, split="train", index=6 * n, seed=0) for n in range(30))
        return {" ".join(translate(*game).instruction.split()[:2]) for game in games}

    assert openings(SMALL) == {"put a"}
    assert openings(replace(SMALL, goal_texts="all")) == {"put a", "put some"}


def test_the_words_of_every_goal_are_understood() -> None:
    for index in range(60):
        game = translate(*draw_game(replace(SMALL, goal_texts="all"), split="train", index=index, seed=0))
        goal = parse_goal(game.instruction)
        assert goal is not None and goal.task_type == game.task_type
        assert goal.target == game.parameters["object_target"].lower()
        assert goal.place == (game.parameters["parent_target"] or game.parameters["toggle_target"]).lower()


def test_settings_without_a_game_are_refused() -> None:
    with pytest.raises(UserError, match=r"no game of type pick_heat.* with rooms \['bathroom'\]"):
        draw_game(replace(BATHROOM, task_types=("pick_heat_then_place_in_recep",)), split="train", index=0, seed=0)
    with pytest.raises(UserError, match="max_receptacles 1"):
        draw_game(replace(BATHROOM, max_receptacles=1), split="train", index=0, seed=0)


def test_tasks_are_written_and_can_be_won(tmp_path: Path) -> None:
    tasks = generated_tasks(SMALL, tmp_path, counts={"train": 6, "seen": 2, "unseen": 6}, max_steps=60, seed=0)
    assert [t.task_id for t in tasks[5:9]] == ["train-0005", "seen-0000", "seen-0001", "unseen-0000"]
    assert [t.task_type for t in tasks[:6]] == list(TASK_TYPES)
    assert len({t.task_id for t in tasks}) == len(list(tmp_path.glob("*-*.json.gz"))) - 1
    environment = AlfworldEnvironment(tmp_path)
    assert all(expert_trajectory(environment, task, np.random.default_rng(0)).success for task in tasks)
