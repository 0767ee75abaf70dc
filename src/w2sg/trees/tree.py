"""The trajectory tree of one task (paper, section 3.2): flat, frozen, and written to disk as a pickle.

The tree holds the recorded trajectories themselves; a node is only where they share a step. Every trajectory ends in an
explicit "stop" leaf (A5), so one that ends where others go on stays reachable:

    (root) ── look ── take mug ── put mug ── ■ 1.0          ■ stop leaf with the mean G of the samples that end there
                  │            └─ ■ 0.0
                  └── take pan ── ■ 0.0
"""

import hashlib
import io
import math
import pickle
import pickletools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from w2sg.contracts.errors import named
from w2sg.contracts.files import reading, replacing
from w2sg.contracts.trajectories import Step, Trajectory

ROOT = 0
DIGEST = 16  # bytes at the end of a file of trees, which tell damage


@dataclass(frozen=True, slots=True)
class Node:
    """One node v: the root (the instruction u), an execution step (o_v, th_v, a_v), or a stop leaf.

    Attributes:
        parent: number of the parent node, always below the node's own; -1 for the root.
        depth: execution steps from the root down to this node, itself included; a stop leaf adds none.
        children: numbers of the child nodes in the order of their insertion; empty for stop leaves alone.
        members: the samples that pass through, by position in `TrajectoryTree.trajectories`, ascending, never empty.
        stop: the members end here.
        total_reward: sum of G(e) over the members of a stop leaf; 0.0 elsewhere.
    """

    parent: int
    depth: int
    children: tuple[int, ...]
    members: tuple[int, ...]
    stop: bool
    total_reward: float

    @property
    def visits(self) -> int:
        """c_D(v): how many of the M trajectories pass through."""
        return len(self.members)

    @property
    def mean_score(self) -> float:
        """Mean G(e), in [0, 1], of the members of a stop leaf."""
        return round(self.total_reward / len(self.members), 12)  # three times 0.7 by three is less than 0.7


@dataclass(frozen=True, slots=True)
class TrajectoryTree:
    """T = (V, E) of one task, made by `merging.build`.

    Attributes:
        trajectories: length M, the samples in the order of their insertion.
        nodes: length N, parents before their children; `nodes[ROOT]` is the root.
    """

    trajectories: tuple[Trajectory, ...]
    nodes: tuple[Node, ...]

    @property
    def task_id(self) -> str:
        """The task all trajectories are of."""
        return self.trajectories[0].task_id

    @property
    def environment(self) -> str:
        """The environment all trajectories are of."""
        return self.trajectories[0].environment

    @property
    def stops(self) -> tuple[int, ...]:
        """Numbers of the stop leaves, ascending."""
        return tuple(number for number, node in enumerate(self.nodes) if node.stop)

    def step(self, number: int) -> Step:
        """(o_v, th_v, a_v) of an execution-step node: the step of the first sample that came through."""
        node = self.nodes[number]
        assert node.depth > 0 and not node.stop, "the root and the stop leaves are no execution steps"
        return self.trajectories[node.members[0]].steps[node.depth - 1]

    def path(self, number: int) -> tuple[int, ...]:
        """Numbers of the nodes from the root to this one, both included."""
        path = [number]
        while path[-1] != ROOT:
            path.append(self.nodes[path[-1]].parent)
        return tuple(reversed(path))

    def scores(self, number: int) -> tuple[float, ...]:
        """G(e) of each sample that passes through the node; length c_D."""
        return tuple(self.trajectories[member].score for member in self.nodes[number].members)


RECORDS = (TrajectoryTree, Node, Trajectory, Step)
FORMAT = {kind.__name__: tuple(f.name for f in fields(kind)) for kind in RECORDS}
"""The version of a file of trees: pickle stores values alone, and would fill in those of another order as they come."""
_PLAIN = (str, int, float, bool)


def dump(path: Path, trees: Mapping[str, TrajectoryTree]) -> None:
    """Write trees by task id, atomically. Equal trees give equal bytes."""
    texts: dict[str, str] = {}
    shared = {}
    for task_id, tree in trees.items():
        trajectories = tuple(
            replace(
                _shared(trajectory, texts=texts), steps=tuple(_shared(step, texts=texts) for step in trajectory.steps)
            )
            for trajectory in tree.trajectories
        )
        shared[texts.setdefault(task_id, task_id)] = replace(tree, trajectories=trajectories)
    with replacing(path) as temporary:
        temporary.write_bytes(sealed(pickle.dumps((FORMAT, shared), protocol=5)))


def sealed(content: bytes) -> bytes:
    """A pickle with its digest at the end, which other readers do not look at."""
    return content + _digest(content)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST).digest()


def _shared(record: Any, *, texts: dict[str, str]) -> Any:
    """A copy of a record in which equal texts are one object.

    pickle writes a text once per object, not per value; without this the bytes would tell how the trees were made.
    """
    values = {f.name: getattr(record, f.name) for f in fields(record)}
    return replace(record, **{name: texts.setdefault(v, v) for name, v in values.items() if isinstance(v, str)})


# Of earlier protocols: they may number what is remembered up to 2**32, and as much memory is taken.
_NUMBERED = {"PUT", "BINPUT", "LONG_BINPUT"}


class _Unpickler(pickle.Unpickler):
    """Builds our own records and nothing else: no foreign name is ever imported."""

    def find_class(self, module: str, name: str) -> Any:
        for kind in RECORDS:
            if (module, name) == (kind.__module__, kind.__qualname__):
                return kind
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def load(path: Path) -> dict[str, TrajectoryTree]:
    """Read what `dump` wrote.

    Raises:
        UserError: `path` is missing, damaged, a pickle of something else or of another version, or a tree is none.
    """
    with reading(path, "a file of trajectory trees"):
        content = path.read_bytes()
        # First, for a damaged pickle may ask for all the memory there is.
        if _digest(content[:-DIGEST]) != content[-DIGEST:]:
            raise ValueError("damaged, or of an earlier version")
        if foreign := {opcode.name for opcode, _, _ in pickletools.genops(content)} & _NUMBERED:
            raise ValueError(f"written by hand: {sorted(foreign)[0]}")
        found = _Unpickler(io.BytesIO(content)).load()
        if not (isinstance(found, tuple) and len(found) == 2 and found[0] == FORMAT):
            raise ValueError("of another version")
        trees = found[1]
        if not (isinstance(trees, dict) and all(isinstance(tree, TrajectoryTree) for tree in trees.values())):
            raise ValueError("no trees by task id")
        for task_id, tree in trees.items():
            if problem := next(flaws(tree), None) or (task_id != tree.task_id and "of another task"):
                raise ValueError(f"tree of {named(str(task_id))}: {problem}")
        return trees


def flaws(tree: TrajectoryTree) -> Iterator[str]:
    """What is wrong with a tree that `merging.build` cannot have made, one short reason after the other."""
    steps = [step for each in tree.trajectories for step in each.steps]
    records: list[Node | Trajectory | Step] = [*tree.nodes, *tree.trajectories, *steps]
    for record in records:
        for each in fields(record):
            if each.type in _PLAIN and type(getattr(record, each.name)) is not each.type:
                yield f"{type(record).__name__}.{each.name} is no {each.type.__name__}"
    if not (tree.trajectories and all(trajectory.steps for trajectory in tree.trajectories)):
        yield "a trajectory without steps"
    if len({(each.environment, each.task_id) for each in tree.trajectories}) > 1:
        yield "trajectories of several tasks"
    if any(not 0.0 <= step.score <= 1.0 for step in steps):
        yield "a score outside 0 to 1"
    everyone = tuple(range(len(tree.trajectories)))
    root = tree.nodes[ROOT] if tree.nodes else None
    if root is None or (root.parent, root.depth, root.members) != (-1, 0, everyone):
        yield "no root that all samples pass through"
    for number, node in enumerate(tree.nodes):
        below = [tree.nodes[child] for child in node.children if number < child < len(tree.nodes)]
        if len(below) != len(node.children) or any(child.parent != number for child in below):
            yield f"node {number}: a child that is not below it"
        if number != ROOT and not (0 <= node.parent < number and number in tree.nodes[node.parent].children):
            yield f"node {number}: a parent that does not know it"
        if number != ROOT and node.depth != tree.nodes[node.parent].depth + (not node.stop):
            yield f"node {number}: another depth than its parent's tells"
        if node.stop == bool(node.children) or node.members != tuple(sorted({*node.members}.intersection(everyone))):
            yield f"node {number}: neither a stop leaf nor one that samples go on from"
        if node.children and sorted(member for child in below for member in child.members) != list(node.members):
            yield f"node {number}: samples that get lost, or come from nowhere"
        lengths = [len(tree.trajectories[member].steps) for member in node.members]
        if any(node.depth > length or (node.stop and node.depth != length) for length in lengths):
            yield f"node {number}: a sample that has fewer steps, or more"
        if not math.isclose(node.total_reward, sum(tree.scores(number)) if node.stop else 0.0):
            yield f"node {number}: another sum of scores than its samples have"
