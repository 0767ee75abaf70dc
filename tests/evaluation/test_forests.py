"""What the explorer gathers: trees of both models, with the search, e*, pairs and the expert's ways."""

from dataclasses import replace
from pathlib import Path

import pytest

from w2sg.config import params
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError
from w2sg.contracts.pairs import Pair
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.trajectories import write_trajectories
from w2sg.evaluation.report.explorer.forests import gather_forests
from w2sg.evaluation.report.viewer import path_nodes
from w2sg.trees.mcts import extract
from w2sg.trees.pairs import tree_pairs

from .builders import WAYS, path_of, trajectory, tree

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The default's parameters, in a project where two tasks have been explored and learnt from."""
    found = params.load(ROOT / "params.yaml")
    monkeypatch.chdir(tmp_path)
    grown = tree()
    write_trajectories(layout.explored_experts("alfworld"), [replace(trajectory(WAYS[0][0]), policy="expert")])
    ways = [
        trajectory(["look"] * (number + 1), task=task, sample=number) for task in ("t1", "t2") for number in range(9)
    ]
    write_trajectories(layout.explore("alfworld", 0, "strong"), ways)
    DemonstrationPath.write(layout.paths("alfworld", 0, "w2s_mcts"), [path_of(grown.trajectories[0])])
    Pair.write(layout.pairs("alfworld", 0, "w2s_dpo"), tree_pairs([grown], minimum_gap=0.5, aggregate="mean", turns=1))
    return found


def test_both_models_trees_are_gathered(settings: Params) -> None:
    trees = {"t1": tree(), "t2": tree(task="t2")}
    weak, strong = gather_forests(settings, "alfworld", 0, trees=trees)
    assert (weak.name, strong.name) == ("alfworld-0-weak", "alfworld-0-strong")
    assert weak.merged == "observation, similarity 0.9 or more" and strong.merged == "equal texts"
    assert weak.trees == trees and set(strong.trees) == {"t1", "t2"}
    assert {len(each.trajectories) for each in strong.trees.values()} == {settings.tree.breadth}
    assert set(weak.paths) == {"w2s_mcts"} and set(weak.pairs) == {"w2s_dpo"} and set(weak.experts) == {"t1"}
    assert not strong.statistics and not strong.paths and not strong.pairs and strong.experts == weak.experts


def test_the_search_is_the_one_that_found_the_path(settings: Params) -> None:
    weak, _ = gather_forests(settings, "alfworld", 0, trees={"t1": tree(ways=[WAYS[0], WAYS[2], WAYS[5]])})
    (path,) = weak.paths["w2s_mcts"]
    found = extract(weak.trees["t1"], statistics=weak.statistics["t1"], ties=settings.mcts.ties)
    assert path_nodes(weak.trees["t1"], path) == {0, *found.nodes}
    assert weak.statistics["t1"].visits[0] == settings.mcts.iterations


def test_a_strong_model_that_has_not_explored_has_no_trees(settings: Params) -> None:
    alone = settings.model_copy(update={"explore": settings.explore.model_copy(update={"roles": ("weak",)})})
    (only,) = gather_forests(alone, "alfworld", 0, trees={"t1": tree()})
    assert only.role == "weak"


def test_a_missing_table_is_named(settings: Params) -> None:
    layout.explore("alfworld", 0, "strong").unlink()
    with pytest.raises(UserError, match=r"strong\.parquet: no such file"):
        gather_forests(settings, "alfworld", 0, trees={"t1": tree()})
