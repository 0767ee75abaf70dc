"""The trajectory tree of one task (paper, section 3.2): flat, frozen, and written to disk as a pickle.

The tree holds the recorded trajectories themselves; a node is only where they share a step. Every trajectory ends in an
explicit "stop" leaf (A5), so one that ends where others go on stays reachable:

    (root) ── look ── take mug ── put mug ── ■ 1.0          ■ stop leaf with the mean G of the samples that end there
                  │            └─ ■ 0.0
                  └── take pan ── ■ 0.0
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from w2sg.contracts.errors import UserError
from w2sg.contracts.files import replacing
from w2sg.contracts.trajectories import Step, Trajectory

ROOT = 0


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
        return self.total_reward / len(self.members)


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
    with replacing(path) as temporary, temporary.open("wb") as file:
        pickle.dump(shared, file, protocol=5)


def _shared(record: Any, *, texts: dict[str, str]) -> Any:
    """A copy of a record in which equal texts are one object.

    pickle writes a text once per object, not per value; without this the bytes would tell how the trees were made.
    """
    values = {f.name: getattr(record, f.name) for f in fields(record)}
    return replace(record, **{name: texts.setdefault(v, v) for name, v in values.items() if isinstance(v, str)})


class _Unpickler(pickle.Unpickler):
    """Builds our own records and nothing else: no foreign name is ever imported."""

    def find_class(self, module: str, name: str) -> Any:
        for kind in (TrajectoryTree, Node, Trajectory, Step):
            if (module, name) == (kind.__module__, kind.__qualname__):
                return kind
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def load(path: Path) -> dict[str, TrajectoryTree]:
    """Read what `dump` wrote.

    Raises:
        UserError: `path` is missing, truncated, or a pickle of something else.
    """
    try:
        with path.open("rb") as file:
            trees = _Unpickler(file).load()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that writes it") from None
    except Exception as error:  # a damaged pickle may raise anything
        reason = str(error).splitlines() or [type(error).__name__]
        raise UserError(f"{path}: not a file of trajectory trees ({reason[0]}); rebuild it") from None
    if not (isinstance(trees, dict) and all(isinstance(tree, TrajectoryTree) for tree in trees.values())):
        raise UserError(f"{path}: not a file of trajectory trees by task id; rebuild it")
    return trees
