"""Every torch-free stage through the real runner: same bytes, declared inputs only, declared outputs only."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import yaml

from w2sg.config.rosters import PairKind
from w2sg.contracts import layout
from w2sg.contracts.pairs import Pair
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import read_trajectories
from w2sg.stages.experts import key
from w2sg.stages.pairs import BUILDERS
from w2sg.trees.tree import load

from .conftest import IMITATION, PREFERENCE

COMMANDS = {
    "tasks@alfworld": ("tasks", "--environment", "alfworld"),
    "experts@alfworld": ("experts", "--environment", "alfworld"),
    "play@alfworld": ("play", "--environment", "alfworld"),
    "trees@alfworld-0": ("trees", "--environment", "alfworld", "--seed", "0"),
    "merging@alfworld-0": ("merging", "--environment", "alfworld", "--seed", "0"),
    **{
        f"{stage}@alfworld-0-{method}": (stage, "--environment", "alfworld", "--seed", "0", "--method", method)
        for stage, methods in (("pairs", PREFERENCE), ("paths", IMITATION))
        for method in methods
    },
}


def within(file: str, places: frozenset[str]) -> bool:
    return any(Path(file).is_relative_to(place) for place in places)


@pytest.fixture(scope="module")
def stage_table(empty_project, resolve):
    """That of the project here, whose rosters have more methods than the default's."""
    return resolve(yaml.safe_load((empty_project.path / "params.yaml").read_text()))


@pytest.mark.parametrize("name", COMMANDS)
def test_declared_inputs_suffice_and_bytes_repeat(built, tmp_path, stage_table, name):
    """In a folder with nothing but the declared inputs, the stage writes just the declared outputs, as before."""
    stage = stage_table[name]
    alone = built.copy(tmp_path / "alone", only=stage.deps)
    before = alone.contents()
    code, _ = alone.run(*COMMANDS[name])
    assert code == 0
    written = {file: content for file, content in alone.contents().items() if before.get(file) != content}
    assert written == {file: content for file, content in built.contents().items() if within(file, stage.outs)}
    assert written, "nothing was written"
    assert alone.run(*COMMANDS[name])[0] == 0
    assert alone.contents() == before | written, "a second run changes nothing"


@pytest.mark.parametrize("stage", ["experts", "play"])
def test_the_number_of_processes_changes_nothing(project, stage):
    table = project.path / "dvc.yaml"
    lines = table.read_text().splitlines(keepends=True)
    outs = {
        "experts": [layout.experts("alfworld"), layout.explored_experts("alfworld")],
        "play": [layout.play("alfworld")],
    }[stage]
    before = [(project.path / out).read_bytes() for out in outs]
    for threads in (1, 2, 3):
        at = lines.index(f"  {stage}:\n")
        end = next(n for n in range(at + 1, len(lines)) if not lines[n].strip() or not lines[n].startswith("    "))
        kept = [line for line in lines[at:end] if "meta:" not in line]
        table.write_text("".join([*lines[:at], *kept, f"    meta: {{threads: {threads}}}\n", *lines[end:]]))
        for out in outs:
            (project.path / out).unlink()
        assert project.run(stage, "--environment", "alfworld", "--threads", str(threads))[0] == 0
        assert [(project.path / out).read_bytes() for out in outs] == before


def test_tables_hold_what_the_parameters_ask_for(built):
    def at(path: Path) -> Path:
        return built.path / path

    tasks = Task.read(at(layout.tasks("alfworld")))
    assert [task.split for task in tasks] == ["train"] * 4 + ["seen"] * 2 + ["unseen"] * 2
    train = [task.task_id for task in tasks[:4]]
    experts = read_trajectories(at(layout.experts("alfworld")))
    assert {each.task_id for each in experts} <= set(train[:3])
    explored = read_trajectories(at(layout.explored_experts("alfworld")))
    assert {each.task_id for each in explored} <= set(train[-3:])
    assert all(each.success for each in [*experts, *explored])
    shared = {each.task_id for each in experts} & set(train[-3:])
    assert [each for each in experts if each.task_id in shared] == [e for e in explored if e.task_id in shared]
    played = read_trajectories(at(layout.play("alfworld")))
    assert [(each.task_id, each.sample) for each in played] == [(train[0], n) for n in range(2)], "not on the explored"
    trees = load(at(layout.trees("alfworld", 0)))
    assert list(trees) == train[-3:]
    assert all([each.sample for each in tree.trajectories] == [0, 1, 2] for tree in trees.values())
    pairs = {method: Pair.read(at(layout.pairs("alfworld", 0, method))) for method in PREFERENCE}
    assert 0 < len(pairs["random_dpo"]) <= len(pairs["w2s_dpo"])
    kinds = {method: {pair.kind for pair in found} for method, found in pairs.items()}
    assert kinds == {"w2s_dpo": {"tree"}, "random_dpo": {"random"}, "eto": {"eto"}, "ceiling": {"ceiling"}}
    for method in IMITATION:
        paths = DemonstrationPath.read(at(layout.paths("alfworld", 0, method)))
        assert paths
        assert all(path.tree_value >= 0.5 for path in paths)
        assert all(path.certified for path in paths), "a sample replays as it was played"


def test_changed_parameters_change_the_outputs(project):
    before = project.contents()
    project.edit(tree={"breadth": 2})
    assert project.run("trees", "--environment", "alfworld", "--seed", "0")[0] == 0
    after = project.contents()
    changed = {file for file in after if after[file] != before[file]}
    assert changed == {"params.yaml", str(layout.trees("alfworld", 0)), str(layout.tree_quality("alfworld", 0))}


def test_the_breadth_of_the_trees_does_not_concern_the_strong_models_pairs(project):
    """So that DVC, which runs the stage again, trains nothing again."""
    project.edit(tree={"breadth": 4})
    run = ("--environment", "alfworld", "--seed", "0")
    assert project.run("trees", *run) == (0, [])
    for method in PREFERENCE:
        path = project.path / layout.pairs("alfworld", 0, method)
        before = path.read_bytes()
        assert project.run("pairs", *run, "--method", method) == (0, [])
        assert (path.read_bytes() == before) == (method in ("eto", "ceiling")), method


def test_the_control_of_the_trees_is_drawn_from_what_the_trees_hold(project):
    """The same bytes without the weak model's exploration, which has samples beyond `tree.breadth`."""
    path = project.path / layout.pairs("alfworld", 0, "random_dpo")
    before = path.read_bytes()
    trees = load(project.path / layout.trees("alfworld", 0)).values()
    scores = {(tree.task_id, each.score) for tree in trees for each in tree.trajectories}
    assert all({(p.task_id, p.chosen_score), (p.task_id, p.rejected_score)} <= scores for p in Pair.read(path))
    (project.path / layout.explore("alfworld", 0, "weak")).unlink()
    assert project.run("pairs", "--environment", "alfworld", "--seed", "0", "--method", "random_dpo") == (0, [])
    assert path.read_bytes() == before


def test_every_kind_of_pairs_has_a_builder():
    assert set(BUILDERS) == set(get_args(PairKind))


def test_randomness_is_keyed_by_task_and_episode():
    tasks = [Task("e", name, "train", "t", "i", "{}", 1) for name in ("train-1", "train-12")]
    drawn = {tuple(np.random.default_rng(key(task, n)).random(2)) for task in tasks for n in (0, 1, 2)}
    assert len(drawn) == 6
