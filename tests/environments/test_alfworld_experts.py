"""The searcher and the shipped experts."""

import random
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from w2sg.contracts.errors import UserError
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory
from w2sg.contracts.turns import parse_response
from w2sg.environments.alfworld.experts.demonstrations import expert_trajectory, searcher
from w2sg.environments.alfworld.experts.exploratory import play_trajectory
from w2sg.environments.alfworld.experts.goals import Goal, parse_goal
from w2sg.environments.alfworld.experts.searcher import Searcher
from w2sg.environments.alfworld.shipped_experts import as_move, as_put, play_handcoded
from w2sg.environments.alfworld.tasks.games import TASK_TYPES
from w2sg.environments.alfworld.world.engine import NOTHING_HAPPENS, Engine
from w2sg.environments.alfworld.world.environment import AlfworldEnvironment, make_task
from w2sg.environments.alfworld.world.translation import save, translate

from .alfworld_examples import older, small_files, small_game

RNG = np.random.default_rng(0)
PURPOSE = r"(second )?(to (clean|heat|cool) )?for \w+"
THOUGHT = re.compile(
    rf"\w+ not here {PURPOSE}|\w+ \d+ here {PURPOSE}|wrong \w+ \d+ need \w+ {PURPOSE}|\w+ \d+ held find \w+"
    r"|\w+ \d+ held (clean|heat|cool) for \w+|\w+ \d+ held for \w+ \d+"
)


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("games")
    for task_type in TASK_TYPES:
        for index in range(3):
            save(folder, f"{task_type}-{index}", small_game(task_type, index=index))
    return folder


def task(task_type: str, index: int = 0, *, max_steps: int = 60) -> Task:
    return make_task(f"{task_type}-{index}", small_game(task_type, index=index), split="train", max_steps=max_steps)


def demonstration(games: Path, task_type: str, index: int = 0) -> Trajectory:
    return expert_trajectory(AlfworldEnvironment(games), task(task_type, index), RNG)


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_demonstrations_win_without_a_wrong_move(games: Path, task_type: str, index: int) -> None:
    trajectory = demonstration(games, task_type, index)
    assert trajectory.success and trajectory.completed and trajectory.policy == "expert"
    assert all(step.next_observation != NOTHING_HAPPENS for step in trajectory.steps)


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_every_thought_has_the_fixed_form(games: Path, task_type: str) -> None:
    for step in demonstration(games, task_type).steps:
        assert THOUGHT.fullmatch(step.thought), step.thought
        assert len(step.thought.split()) <= 9
        assert parse_response(step.response) == (step.thought, step.action)


def test_each_observation_follows_from_the_last_step(games: Path) -> None:
    steps = demonstration(games, "pick_two_obj_and_place").steps
    assert all(a.next_observation == b.observation for a, b in pairwise(steps))


def test_the_same_task_gives_the_same_demonstration(games: Path) -> None:
    assert demonstration(games, "look_at_obj_in_light") == demonstration(games, "look_at_obj_in_light")


def test_plain_thoughts_are_sentences(games: Path) -> None:
    environment, goal = AlfworldEnvironment(games), task("pick_and_place_simple")
    trajectory = expert_trajectory(environment, goal, RNG, style="plain")
    assert trajectory.steps[0].thought.startswith("I want to find ")
    assert ". I am holding nothing. Next I go to " in trajectory.steps[0].thought


@pytest.mark.parametrize("task_type", TASK_TYPES)
@pytest.mark.parametrize("seed", range(3))
def test_the_searcher_recovers_from_anything(games: Path, task_type: str, seed: int) -> None:
    rng = random.Random(seed)
    environment, goal = AlfworldEnvironment(games), task(task_type, max_steps=200)
    observation, _ = environment.reset(goal)
    agent = searcher(goal, observation)
    for step in range(200):
        offered = environment.admissible()
        handling = [c for c in offered if c.startswith(("take", "move", "open", "close", "heat", "cool"))]
        stray = rng.choice(handling or list(offered))
        action = stray if step < 30 else agent.decide(offered)[1]
        result = environment.step(action)
        agent.read(action, result.observation)
        if result.terminated:
            return
    pytest.fail("not won")


def test_play_shows_failures_and_recoveries(games: Path) -> None:
    environment = AlfworldEnvironment(games)
    episodes = [
        play_trajectory(environment, task(kind), np.random.default_rng(n), 0.6) for n, kind in enumerate(TASK_TYPES * 2)
    ]
    answers = [step.next_observation for episode in episodes for step in episode.steps]
    assert 0.02 < answers.count(NOTHING_HAPPENS) / len(answers) < 0.3
    assert sum(episode.success for episode in episodes) >= 9
    assert all(
        re.fullmatch(rf"{THOUGHT.pattern}|try \w+ {PURPOSE}", step.thought) for e in episodes for step in e.steps
    )


def test_play_is_seeded(games: Path) -> None:
    def episode(seed: int, share: float) -> Trajectory:
        return play_trajectory(
            AlfworldEnvironment(games), task("pick_and_place_simple"), np.random.default_rng(seed), share
        )

    assert episode(1, 0.5) == episode(1, 0.5) != episode(2, 0.5)
    assert episode(1, 1.0).steps == demonstration(games, "pick_and_place_simple").steps


def test_the_searcher_plays_the_older_grammar(tmp_path: Path) -> None:
    game, trajectory = small_files("pick_two_obj_and_place")
    save(tmp_path, "old", translate(older(game), trajectory))
    goal = make_task("old", small_game("pick_two_obj_and_place"), split="train", max_steps=60)
    played = expert_trajectory(AlfworldEnvironment(tmp_path), goal, RNG)
    assert played.success and any(step.action.startswith("put ") for step in played.steps)
    assert not any("loc " in step.next_observation for step in played.steps)


@pytest.mark.parametrize("index", range(3))
def test_the_handcoded_expert_places_two_objects(index: int) -> None:
    game = small_game("pick_two_obj_and_place", index=index)
    before = random.getstate()
    episode = play_handcoded(game, seed=0)
    assert random.getstate() == before
    assert episode == play_handcoded(game, seed=0)
    engine = Engine(game)
    assert [engine.act(command) for command, _ in episode] == [answer for _, answer in episode]
    assert engine.won()


@pytest.mark.parametrize(
    ("words", "goal"),
    [
        ("put some watch on coffeetable", Goal("pick_and_place_simple", "watch", "coffeetable")),
        ("put a watch in drawer", Goal("pick_and_place_simple", "watch", "drawer")),
        ("put a hot mug in cabinet", Goal("pick_heat_then_place_in_recep", "mug", "cabinet")),
        ("cool some pan and put it in fridge", Goal("pick_cool_then_place_in_recep", "pan", "fridge")),
        ("clean some cup and put it in shelf", Goal("pick_clean_then_place_in_recep", "cup", "shelf")),
        ("find two cd and put them in safe", Goal("pick_two_obj_and_place", "cd", "safe")),
        ("put two cd in safe", Goal("pick_two_obj_and_place", "cd", "safe")),
        ("look at bowl under the desklamp", Goal("look_at_obj_in_light", "bowl", "desklamp")),
        ("examine the pen with the desklamp", Goal("look_at_obj_in_light", "pen", "desklamp")),
        ("place the mug somewhere nice", None),
    ],
)
def test_goals_are_read_from_their_words(words: str, goal: Goal | None) -> None:
    assert parse_goal(words) == goal


def test_a_goal_in_other_words_is_refused() -> None:
    strange = Task("alfworld", "t", "train", "", "do something", "{}", 3)
    with pytest.raises(UserError, match="expected one of ALFWorld's goal templates"):
        searcher(strange, "a desk 1.")


def test_a_second_object_goes_where_the_first_one_is() -> None:
    agent = Searcher(Goal("pick_two_obj_and_place", "cd", "safe"), "you see a safe 2, a safe 1, and a desk 1.")
    agent.read("go to safe 1", "You arrive at safe 1. The safe 1 is open. In it, you see a cd 2.")
    agent.read("take cd 1 from desk 1", "You pick up the cd 1 from the desk 1.")
    assert agent.decide(["go to safe 2"])[0] == "cd 1 held for safe 1"
    assert agent.decide(["go to safe 2", "go to safe 1"])[1] == "go to safe 1"


def test_both_grammars_translate_into_each_other() -> None:
    for new, old in (
        ("move cd 1 to safe 2", "put cd 1 in/on safe 2"),
        ("You move the cd 1 to the safe 2.", "You put the cd 1 in/on the safe 2."),
        ("go to safe 2", "go to safe 2"),
    ):
        assert as_put(new) == old and as_move(old) == new
