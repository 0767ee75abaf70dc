import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from w2sg.contracts.errors import UserError
from w2sg.trees import tree as trees
from w2sg.trees.tree import ROOT, TrajectoryTree

from .examples import exact_tree, sample_sets, samples, solved_tree


def copied(text: str) -> str:
    """An equal text that is another object."""
    return "".join(list(text))


def of_task(task_id: str, tree: TrajectoryTree) -> TrajectoryTree:
    return replace(tree, trajectories=tuple(replace(each, task_id=task_id) for each in tree.trajectories))


def without_shared_texts(tree: TrajectoryTree) -> TrajectoryTree:
    trajectories = (
        replace(
            t, steps=tuple(replace(s, observation=copied(s.observation), thought=copied(s.thought)) for s in t.steps)
        )
        for t in tree.trajectories
    )
    return replace(tree, trajectories=tuple(trajectories))


def test_a_node_tells_its_step_path_and_scores() -> None:
    tree = solved_tree()
    assert (tree.environment, tree.task_id) == ("letters", "task")
    assert tree.stops == (4, 6, 7, 9)
    assert tree.path(6) == (0, 1, 2, 5, 6)
    assert tree.step(5) is tree.trajectories[1].steps[2]
    assert tree.scores(2) == (1.0, 0.0, 0.5)
    assert tree.scores(ROOT) == (1.0, 0.0, 0.5, 0.25)


@pytest.mark.parametrize("number", [ROOT, 4])
def test_root_and_stop_leaves_have_no_step(number: int) -> None:
    with pytest.raises(AssertionError):
        solved_tree().step(number)


@given(sample_sets)
def test_flat_layout(drawn: list) -> None:
    tree = exact_tree(drawn)
    assert tree.nodes[ROOT].parent == -1
    for number, node in enumerate(tree.nodes[1:], start=1):
        parent = tree.nodes[node.parent]
        assert node.parent < number and number in parent.children
        assert node.depth == parent.depth + (not node.stop)
        assert node.stop == (not node.children)
        assert list(node.members) == sorted(set(node.members))


def test_round_trip(tmp_path: Path) -> None:
    written = {"second": of_task("second", solved_tree()), "first": of_task("first", exact_tree(samples(("ab", 1.0))))}
    trees.dump(tmp_path / "trees.pkl", written)
    read = trees.load(tmp_path / "trees.pkl")
    assert read == written
    assert list(read) == ["second", "first"]


def test_equal_trees_give_equal_bytes(tmp_path: Path) -> None:
    one, other = solved_tree(), without_shared_texts(solved_tree())
    assert pickle.dumps(one) != pickle.dumps(other), "nothing to even out"
    trees.dump(tmp_path / "one", {"task": one})
    trees.dump(tmp_path / "other", {copied("task"): other})
    trees.dump(tmp_path / "again", trees.load(tmp_path / "one"))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes() == (tmp_path / "again").read_bytes()


def test_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path; from examples import solved_tree\n"
        "from w2sg.trees.tree import dump; dump(Path(sys.argv[1]), {'task': solved_tree()})"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", script, str(tmp_path / seed), str(Path(__file__).parent)]
        subprocess.run(command, env=environment, check=True)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


class Foreign:
    """Something that another program might have pickled."""


@pytest.mark.parametrize(
    "content",
    [
        trees.sealed(pickle.dumps({"task": Foreign()})),
        trees.sealed(pickle.dumps({"task": print})),
        trees.sealed(b"cos\nsystem\n(S'touch taken'\ntR."),
        trees.sealed(pickle.dumps({"task": 1})),
        trees.sealed(pickle.dumps([1, 2])),
        trees.sealed(pickle.dumps([1, 2], protocol=2)),
        trees.sealed(b"\x80\x04](r\xff\xff\xff\xffK\x01e."),
        pickle.dumps({"task": solved_tree()}),
        b"",
        b"PAR1 and not a pickle",
        b"\x80\x05\x95\xff\xff\xff\xff\xff\xff\xff\xff",
    ],
)
def test_a_foreign_file_is_refused(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trees.pkl").write_bytes(content)
    with pytest.raises(UserError, match=r"trees\.pkl: not a file of trajectory trees") as raised:
        trees.load(tmp_path / "trees.pkl")
    assert "\n" not in str(raised.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["trees.pkl"], "the file's code has run"


def test_a_truncated_file_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "trees.pkl"
    trees.dump(path, {"task": solved_tree()})
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="not a file of trajectory trees"):
            trees.load(path)


def test_a_missing_file_names_itself(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trees\.pkl: no such file"):
        trees.load(tmp_path / "trees.pkl")


def test_any_changed_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "trees.pkl"
    trees.dump(path, {"task": solved_tree()})
    whole = path.read_bytes()
    for place in range(0, len(whole), 41):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError, match="not a file of trajectory trees \\(damaged"):
            trees.load(path)


def test_other_programs_read_it_as_a_pickle(tmp_path: Path) -> None:
    trees.dump(tmp_path / "trees.pkl", {"task": solved_tree()})
    with (tmp_path / "trees.pkl").open("rb") as file:
        assert pickle.load(file) == (trees.FORMAT, {"task": solved_tree()})


def test_records_of_another_order_are_of_another_version(tmp_path: Path) -> None:
    other = trees.FORMAT | {"Step": tuple(reversed(trees.FORMAT["Step"]))}
    (tmp_path / "trees.pkl").write_bytes(trees.sealed(pickle.dumps((other, {"task": solved_tree()}))))
    with pytest.raises(
        UserError, match=r"trees\.pkl: not a file of trajectory trees \(of another version\); run the stage"
    ):
        trees.load(tmp_path / "trees.pkl")


def node(number: int, **values: object) -> Callable[[TrajectoryTree], TrajectoryTree]:
    """A change of one node."""
    return lambda tree: replace(
        tree, nodes=tuple(replace(n, **values) if i == number else n for i, n in enumerate(tree.nodes))
    )


def step(**values: object) -> Callable[[TrajectoryTree], TrajectoryTree]:
    """A change of the first sample's last step."""

    def change(tree: TrajectoryTree) -> TrajectoryTree:
        first, *others = tree.trajectories
        *before, last = first.steps
        return replace(tree, trajectories=(replace(first, steps=(*before, replace(last, **values))), *others))

    return change


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda tree: replace(tree, nodes=()), "no root that all samples pass through"),
        (lambda tree: replace(tree, trajectories=()), "a trajectory without steps"),
        (lambda tree: of_task("other", tree), "of another task"),
        (lambda tree: replace(tree, trajectories=(*tree.trajectories, tree.trajectories[0])), "no root that all"),
        (node(0, parent=3), "no root that all samples pass through"),
        (node(1, children=(2, 1, 8)), "node 1: a child that is not below it"),
        (node(1, children=(2, 99)), "node 1: a child that is not below it"),
        (node(8, parent=2), "node 1: a child that is not below it"),
        (node(2, children=(3, 5)), "node 2: samples that get lost, or come from nowhere"),
        (node(3, depth=2), "node 3: another depth than its parent's tells"),
        (node(3, members=(0, 7)), "node 2: samples that get lost"),
        (node(4, members=()), "node 3: samples that get lost"),
        (node(4, stop=False), "node 4: another depth"),
        (node(4, total_reward=float("nan")), "node 4: another sum of scores than its samples have"),
        (node(4, total_reward=0.5), "node 4: another sum of scores"),
        (node(3, total_reward=0.5), "node 3: another sum of scores"),
        (step(score=float("inf")), "a score outside 0 to 1"),
        (step(score=float("nan")), "a score outside 0 to 1"),
        (step(observation=3), "Step.observation is no str"),
        (node(3, depth=True), "Node.depth is no int"),
        (node(3, members="ab"), "'<' not supported between instances of 'int' and 'str'"),
    ],
)  # fmt: skip
def test_a_tree_that_is_none_is_named(
    change: Callable[[TrajectoryTree], TrajectoryTree], line: str, tmp_path: Path
) -> None:
    trees.dump(tmp_path / "trees.pkl", {"task": change(solved_tree())})
    with pytest.raises(UserError) as caught:
        trees.load(tmp_path / "trees.pkl")
    told = f"{tmp_path}/trees.pkl: not a file of trajectory trees ("
    assert str(caught.value).startswith((f"{told}{line}", f"{told}tree of task: {line}")), str(caught.value)
    assert "\n" not in str(caught.value)
