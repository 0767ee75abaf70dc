"""WebShop behind the contract of environments."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from w2sg.contracts.errors import UserError
from w2sg.contracts.tasks import Task
from w2sg.environments.webshop.world.environment import WebshopEnvironment, make_task, read_spec
from w2sg.environments.webshop.world.session import open_shop

from .webshop_examples import small_goal, write_catalogue


def task(max_steps: int = 10) -> Task:
    return make_task(small_goal(), task_id="t", split="train", task_type="fashion", seed=3, max_steps=max_steps)


def test_an_episode_ends_with_the_purchase(tmp_path: Path) -> None:
    world = WebshopEnvironment(write_catalogue(tmp_path))
    opening, _ = world.reset(task())
    assert "i want a red shirt" in opening
    assert world.admissible() == ["search[...]"]
    world.step("search[shirt]")
    assert world.admissible() == ["click[b00shirt01]", "click[back to search]", "click[next >]", "search[...]"]
    for action in ("click[b00shirt01]", "click[red]"):
        assert world.step(action)[1:] == (0.0, False, False, {})
    world.step("click[s]")
    result = world.step("click[buy now]")
    assert (result.score, result.terminated, result.truncated) == (1.0, True, False)
    assert result.info["reward"]["r_option"] == 1.0
    with pytest.raises(AssertionError, match="reset first"):
        world.step("search[shirt]")


@pytest.mark.parametrize(("cap", "score"), [(3, 0.5), (2, 0.0)])
def test_a_purchase_at_the_last_step_counts(tmp_path: Path, cap: int, score: float) -> None:
    world = WebshopEnvironment(write_catalogue(tmp_path))
    world.reset(task(cap))
    for action in ("search[shirt]", "click[b00shirt01]", "click[buy now]")[:cap]:
        result = world.step(action)
    assert (result.score, result.terminated, result.truncated) == (score, score > 0, score == 0)


def test_instances_share_the_catalogue_until_it_changes(tmp_path: Path) -> None:
    shop = open_shop(write_catalogue(tmp_path), seed=3)
    assert open_shop(tmp_path, seed=3) is shop
    other = open_shop(tmp_path, seed=4)
    assert other.catalogue is shop.catalogue and other.index is shop.index and other.prices != shop.prices
    os.utime(tmp_path / "items_human_ins.json", ns=(1, 1))
    assert open_shop(tmp_path, seed=3) is not shop


@pytest.mark.parametrize("spec", ["{", "[]", "null", '{"goal": {}}', '{"seed": 0}', '{"goal": {}, "seed": 0}'])
def test_foreign_specs_are_refused(spec: str) -> None:
    with pytest.raises(UserError, match="task t: "):
        read_spec(replace(task(), spec=spec))


def test_a_spec_holds_the_goal_and_the_seed_of_the_prices() -> None:
    assert read_spec(task()) == (small_goal(), 3, "rule")
    assert json.loads(task().spec)["goal"]["instruction_text"] == task().instruction


@pytest.mark.parametrize("call", ["step", "admissible"])
def test_nothing_runs_before_the_first_reset(tmp_path: Path, call: str) -> None:
    world = WebshopEnvironment(tmp_path)
    with pytest.raises(AssertionError, match="reset first"):
        getattr(world, call)(*["x"] if call == "step" else [])
    world.close()
    world.close()


def test_a_missing_catalogue_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"needs one items_shuffle\*\.json or \.json\.gz, found none"):
        WebshopEnvironment(tmp_path).reset(task())
