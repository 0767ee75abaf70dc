"""Stage trees: one trajectory tree per explored task (section 3.2), and how good the trees are (M7)."""

from dataclasses import asdict
from itertools import groupby

from w2sg import layout
from w2sg.embedding import read_embeddings
from w2sg.files import write_json
from w2sg.params import Params
from w2sg.records import read_trajectories
from w2sg.trees.merging import build
from w2sg.trees.quality import summarize, tree_quality
from w2sg.trees.tree import dump


def main(params: Params, *, environment: str, seed: int) -> None:
    """Read the weak exploration and its embeddings; write the trees of the first `tree.breadth` samples."""
    settings = params.tree
    embeddings = read_embeddings(layout.embeddings(environment, seed))
    explored = read_trajectories(layout.explore(environment, seed, "weak"))
    trees = {}
    for task_id, group in groupby(explored, key=lambda trajectory: trajectory.task_id):
        samples = [trajectory for trajectory in group if trajectory.sample < settings.breadth]
        trees[task_id] = build(samples, merge_key=settings.merge_key, xi=settings.similarity, embeddings=embeddings)
    qualities = [
        tree_quality(tree, minimum_gap=params.pairs.minimum_gap, aggregate=params.pairs.aggregate)
        for tree in trees.values()
    ]
    dump(layout.trees(environment, seed), trees)
    report = {"summary": summarize(qualities), "tasks": [asdict(quality) for quality in qualities]}
    write_json(layout.tree_quality(environment, seed), report)
