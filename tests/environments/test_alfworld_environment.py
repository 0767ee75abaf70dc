"""ALFWorld behind the contract of every environment."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from w2sg.contracts.environment import Environment
from w2sg.contracts.errors import UserError
from w2sg.contracts.tasks import Task
from w2sg.environments.alfworld.world.engine import NOTHING_HAPPENS
from w2sg.environments.alfworld.world.environment import AlfworldEnvironment, answer, make_task, opening
from w2sg.environments.alfworld.world.translation import load, save

from .alfworld_examples import small_game


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("games")
    save(folder, "place", small_game("pick_and_place_simple"))
    save(folder, "heat", small_game("pick_heat_then_place_in_recep"))
    return folder


def task(name: str = "place", *, max_steps: int = 30) -> Task:
    kind = {"place": "pick_and_place_simple", "heat": "pick_heat_then_place_in_recep"}[name]
    return make_task(name, small_game(kind), split="train", max_steps=max_steps)


def test_the_first_observation_is_two_lines_and_ends_with_the_task(games: Path) -> None:
    first, _ = AlfworldEnvironment(games).reset(task())
    room, goal = first.split("\n")
    assert room.startswith("You are in the middle of a room. Looking quickly around you, you see a ")
    assert goal == f"Your task is to: {task().instruction}."


def test_hostile_actions_cost_a_step_and_change_nothing(games: Path) -> None:
    environment: Environment = AlfworldEnvironment(games)
    environment.reset(task())
    before = environment.admissible()
    for action in ("", "\n", "dance", "go to ☃ 1", "GO TO TOILET 1", "take " * 100_000, "\x00", "{r.name}"):
        result = environment.step(action)
        assert result.observation == NOTHING_HAPPENS and result.score == 0.0 and not result.terminated
    assert environment.admissible() == before == sorted(before)


def test_the_step_cap_truncates(games: Path) -> None:
    environment = AlfworldEnvironment(games)
    environment.reset(task(max_steps=2))
    assert not environment.step("look").truncated
    assert environment.step("look").truncated
    with pytest.raises(AssertionError):
        environment.step("look")


def test_stepping_needs_a_running_episode(games: Path) -> None:
    environment = AlfworldEnvironment(games)
    with pytest.raises(AssertionError):
        environment.step("look")
    environment.reset(task())
    environment.close()
    environment.close()
    with pytest.raises(AssertionError):
        environment.admissible()


def test_episodes_in_one_process_do_not_touch_each_other(games: Path) -> None:
    def step(environment: AlfworldEnvironment, number: int) -> str:
        offered = environment.admissible()
        return environment.step(offered[number * 5 % len(offered)]).observation

    def alone(name: str) -> list[str]:
        environment = AlfworldEnvironment(games)
        return [environment.reset(task(name))[0], *(step(environment, number) for number in range(5))]

    names = ("place", "heat", "place")
    together = [AlfworldEnvironment(games) for _ in names]
    texts = [[environment.reset(task(name))[0]] for name, environment in zip(names, together, strict=True)]
    for number in range(5):
        for environment, heard in zip(together, texts, strict=True):
            heard.append(step(environment, number))
    assert texts == [alone(name) for name in names]


def test_a_stored_game_is_the_translated_one(games: Path) -> None:
    game, stored = small_game("pick_heat_then_place_in_recep"), load(games, "heat")
    for name in ("domain", "grammar", "instruction", "task_type", "parameters", "objects", "facts", "goal", "axioms"):
        assert getattr(stored, name) == getattr(game, name)
    assert stored.problem == game.problem


def test_storing_is_reproducible_to_the_byte(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        save(tmp_path / folder, "game", small_game("pick_and_place_simple"))
    files = sorted((tmp_path / "a").iterdir())
    assert len(files) == 2
    assert all(file.read_bytes() == (tmp_path / "b" / file.name).read_bytes() for file in files)


@pytest.mark.parametrize("spec", ["", "{}", "[]", '{"game": 3}', '{"game": "../place"}'])
def test_a_spec_that_names_no_game_is_refused(games: Path, spec: str) -> None:
    with pytest.raises(UserError, match=r'expected \{"game": name\}'):
        AlfworldEnvironment(games).reset(replace(task(), spec=spec))


def test_missing_and_damaged_games_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        AlfworldEnvironment(tmp_path).reset(task())
    (tmp_path / "place.json.gz").write_bytes(b"not gzip")
    with pytest.raises(UserError, match=r"place\.json\.gz: not a JSON file \(.*\); run the stage that writes it$"):
        AlfworldEnvironment(tmp_path).reset(task())


def test_only_the_location_number_is_taken_from_an_answer() -> None:
    assert answer("You arrive at loc 12. On the desk 1, you see nothing.") == "On the desk 1, you see nothing."
    current = "You arrive at desk 1. On the desk 1, you see nothing."
    assert answer(current) == current
    assert (
        opening("-= Welcome to TextWorld, ALFRED! =-\n\nA room.\n\nYour task is to: x.")
        == "A room.\nYour task is to: x."
    )


def test_nothing_is_created_in_the_home(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "ALFWORLD_DATA"} | {"HOME": str(tmp_path)}
    code = "import w2sg.environments.alfworld.tasks.games"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
