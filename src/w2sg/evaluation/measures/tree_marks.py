"""What a person looks for in a trajectory tree: what decided it, where e*, pairs and the expert go, and parts of it."""

from collections.abc import Mapping, Sequence
from math import log, sqrt

from w2sg.config.data import Aggregate
from w2sg.contracts.messages import Message
from w2sg.contracts.pairs import Pair
from w2sg.contracts.trajectories import Step, Trajectory
from w2sg.trees.mcts import Statistics
from w2sg.trees.merging import action_key
from w2sg.trees.pairs import Divergence, informative
from w2sg.trees.tree import ROOT, Node, TrajectoryTree


def followed(tree: TrajectoryTree, messages: Sequence[Message]) -> tuple[int, ...]:
    """Numbers of the nodes from the root on that a conversation runs through, as far as its words are in the tree.

    A node holds the words of every sample that came through it. A prompt may open the first user turn. What follows the
    last assistant turn is left aside.
    """
    turns = [turn["content"] for turn in messages]
    path = [ROOT]
    for observation, response in zip(turns[::2], turns[1::2], strict=False):
        children = tree.nodes[path[-1]].children
        same = [c for c in children if any(_says(s, observation, response) for s in steps_at(tree, c))]
        if not same:
            break
        path.append(same[0])
    return tuple(path)


def _says(step: Step, observation: str, response: str) -> bool:
    return step.response == response and observation.endswith(step.observation)


def steps_at(tree: TrajectoryTree, number: int) -> list[Step]:
    """The steps of all samples that share an execution-step node; none at the root and at stop leaves."""
    node = tree.nodes[number]
    if node.stop or number == ROOT:
        return []
    return [tree.trajectories[member].steps[node.depth - 1] for member in node.members]


def parting(tree: TrajectoryTree, pair: Pair) -> tuple[int, int, int] | None:
    """The node after which a pair's sides part and the first nodes of sigma+ and sigma-; None where it is not of here.

    Sides that begin with the same words, as those of whole paths may, have the same first node.
    """
    path = followed(tree, pair.history)
    if len(path) != pair.divergence + 1:
        return None
    found = []
    for side in (pair.chosen, pair.rejected):
        response = side[0]["content"]
        children = tree.nodes[path[-1]].children
        found += [c for c in children if any(step.response == response for step in steps_at(tree, c))][:1]
    return (path[-1], found[0], found[1]) if len(found) == 2 else None


def experts_way(tree: TrajectoryTree, expert: Trajectory) -> tuple[int, ...]:
    """Nodes from the root on at which a sample saw what the expert saw and did what the expert did."""
    path = [ROOT]
    for step in expert.steps:
        wanted = (step.observation, action_key(step))
        children = [c for c in tree.nodes[path[-1]].children if not tree.nodes[c].stop]
        same = [c for c in children if (tree.step(c).observation, action_key(tree.step(c))) == wanted]
        if not same:
            break
        path.append(same[0])
    return tuple(path)


def explained(tree: TrajectoryTree, found: Divergence) -> float:
    """How much of the variance of G a divergence explains: the sum of squares between its best and its worst way.

    Of n and m samples, whose means are a gap apart, it is gap^2 n m / (n + m).
    """
    best, worst = tree.nodes[found.best].visits, tree.nodes[found.worst].visits
    return round(found.gap**2 * best * worst / (best + worst), 9)


def deciding(tree: TrajectoryTree, *, minimum_gap: float, aggregate: Aggregate) -> Divergence | None:
    """The informative divergence that decided a task: the one that explains most, the first of equals; None without."""
    found = informative(tree, minimum_gap=minimum_gap, aggregate=aggregate)
    return max(found, key=lambda each: explained(tree, each), default=None)


def first_samples(tree: TrajectoryTree, count: int) -> TrajectoryTree:
    """The tree of the first `count` samples, 1 to M: samples are added in order, so it is the first nodes of this one.

    Nodes keep their numbers.
    """
    nodes: list[Node] = []
    for node in tree.nodes:
        members = tuple(member for member in node.members if member < count)
        if not members:
            break
        reward = sum(tree.trajectories[member].score for member in members) if node.stop else 0.0
        nodes.append(Node(node.parent, node.depth, node.children, members, node.stop, reward))
    size = len(nodes)
    kept = tuple(
        Node(n.parent, n.depth, tuple(c for c in n.children if c < size), n.members, n.stop, n.total_reward)
        for n in nodes
    )
    return TrajectoryTree(tree.trajectories[:count], kept)


def ucb(tree: TrajectoryTree, statistics: Statistics, *, gamma: float) -> Mapping[int, float]:
    """UCB (eq. 7) of every node that the search has visited, when it had ended; the root has none."""
    found = {}
    for number, node in enumerate(tree.nodes):
        if number != ROOT and (count := statistics.visits[number]):
            total = sum(statistics.visits[other] for other in tree.nodes[node.parent].children)
            found[number] = statistics.reward[number] / count + gamma * sqrt(log(total) / count)
    return found
