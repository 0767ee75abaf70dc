"""How good a trajectory tree is: its diversity, representativeness and informativeness (paper, section 3.2)."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from w2sg.config.data import Aggregate
from w2sg.contracts.trajectories import Trajectory
from w2sg.trees.pairs import divergences, informative
from w2sg.trees.tree import TrajectoryTree


@dataclass(frozen=True, slots=True)
class TreeQuality:
    """The figures of one task's tree.

    Attributes:
        samples: M, the trajectories in the tree.
        steps: their execution steps, counted before merging.
        nodes: execution-step nodes, without the root and the stop leaves.
        merge_rate: share of the steps that fell onto a node which was already there, 1 - nodes/steps.
        terminals: distinct stop leaves, 1 to M: the distinct ways the samples went.
        branchings: nodes with two or more children, stop leaves counted as children (diversity).
        branchings_possible: the most that M samples allow, M - 1: each leaves the tree it joins at one node.
        branching_factor: mean number of children of those nodes; 0.0 where nothing branches.
        depth_mean, depth_max: execution steps down to the stop leaves (representativeness).
        divergences: decision points, where different actions answer one observation.
        informative: those whose best and worst action differ in aggregated G by the minimum gap (informativeness).
        mixed: the samples hold a success (G = 1) and a failure.
        best_score, mean_score: over the samples, in [0, 1].
    """

    task_id: str
    samples: int
    steps: int
    nodes: int
    merge_rate: float
    terminals: int
    branchings: int
    branchings_possible: int
    branching_factor: float
    depth_mean: float
    depth_max: int
    divergences: int
    informative: int
    mixed: bool
    best_score: float
    mean_score: float


def tree_quality(tree: TrajectoryTree, *, minimum_gap: float, aggregate: Aggregate) -> TreeQuality:
    """Measure one tree; gaps are aggregated and judged as in `pairs.tree_pairs`."""
    steps = sum(len(trajectory.steps) for trajectory in tree.trajectories)
    nodes = len(tree.nodes) - 1 - len(tree.stops)
    breadths = [len(node.children) for node in tree.nodes if len(node.children) > 1]
    depths = [tree.nodes[stop].depth for stop in tree.stops]
    scores = [trajectory.score for trajectory in tree.trajectories]
    return TreeQuality(
        task_id=tree.task_id,
        samples=len(tree.trajectories),
        steps=steps,
        nodes=nodes,
        merge_rate=1 - nodes / steps,
        terminals=len(tree.stops),
        branchings=len(breadths),
        branchings_possible=len(tree.trajectories) - 1,
        branching_factor=_mean(breadths),
        depth_mean=_mean(depths),
        depth_max=max(depths),
        divergences=len(divergences(tree, aggregate=aggregate)),
        informative=len(informative(tree, minimum_gap=minimum_gap, aggregate=aggregate)),
        mixed=len({trajectory.success for trajectory in tree.trajectories}) == 2,
        best_score=max(scores),
        mean_score=_mean(scores),
    )


def summarize(qualities: Iterable[TreeQuality]) -> dict[str, Any]:
    """Figures over tasks, ready for JSON.

    "mean" averages each figure over the tasks (for `mixed`: the share of mixed tasks), "total" adds up the counts.
    "mixed" looks only at tasks with both successes and failures: how many they are, how many informative divergences
    they have on average and at most, and which share has any. Means over no tasks are 0.0.
    """
    rows = [asdict(quality) for quality in qualities]
    names = [name for name in TreeQuality.__dataclass_fields__ if name != "task_id"]
    counts = (
        "samples",
        "steps",
        "nodes",
        "terminals",
        "branchings",
        "branchings_possible",
        "divergences",
        "informative",
    )
    informative = [row["informative"] for row in rows if row["mixed"]]
    return {
        "tasks": len(rows),
        "mean": {name: _mean([row[name] for row in rows]) for name in names},
        "total": {name: sum(row[name] for row in rows) for name in counts},
        "mixed": {
            "tasks": len(informative),
            "informative_mean": _mean(informative),
            "informative_max": max(informative, default=0),
            "informative_share": _mean([number > 0 for number in informative]),
        },
    }


def by_policy(samples: Sequence[Trajectory]) -> dict[str, list[Trajectory]]:
    """One task's samples by the policy that played them, as many of each, so that the quality of their trees compares.

    "together" holds as many once more, taken from the policies in turn: what a second exploration policy (eq. 5)
    adds to a tree of the same size. Empty with one policy, or where a policy has fewer than two samples.
    """
    played: dict[str, list[Trajectory]] = {}
    for sample in samples:
        played.setdefault(sample.policy, []).append(sample)
    size = min(map(len, played.values()))
    if len(played) < 2 or size < 2:
        return {}
    cut = {policy: own[:size] for policy, own in played.items()}
    in_turn = [sample for each in zip(*cut.values(), strict=True) for sample in each]
    return cut | {"together": in_turn[:size]}


def _mean(values: list[Any]) -> float:
    return fmean(values) if values else 0.0
