"""Offline Monte Carlo tree search on the static trajectory tree (paper, section 3.2, eq. 7).

Nothing is simulated: a search path ends in a stop leaf and backs up the mean G of the samples that end there, to every
node on the way, the root included. The search counts in r_M and c_M of its own, apart from the data's visits (A4).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf, log, sqrt

import numpy as np

from w2sg.config.data import Ties, Words
from w2sg.contracts.trajectories import Step
from w2sg.trees.tree import ROOT, TrajectoryTree


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
    """Select, expand, back up `iterations` (at least 1) times.

    A path descends from the root by the highest UCB, the oldest child winning ties:
    UCB(v') = r_M/c_M + gamma sqrt(log C_M / c_M) (eq. 7), where C_M is the visits of v' and its siblings (A2).
    That of an unvisited child is infinite; of several such, one is drawn evenly (A3). The score of the stop leaf at the
    end is credited to every node of the path.

    Only nodes with several children decide anything, so what is searched is the stretches between them; the counts of a
    stretch are those of all its nodes.
    """
    assert iterations >= 1, "a search needs an iteration"
    stretches, arms = _stretches(tree)
    reward, visits = [0.0] * len(stretches), [0] * len(stretches)
    scores = [tree.nodes[stretch[-1]].mean_score for stretch in stretches]
    logs = [0.0, *map(log, range(1, iterations + 1))]
    for _ in range(iterations):
        here, path = 0, [0]
        while below := arms[here]:
            total, best = logs[visits[here]], -inf
            for arm in below:
                if not (count := visits[arm]):
                    unvisited = [other for other in below if not visits[other]]
                    here = unvisited[rng.integers(len(unvisited))]
                    break
                if (ucb := reward[arm] / count + gamma * sqrt(total / count)) > best:
                    best, here = ucb, arm
            path.append(here)
        score = scores[here]
        for number in path:
            reward[number] += score
            visits[number] += 1
    statistics = Statistics(reward=[0.0] * len(tree.nodes), visits=[0] * len(tree.nodes))
    for number, stretch in enumerate(stretches):
        for node in stretch:
            statistics.reward[node], statistics.visits[node] = reward[number], visits[number]
    return statistics


def searches(
    trees: Mapping[str, TrajectoryTree], *, gamma: float, iterations: int, seed: int
) -> Iterator[tuple[str, Statistics]]:
    """Search all trees of one environment and seed by task id, in their order: they draw from one generator."""
    rng = np.random.default_rng(seed)
    for task_id, tree in trees.items():
        yield task_id, search(tree, gamma=gamma, iterations=iterations, rng=rng)


def _stretches(tree: TrajectoryTree) -> tuple[list[list[int]], list[list[int]]]:
    """Chains of only children, each down to a stop leaf or to the first node with several; the first has the root.

    Returns:
        The numbers of the nodes of each stretch, and of the stretches that begin below it.
    """
    stretches: list[list[int]] = []
    arms: list[list[int]] = []
    waiting: list[tuple[int, list[int]]] = [(ROOT, [])]
    while waiting:
        number, above = waiting.pop()
        above.append(len(stretches))
        stretch = [number]
        while len(children := tree.nodes[stretch[-1]].children) == 1:
            stretch += children
        stretches.append(stretch)
        arms.append([])
        waiting += [(child, arms[-1]) for child in reversed(children)]
    return stretches, arms


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
