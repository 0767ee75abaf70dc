"""The search node by node, as section 3.2 tells it: what `mcts.search` must equal to the last bit."""

from math import log, sqrt

import numpy as np

from w2sg.trees.mcts import Statistics
from w2sg.trees.tree import ROOT, TrajectoryTree


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
