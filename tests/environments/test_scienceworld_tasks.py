"""Which tasks of ScienceWorld are played: the package's splits, ETO's numbers, and the table of the parameters."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sg.contracts.errors import UserError
from w2sg.contracts.tasks import SPLITS
from w2sg.environments.scienceworld.tasks import splits
from w2sg.environments.scienceworld.tasks.task_table import make_tasks, simplification_string
from w2sg.environments.scienceworld.world.environment import ScienceworldEnvironment, read_spec
from w2sg.environments.scienceworld.world.simulator import Simulator, Variations

from .scienceworld_examples import running


@dataclass(frozen=True)
class Counts:
    train: int = 7
    seen: int = 3
    unseen: int = 4


@dataclass(frozen=True)
class Settings:
    """As params.yaml would have it."""

    task_types: tuple[str, ...] = ("lifespan-longest-lived", "find-plant", "power-component")
    splits: Literal["package", "eto"] = "package"
    tasks: Counts = field(default_factory=Counts)
    max_steps: int | None = None
    simplifications: tuple[str, ...] = ("easy",)
    java_home: str | None = None
    heap_mb: int = 256
    timeout: float = 120.0


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def ranges(simulator: Simulator) -> dict[str, Variations]:
    return {name: simulator.variations(name) for name in simulator.task_names()}


def test_every_task_of_the_package_is_known(ranges: dict[str, Variations]) -> None:
    assert sorted(ranges) == sorted(splits.TASKS)
    totals = [sum(len(part) for part in parts) for parts in zip(*ranges.values(), strict=True)]
    assert totals == [3592, 1796, 1819]


def test_the_numbers_are_etos(ranges: dict[str, Variations]) -> None:
    chosen = {name: splits.by_eto(name, ranges[name]) for name in splits.TASKS}
    assert [sum(len(parts[split]) for parts in chosen.values()) for split in SPLITS] == [1483, 194, 211]
    assert sum(bool(parts["train"]) for parts in chosen.values()) == 24
    for name, parts in chosen.items():
        together = [number for split in SPLITS for number in parts[split]]
        assert len(together) == len(set(together)), f"{name}: a variation in two splits"
        # Four tasks have more training variations than the package's train range.
        assert set(parts["unseen"]) <= set(ranges[name].test) and set(parts["seen"]) <= set(ranges[name].dev)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.data())
def test_shares_are_equal_as_far_as_they_go(available: list[int], data: st.DataObject) -> None:
    wanted = data.draw(st.integers(0, sum(available)))
    taken = splits.shares(available, wanted)
    assert sum(taken) == wanted
    assert all(0 <= part <= size for part, size in zip(taken, available, strict=True))
    full = max(taken)
    assert all(part >= full - 1 or part == size for part, size in zip(taken, available, strict=True))


def test_more_than_there_are_cannot_be_shared() -> None:
    with pytest.raises(ValueError, match="9 asked for, 8 there"):
        splits.shares([3, 5], 9)


def test_the_table_says_all_that_a_reset_needs(tmp_path: Path, simulator: Simulator) -> None:
    tasks = make_tasks(Settings(), tmp_path)
    assert Counter(task.split for task in tasks) == {"train": 7, "seen": 3, "unseen": 4}
    assert len({task.task_id for task in tasks}) == len(tasks)
    assert {task.task_type for task in tasks[:3]} == set(Settings().task_types), "types are spread over the list"
    assert {task.max_steps for task in tasks} == {10, 15, 20}
    environment = ScienceworldEnvironment(simulator)
    for task in (tasks[0], tasks[1], tasks[-1]):
        description, info = environment.reset(task)
        assert description == task.instruction and info["start_score"] == read_spec(task).start_score
    assert make_tasks(Settings(), tmp_path) == tasks
    assert json.loads((tmp_path / "simulator.json").read_text())["scienceworld"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (replace(Settings(), task_types=("find-unicorn",)), "task_types: 'find-unicorn' is unknown; allowed: boil, "),
        (replace(Settings(), simplifications=("cheats",)), "simplifications: 'cheats' is unknown; allowed: easy, "),
        (replace(Settings(), tasks=Counts(train=999)), "tasks.train: 999 asked for, 222 there in these task_types"),
    ],
)
def test_settings_that_cannot_be_are_users_errors(tmp_path: Path, settings: Settings, message: str) -> None:
    with pytest.raises(UserError, match=f"^environments.scienceworld.{message}"):
        make_tasks(settings, tmp_path)


def test_tasks_about_electricity_keep_its_actions() -> None:
    assert simplification_string(("easy",), "power-component") == "easy"
    both = simplification_string(("openContainers", "easy"), "boil")
    assert both == "teleportAction,openDoors,selfWateringFlowerPots,noElectricalAction,openContainers"
    kept = simplification_string(("openContainers", "easy"), "test-conductivity")
    assert kept == "teleportAction,openDoors,selfWateringFlowerPots,openContainers"
    assert simplification_string((), "boil") == ""
