"""The task table: splits on generated and on given catalogues."""

import gzip
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

import pytest

from w2sg.contracts.errors import UserError
from w2sg.contracts.tasks import Task
from w2sg.environments.webshop.settings import Aisle
from w2sg.environments.webshop.tasks.generator import generate
from w2sg.environments.webshop.tasks.task_table import make_tasks
from w2sg.environments.webshop.world.catalogue import load
from w2sg.environments.webshop.world.environment import WebshopEnvironment
from w2sg.environments.webshop.world.vocabulary import AISLES


@dataclass(frozen=True)
class Counts:
    train: int = 100
    seen: int = 20
    unseen: int = 30


@dataclass(frozen=True)
class Settings:
    data_dir: str | None = None
    products: int = 200
    aisles: tuple[str, ...] = ("shoes", "snacks")
    tasks: Counts = field(default_factory=Counts)
    max_steps: int = 10
    nouns: str = "rule"


def target(task: Task) -> str:
    return str(json.loads(task.spec)["goal"]["asin"])


def targets(tasks: list[Task], split: str) -> set[str]:
    return {target(task) for task in tasks if task.split == split}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tasks")


@pytest.fixture(scope="module")
def tasks(folder: Path) -> list[Task]:
    return make_tasks(Settings(), folder)


def test_splits_have_the_wanted_sizes_and_no_task_twice(tasks: list[Task]) -> None:
    assert [sum(t.split == split for t in tasks) for split in ("train", "seen", "unseen")] == [100, 20, 30]
    assert len({task.task_id for task in tasks}) == len({task.instruction for task in tasks}) == 150
    assert {task.task_type for task in tasks} == {"fashion", "grocery"}
    assert {task.max_steps for task in tasks} == {10}


def test_seen_is_about_products_of_train_and_unseen_is_not(tasks: list[Task]) -> None:
    assert targets(tasks, "seen") <= targets(tasks, "train")
    assert not targets(tasks, "unseen") & targets(tasks, "train")


def test_tasks_are_the_same_every_time_and_grow_at_the_end(tasks: list[Task], tmp_path: Path) -> None:
    assert make_tasks(Settings(), tmp_path / "again") == tasks
    more = make_tasks(Settings(tasks=Counts(unseen=35)), tmp_path / "more")
    assert more[:150] == tasks


def test_the_environment_resets_to_every_task(tasks: list[Task], folder: Path) -> None:
    environment = WebshopEnvironment(folder)
    for task in tasks:
        observation, _ = environment.reset(task)
        assert observation == f"WebShop [SEP] Instruction: [SEP] {task.instruction} [SEP] Search"


def test_too_many_tasks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tasks.train: 900 is too many; there are \d+ goals with .*products: 200"):
        make_tasks(Settings(tasks=Counts(train=900)), tmp_path)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue as a user would have it: compressed, with fields that nothing uses."""
    path = tmp_path_factory.mktemp("given")
    generate(path, products=300, seed=5, aisles=["care"])
    file = path / "items_shuffle.json"
    items = [{**item, "average_rating": "4.5", "page": 3} for item in json.loads(file.read_text(encoding="utf-8"))]
    items[0]["pricing"], items[1]["customization_options"] = "", ""
    with gzip.open(path / "items_shuffle_300.json.gz", "wt", encoding="utf-8") as compressed:
        json.dump(items, compressed)
    file.unlink()
    return path


def test_a_given_catalogue_is_kept_as_its_pages_show_it(given: Path, tmp_path: Path) -> None:
    make_tasks(Settings(data_dir=str(given), products=250), tmp_path)
    kept, original = load(tmp_path), load(given, num_products=250)
    assert kept.products == original.products


def test_splits_of_a_small_given_catalogue_are_fifths(given: Path, tmp_path: Path) -> None:
    total = sum(len(product.human) for product in load(given).products)
    fifth = total // 5
    settings = Settings(data_dir=str(given), products=300, tasks=Counts(total - 2 * fifth, fifth, fifth))
    assert len(make_tasks(settings, tmp_path)) == total
    with pytest.raises(UserError, match=rf"tasks.unseen: {fifth + 1} is too many; there are {fifth} goals"):
        make_tasks(replace(settings, tasks=Counts(unseen=fifth + 1)), tmp_path / "more")


def test_splits_of_a_full_given_catalogue_are_the_originals(tmp_path: Path) -> None:
    generate(tmp_path / "given", products=1600, seed=5, aisles=["care"])
    train = sum(len(product.human) for product in load(tmp_path / "given").products) - 1500
    assert train > 1500
    settings = Settings(data_dir=str(tmp_path / "given"), products=1600, tasks=Counts(train, 1000, 500))
    tasks = make_tasks(settings, tmp_path / "tasks")
    assert [task.task_id for task in tasks if task.split == "seen"][-1] == "seen-0999"
    with pytest.raises(UserError, match=rf"tasks.train: {train + 1} is too many; there are {train} goals"):
        make_tasks(replace(settings, tasks=Counts(train + 1, 1, 1)), tmp_path / "more")


def test_the_parameters_know_all_aisles() -> None:
    assert set(get_args(Aisle)) == set(AISLES)
