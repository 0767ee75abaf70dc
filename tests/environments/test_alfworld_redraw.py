"""Redrawn games answer what was done before with the same bytes, and are the generator's own."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sg.contracts.errors import UserError
from w2sg.contracts.trajectories import Trajectory
from w2sg.environments.alfworld.experts.demonstrations import expert_trajectory
from w2sg.environments.alfworld.experts.exploratory import play_trajectory
from w2sg.environments.alfworld.redraw import Redraws, redraw, unseen
from w2sg.environments.alfworld.tasks import games
from w2sg.environments.alfworld.tasks.floor_plans import floor_plan
from w2sg.environments.alfworld.tasks.games import TASK_TYPES, GameSettings, draw_game
from w2sg.environments.alfworld.world.engine import Engine
from w2sg.environments.alfworld.world.environment import AlfworldEnvironment, make_task
from w2sg.environments.alfworld.world.translation import Game, load, save, translate

from .alfworld_examples import SMALL, real_files, small_game

TYPES = tuple(name for name in TASK_TYPES if "heat" not in name and "cool" not in name)
ROOMS = GameSettings(
    task_types=TYPES, max_receptacles=8, distractors=8, goal_texts="one", rooms=("bathroom", "bedroom")
)
LARGE = GameSettings(max_receptacles=40, distractors=14)


def drawn(settings_: GameSettings, index: int, *, seed: int = 0) -> Game:
    return translate(*draw_game(settings_, split="train", index=index, seed=seed))


def episode(game: Game, folder: Path, *, share: float, seed: int, steps: int = 25) -> Trajectory:
    """The expert's, or with a share below 1 exploratory play."""
    save(folder, "game", game)
    task = make_task("game", game, split="train", max_steps=steps)
    world, rng = AlfworldEnvironment(folder), np.random.default_rng(seed)
    return expert_trajectory(world, task, rng) if share == 1.0 else play_trajectory(world, task, rng, share)


def answers(game: Game, actions: list[str]) -> list[str | bool | list[str]]:
    """All that is said, and whether it is won."""
    engine = Engine(game)
    said: list[str | bool | list[str]] = [engine.intro()]
    for action in actions:
        said += [engine.act(action), engine.won()]
    return said


def lie(game: Game) -> dict[str, str]:
    """What lies in what, by the names that a player sees."""
    names = Engine(game).names
    return {names[fact[1]]: names[fact[2]] for fact in game.facts if fact[0] == "inreceptacle"}


def prefixes(actions: list[str]) -> Iterator[list[str]]:
    for length in range(0, len(actions), 3):
        yield actions[:length]
    yield actions


@settings(max_examples=30)
@given(
    index=st.integers(0, 500),
    share=st.sampled_from([1.0, 0.8, 0.5, 0.2]),
    seed=st.integers(0, 99),
    rooms=st.sampled_from([SMALL, ROOMS, LARGE]),
)
def test_what_was_done_is_answered_alike_and_the_goal_can_be_met(
    tmp_path_factory: pytest.TempPathFactory, index: int, share: float, seed: int, rooms: GameSettings
) -> None:
    """Real floor plans, all task types, the expert and stray play, from every third turn on."""
    folder = tmp_path_factory.mktemp("redraw")
    game = drawn(rooms, index, seed=seed)
    actions = [step.action for step in episode(game, folder, share=share, seed=seed).steps]
    for number, before in enumerate(prefixes(actions)):
        again = redraw(game, before, rng=random.Random(f"{seed}/{number}"))
        assert answers(again, before) == answers(game, before)
        assert again.objects == game.objects and again.goal_pddl == game.goal_pddl
        assert Engine(again).names == Engine(game).names
        if again is not game:
            # What is seen is seen to lie there, so it does; what is not lies where nobody has looked.
            moved = {name for name, place in lie(again).items() if lie(game)[name] != place}
            assert len(moved) <= unseen(game, before) == unseen(again, before)
            assert redraw(again, before, rng=random.Random(0)) is not again, "it is one of the generator's"
    assert episode(again, folder, share=1.0, seed=0, steps=200).success
    first = redraw(game, [], rng=random.Random(seed))
    assert episode(first, folder, share=1.0, seed=0, steps=200).success


def test_something_else_lies_elsewhere_while_anything_is_hidden() -> None:
    """And where everything was looked into it is the same game."""
    game = drawn(ROOMS, 0)
    again = [lie(redraw(game, [], rng=random.Random(number))) for number in range(20)]
    assert len({tuple(places.items()) for places in again}) == 20
    target = next(name for name in lie(game) if name.split()[0] == game.parameters["object_target"].lower())
    assert len({places[target] for places in again}) > 1, "the target too"
    everywhere = [
        command
        for place in sorted(set(Engine(game).names.values()))
        if place in lie(game).values()
        for command in (f"go to {place}", f"open {place}")
    ]
    assert unseen(game, everywhere) == 0
    assert redraw(game, everywhere, rng=random.Random(0)) is game
    assert unseen(game, []) == len(lie(game))


def test_a_closed_receptacle_hides_what_is_in_it() -> None:
    game = next(game for game in map(small_closed, range(99)) if game)
    names = Engine(game).names
    place = next(
        names[fact[1]] for fact in game.facts if fact[0] == "openable" and names[fact[1]] in lie(game).values()
    )
    inside = {name for name, where in lie(game).items() if where == place}
    before = [f"go to {place}"]
    assert any(lie(redraw(game, before, rng=random.Random(n)))[name] != place for name in inside for n in range(40))
    before += [f"open {place}", f"close {place}"]
    for number in range(20):
        again = lie(redraw(game, before, rng=random.Random(number)))
        assert {name for name, where in again.items() if where == place} == inside


def small_closed(index: int) -> Game | None:
    """A game with something in a receptacle that is closed and from which it may be missing."""
    game = drawn(ROOMS, index)
    closed = {fact[1] for fact in game.facts if fact[0] == "openable"}
    return game if any(fact[2] in closed for fact in game.facts if fact[0] == "inreceptacle") else None


def test_what_acting_blindly_tells_is_kept() -> None:
    """A lamp can be used in a receptacle that was not looked into, and what is not there cannot."""
    look = replace(ROOMS, task_types=("look_at_obj_in_light",))
    tried = 0
    for index in range(40):
        game = drawn(look, index)
        lamp, place = next((name, place) for name, place in lie(game).items() if "lamp" in name)
        for where in sorted(set(lie(game).values())):
            before = [f"go to {where}", f"use {lamp}"]
            again = redraw(game, before, rng=random.Random(index))
            assert (lie(again)[lamp] == where) == (place == where)
            tried += 1
    assert tried > 100


def kept_along(game: Game, actions: list[str], folder: Path) -> Iterator[Game]:
    """The hidden states before the last action, kept or drawn anew on the way."""
    save(folder / "own", "game", game)
    task = make_task("game", game, split="train", max_steps=60)
    redraws = Redraws(folder / "own", folder / "redrawn")
    for number in range(400):
        yield load(folder / "redrawn", redraws.along(task, actions, number=number)[-1].task_id)


def test_the_draws_are_the_generators(tmp_path: Path) -> None:
    """Once one of two was found, the other lies where it does in the generator's games that look the same so far."""
    plan, two = floor_plan(407), GameSettings(max_receptacles=40, distractors=0)
    goal = games._Goal("pick_two_obj_and_place", "Candle", "Toilet", "")
    drawn_, _ = draw_game(replace(two, task_types=(goal.task_type,)), split="train", index=0, seed=0)
    details = {"pddl_params": {"object_target": goal.target, "parent_target": goal.place}}

    def generated(seed: int) -> Game:
        problem = games._draw_problem(goal, plan, two, random.Random(seed))
        return translate({**drawn_, "pddl_problem": problem}, details)

    found = next(game for game in map(generated, range(99)) if len(set(lie(game).values())) == 2)
    before = [f"go to {lie(found)['candle 2']}", f"open {lie(found)['candle 2']}"]
    alike = [game for game in map(generated, range(1200)) if answers(game, before) == answers(found, before)]
    assert len(alike) > 40
    expected = Counter(lie(game)["candle 1"] for game in alike)
    again = Counter(lie(redraw(found, before, rng=random.Random(n)))["candle 1"] for n in range(1200))
    assert 1 < len(expected) < len(plan.receptacles) - 2, "its number tells on which side it is"
    kept = Counter(lie(each)["candle 1"] for each in kept_along(found, [*before, "look"], tmp_path))
    for draws in (again, kept):
        assert set(draws) == set(expected)
        for place, times in expected.items():
            share = draws[place] / draws.total()
            assert abs(times / expected.total() - share) < 4 * (share * (1 - share) / expected.total()) ** 0.5


def test_the_same_generator_gives_the_same_game() -> None:
    game = small_game("pick_and_place_simple")
    one, other, another = (redraw(game, [], rng=random.Random(seed)) for seed in (1, 1, 2))
    assert one.facts == other.facts != another.facts


def test_redrawn_tasks_are_played_in_their_folder(tmp_path: Path) -> None:
    """The environment opens them like any others; the same arguments give the same ones."""
    game = drawn(ROOMS, 0)
    save(tmp_path / "own", "train-0000", game)
    task = make_task("train-0000", game, split="train", max_steps=60)
    redraws = Redraws(tmp_path / "own", tmp_path / "redrawn")
    (first,), (same,), (second,) = (redraws.along(task, ["look"], number=number) for number in (0, 0, 1))
    assert first == same != second and first.instruction == task.instruction
    places = [lie(load(tmp_path / "redrawn", each.task_id)) for each in (task, first, second)]
    assert places[0] == lie(game) and places[0] != places[1] != places[2]
    assert Redraws(tmp_path / "own", tmp_path / "again").along(task, ["look"], number=1) == [second]
    assert lie(load(tmp_path / "again", second.task_id)) == places[2]
    for each in (redraws.own(task), first, second):
        assert expert_trajectory(AlfworldEnvironment(tmp_path / "redrawn"), each, np.random.default_rng(0)).success


@pytest.mark.parametrize("index", range(6))
def test_a_state_is_kept_as_long_as_it_agrees(tmp_path: Path, index: int) -> None:
    """Then another is drawn; once nothing is hidden it is the game itself."""
    game = drawn(ROOMS, index)
    save(tmp_path / "own", "game", game)
    task = make_task("game", game, split="train", max_steps=60)
    actions = [f"{verb} {place}" for place in sorted(set(lie(game).values())) for verb in ("go to", "open", "close")]
    actions.append("look")
    redraws, kept = Redraws(tmp_path / "own", tmp_path / "redrawn"), 0
    for number in range(8):
        tasks = redraws.along(task, actions, number=number)
        assert len(tasks) == len(actions)
        assert lie(load(tmp_path / "redrawn", tasks[-1].task_id)) == lie(game)
        for step, each in enumerate(tasks):
            here = load(tmp_path / "redrawn", each.task_id)
            assert answers(here, actions[:step]) == answers(game, actions[:step])
            if step and each == tasks[step - 1]:
                kept += 1
            elif step:
                before = load(tmp_path / "redrawn", tasks[step - 1].task_id)
                assert answers(before, actions[:step]) != answers(game, actions[:step])
    assert kept > 10


def test_games_of_others_are_refused() -> None:
    files = real_files("train_600.tar.xz", 1)[0]
    game = translate(files["game.tw-pddl"], files["traj_data.json"])
    with pytest.raises(UserError, match=r"does not lie where the generator lays it; only generated games can be"):
        redraw(game, [], rng=random.Random(0))
