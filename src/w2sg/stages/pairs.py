"""Stage pairs: preference pairs of one kind (M8): at the trees' divergences, or random ones for contrast."""

import numpy as np

from w2sg import layout
from w2sg.agents.prompts import prompt
from w2sg.errors import UserError
from w2sg.params import PairKind, Params
from w2sg.records import Pair, read_trajectories
from w2sg.trees.pairs import random_pairs, tree_pairs
from w2sg.trees.tree import load


def main(params: Params, *, environment: str, seed: int, kind: PairKind) -> None:
    """Read the trees (or the weak exploration), write the pairs.

    Raises:
        UserError: not a single pair came out.
    """
    settings = params.pairs
    text = prompt(environment, style=params.environment(environment).prompt)
    trees = load(layout.trees(environment, seed)).values()
    pairs = tree_pairs(
        trees,
        minimum_gap=settings.minimum_gap,
        aggregate=settings.aggregate,
        whole_path=settings.whole_path,
        prompt=text,
    )
    if kind == "random":
        # As many as the trees give, from the same trajectories: only the structure differs.
        explored = [
            t for t in read_trajectories(layout.explore(environment, seed, "weak")) if t.sample < params.tree.breadth
        ]
        rng = np.random.default_rng(seed)
        pairs = random_pairs(explored, rng=rng, count=len(pairs), minimum_gap=settings.minimum_gap, prompt=text)
    if not pairs:
        raise UserError(
            f"{layout.pairs(environment, seed, kind)}: no pair: no task has both better and worse trajectories; "
            "raise explore.samples or explore.tasks, or lower pairs.minimum_gap"
        )
    Pair.write(layout.pairs(environment, seed, kind), pairs)
