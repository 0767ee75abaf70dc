"""Offline Monte Carlo tree search on the static trajectory tree (paper, section 3.2, eq. 7).

Nothing is simulated: a search path ends in a stop leaf and backs up the mean G of the samples that end there, to every
node on the way, the root included. The search counts in r_M and c_M of its own, apart from the data's visits (A4).
"""

from dataclasses import dataclass
from math import inf, log, sqrt
from typing import Literal, TypeAlias

import numpy as np

from w2sg.contracts.trajectories import Step
from w2sg.trees.tree import ROOT, TrajectoryTree

Ties: TypeAlias = Literal["shortest", "visits"]
Words: TypeAlias = Literal["own", "first"]


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the search knows of a tree of N nodes.

    Attributes:
        reward: length N, r_M(v): sum of the scores backed up through v.
        visits: length N, c_M(v): number of search paths through v. A node's visits are the sum of its children's.
    """

    reward: list[float]
    visits: list[int]


@dataclass(frozen=True, slots=True)
class OptimizedPath:
    """e*, one root-to-leaf path of the tree.

    Attributes:
        nodes: numbers of its execution-step nodes and, last, of its stop leaf; length n + 1.
        steps: length n, (o_t, th_t, a_t) of those nodes (A6).
        value: mean G of the samples that end in the stop leaf, which is its r_M/c_M.
        source_sample: `Trajectory.sample` of the sample that is e* word for word; -1 where nodes in the words of their
            first samples have put together observations or thoughts of several. The actions are in any case those of
            every sample that ends in the leaf: actions merge only when equal, and a tree has one way to each leaf.
    """

    nodes: tuple[int, ...]
    steps: tuple[Step, ...]
    value: float
    source_sample: int


def search(tree: TrajectoryTree, *, gamma: float, iterations: int, rng: np.random.Generator) -> Statistics:
    """Run select, expand, backup `iterations` (at least 1) times; `gamma` weighs exploration in eq. 7."""
    assert iterations >= 1, "a search needs an iteration"
    statistics = Statistics(reward=[0.0] * len(tree.nodes), visits=[0] * len(tree.nodes))
    for _ in range(iterations):
        path = select(tree, statistics=statistics, gamma=gamma)
        path = expand(tree, path=path, statistics=statistics, rng=rng)
        backup(statistics, path=path, score=tree.nodes[path[-1]].mean_score)
    return statistics


def ucb(reward: float, visits: int, *, total: int, gamma: float) -> float:
    """UCB(v') = r_M/c_M + gamma sqrt(log C_M / c_M) (eq. 7); `total` is C_M, the visits of v' and its siblings (A2)."""
    return reward / visits + gamma * sqrt(log(total) / visits)


def select(tree: TrajectoryTree, *, statistics: Statistics, gamma: float) -> list[int]:
    """Descend from the root by the highest UCB, the oldest child winning ties.

    Returns the path to the first node with an unvisited child (whose UCB is infinite), or to a stop leaf.
    """
    reward, visits = statistics.reward, statistics.visits
    path = [ROOT]
    while children := tree.nodes[path[-1]].children:
        counts = [visits[child] for child in children]
        if not all(counts):
            break
        if len(children) == 1:  # most of a tree is chains
            path.append(children[0])
            continue
        scores = [ucb(reward[child], visits[child], total=sum(counts), gamma=gamma) for child in children]
        path.append(children[scores.index(max(scores))])
    return path


def expand(tree: TrajectoryTree, *, path: list[int], statistics: Statistics, rng: np.random.Generator) -> list[int]:
    """Extend the path to a stop leaf through unvisited children, drawn evenly: the tie-break of infinite UCBs (A3)."""
    path = list(path)
    while children := tree.nodes[path[-1]].children:
        unvisited = [child for child in children if not statistics.visits[child]]
        path.append(unvisited[rng.integers(len(unvisited))])
    return path


def backup(statistics: Statistics, *, path: list[int], score: float) -> None:
    """Credit `score` to every node of the path."""
    for number in path:
        statistics.reward[number] += score
        statistics.visits[number] += 1


def extract(tree: TrajectoryTree, *, statistics: Statistics, ties: Ties, words: Words = "own") -> OptimizedPath:
    """Descend greedily by r_M/c_M; where two children are equal, `ties` decides.

    Two are equal as a rule when every sample below both of them succeeds.

    Args:
        ties: `shortest` prefers the child with the fewest steps to the best leaf below it; what is still equal, and all
            under `visits`, goes to more search visits, then more data visits, then the oldest child.
        words: `own`: observations and thoughts are those of the best sample that ends in the leaf, the first of equals;
            `first`: each node says what the first sample said that came by, which may be one that failed later.
    """
    ahead = steps_to_best(tree) if ties == "shortest" else [0] * len(tree.nodes)

    def merit(number: int) -> tuple[float, int, int, int]:
        reward, visits = statistics.reward[number], statistics.visits[number]
        # rounded: the sum of n equal scores, divided by n, is not always that score to the last bit
        value = round(reward / visits, 12) if visits else -inf
        return (value, -ahead[number], visits, tree.nodes[number].visits)

    path: list[int] = []
    while children := tree.nodes[path[-1] if path else ROOT].children:
        path.append(max(children, key=merit))
    leaf = tree.nodes[path[-1]]
    samples = [tree.trajectories[member] for member in leaf.members]
    best = max(samples, key=lambda sample: sample.score)
    steps = best.steps if words == "own" else tuple(tree.step(number) for number in path[:-1])
    said = [(step.observation, step.response) for step in steps]
    own = [sample.sample for sample in samples if [(s.observation, s.response) for s in sample.steps] == said]
    return OptimizedPath(tuple(path), steps, leaf.mean_score, own[0] if own else -1)


def max_backup(tree: TrajectoryTree) -> list[float]:
    """Best mean G of any stop leaf below each node, by dynamic programming; length N (A7: what the search tends to)."""
    best = [0.0] * len(tree.nodes)
    for number, node in reversed(list(enumerate(tree.nodes))):
        best[number] = node.mean_score if node.stop else max(best[child] for child in node.children)
    return best


def steps_to_best(tree: TrajectoryTree) -> list[int]:
    """Steps from each node to the nearest stop leaf with the best mean G below it; length N, 0 at a leaf."""
    best, steps = max_backup(tree), [0] * len(tree.nodes)
    for number, node in reversed(list(enumerate(tree.nodes))):
        if not node.stop:
            steps[number] = 1 + min(steps[child] for child in node.children if best[child] == best[number])
    return steps
