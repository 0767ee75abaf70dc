"""From M trajectories to one tree: add each from the root and merge the steps it shares (paper, section 3.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2sg.config.data import MergeKey
from w2sg.contracts.errors import UserError
from w2sg.contracts.trajectories import Step, Trajectory
from w2sg.trees.tree import ROOT, Node, TrajectoryTree

Embeddings = Mapping[str, NDArray[np.floating[Any]]]


def key_text(step: Step, *, merge_key: MergeKey) -> str:
    """The text by which a step is compared (A1): its observation, or observation and thought as the authors do."""
    return f"{step.observation} {step.thought}" if merge_key == "observation+thought" else step.observation


def action_key(step: Step) -> tuple[bool, str]:
    """What "the same action" means: equal text, letter by letter.

    A step without a parsable action stands for its whole response, so two different ones are two different actions.
    """
    return step.valid, step.action if step.valid else step.response


def similarity(text: str, other: str, *, merge_key: MergeKey, embeddings: Embeddings) -> float:
    """Cosine of two texts' embeddings, in [-1, 1]; equal texts are 1.0 and, under "exact", all others -inf.

    Raises:
        UserError: one of two different texts has no embedding.
    """
    if text == other:
        return 1.0
    if merge_key == "exact":
        return -np.inf
    for each in (text, other):
        if each not in embeddings:
            raise UserError(f"embeddings: no vector for the text {each[:80]!r}; run the embed stage again")
    return min(1.0, float(np.dot(embeddings[text], embeddings[other])))


@dataclass(slots=True)
class _Growing:
    """A node while the tree grows; `step` is None for the root and for stop leaves."""

    parent: int
    depth: int
    step: Step | None
    children: list[int] = field(default_factory=list)
    members: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Merges:
    """What merging did in one tree.

    Attributes:
        steps: execution steps of the samples.
        merged: those that fell onto a node which was already there.
        differing: those among the merged whose observation is another text than the node's: merge errors, where a
            text tells the state.
    """

    steps: int
    merged: int
    differing: int


def count_merges(tree: TrajectoryTree) -> Merges:
    """Count the steps that share a node with an earlier sample's."""
    steps = merged = differing = 0
    for number, node in enumerate(tree.nodes):
        if number == ROOT or node.stop:
            continue
        observations = [tree.trajectories[member].steps[node.depth - 1].observation for member in node.members]
        steps += len(observations)
        merged += len(observations) - 1
        differing += sum(observation != observations[0] for observation in observations[1:])
    return Merges(steps, merged, differing)


def build(
    trajectories: Sequence[Trajectory], *, merge_key: MergeKey, xi: float, embeddings: Embeddings
) -> TrajectoryTree:
    """The tree of one task's trajectories, added in the order given.

    A child is reused when its action is the same and cos(o_v, o_new) >= xi; of several the most similar wins, then the
    oldest. A node keeps the texts of the sample that created it, and is compared by them.

    Args:
        trajectories: M >= 1 trajectories of one task, each with at least one step.
        xi: threshold xi_sim; under the key "exact" it plays no part.
        embeddings: unit vector of every `key_text`; may be empty under "exact".

    Raises:
        UserError: an embedding is missing.
    """
    assert trajectories and all(trajectory.steps for trajectory in trajectories), "a tree needs steps"
    assert len({(t.environment, t.task_id) for t in trajectories}) == 1, "a tree is of one task"
    nodes = [_Growing(parent=-1, depth=0, step=None)]

    def child(parent: int, step: Step | None) -> int:
        nodes[parent].children.append(len(nodes))
        nodes.append(_Growing(parent=parent, depth=nodes[parent].depth + (step is not None), step=step))
        return len(nodes) - 1

    for position, trajectory in enumerate(trajectories):
        at = ROOT
        nodes[at].members.append(position)
        for step in (*trajectory.steps, None):
            likeness = {
                number: _likeness(step, nodes[number].step, merge_key=merge_key, embeddings=embeddings)
                for number in nodes[at].children
            }
            closest = max(likeness, key=likeness.__getitem__, default=None)  # the oldest of equals
            at = closest if closest is not None and likeness[closest] >= xi else child(at, step)
            nodes[at].members.append(position)
    return TrajectoryTree(tuple(trajectories), tuple(_frozen(node, trajectories) for node in nodes))


def _likeness(step: Step | None, other: Step | None, *, merge_key: MergeKey, embeddings: Embeddings) -> float:
    """Similarity of two steps with the same action, -inf of others; None, the end of a trajectory, is like itself."""
    if step is None or other is None:
        return 1.0 if step is other else -np.inf
    if action_key(step) != action_key(other):
        return -np.inf
    texts = key_text(step, merge_key=merge_key), key_text(other, merge_key=merge_key)
    return similarity(*texts, merge_key=merge_key, embeddings=embeddings)


def _frozen(node: _Growing, trajectories: Sequence[Trajectory]) -> Node:
    stop = not node.children
    return Node(
        parent=node.parent,
        depth=node.depth,
        children=tuple(node.children),
        members=tuple(node.members),
        stop=stop,
        total_reward=sum((trajectories[member].score for member in node.members), 0.0) if stop else 0.0,
    )
