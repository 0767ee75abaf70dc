"""Stage trees: one trajectory tree per explored task (section 3.2), and how good the trees are."""

from collections import Counter
from dataclasses import asdict
from itertools import groupby

from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError
from w2sg.contracts.files import write_json
from w2sg.contracts.trajectories import Trajectory, read_trajectories
from w2sg.trees.embeddings import read_embeddings
from w2sg.trees.merging import build
from w2sg.trees.quality import TreeQuality, by_policy, summarize, tree_quality
from w2sg.trees.tree import TrajectoryTree, dump


def main(params: Params, *, environment: str, seed: int) -> None:
    """Read the weak exploration and its embeddings; write the trees of the first `tree.breadth` samples.

    Where several policies have explored, how good each one's own trees are is written beside it (`by_policy`).

    Raises:
        UserError: a sample is there twice, or a text has no embedding.
    """
    embeddings = read_embeddings(layout.embeddings(environment, seed))
    explored = read_trajectories(layout.explore(environment, seed, "weak"))
    counts = Counter((trajectory.task_id, trajectory.sample) for trajectory in explored)
    if twice := [f"sample {sample} of {task_id}" for (task_id, sample), count in counts.items() if count > 1]:
        found = f"{twice[0]} is there more than once"
        raise UserError(f"{layout.explore(environment, seed, 'weak')}: {found}; run the stage that writes it again")

    def grow(samples: list[Trajectory]) -> TrajectoryTree:
        settings = params.tree
        return build(samples, merge_key=settings.merge_key, xi=settings.similarity, embeddings=embeddings)

    def quality(tree: TrajectoryTree) -> TreeQuality:
        return tree_quality(tree, minimum_gap=params.pairs.minimum_gap, aggregate=params.pairs.aggregate)

    trees = {}
    policies: dict[str, list[TreeQuality]] = {}
    for task_id, group in groupby(explored, key=lambda trajectory: trajectory.task_id):
        samples = list(group)
        trees[task_id] = grow([sample for sample in samples if sample.sample < params.tree.breadth])
        for policy, own in by_policy(samples).items():
            policies.setdefault(policy, []).append(quality(grow(own)))
    qualities = [quality(tree) for tree in trees.values()]
    dump(layout.trees(environment, seed), trees)
    report = {
        "summary": summarize(qualities),
        "by_policy": {policy: summarize(own) for policy, own in policies.items()},
        "tasks": [asdict(quality) for quality in qualities],
    }
    write_json(layout.tree_quality(environment, seed), report)
