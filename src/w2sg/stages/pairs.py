"""Stage pairs: the preference pairs of one method (sections 3.2, 4.1), from the source that its roster entry names."""

from collections.abc import Callable

import numpy as np

from w2sg.config.params import Params
from w2sg.config.rosters import PairKind
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError
from w2sg.contracts.pairs import Pair
from w2sg.contracts.trajectories import Trajectory, read_trajectories
from w2sg.environments.prompts import prompt
from w2sg.trees.pairs import ceiling_pairs, eto_pairs, random_pairs, tree_pairs
from w2sg.trees.tree import TrajectoryTree, load


def main(params: Params, *, environment: str, seed: int, method: str) -> None:
    """Read the trees, the exploration or the experts, write the pairs.

    Raises:
        UserError: not a single pair came out.
    """
    kind = params.preference[method].data
    pairs = BUILDERS[kind](params, environment, seed)
    if not pairs:
        raise UserError(
            f"{layout.pairs(environment, seed, method)}: no pair of kind {kind}: no task has both better and worse "
            "trajectories; raise explore.samples or explore.tasks, or lower pairs.minimum_gap"
        )
    Pair.write(layout.pairs(environment, seed, method), pairs)


def _tree(params: Params, environment: str, seed: int) -> list[Pair]:
    return _of_trees(_trees(environment, seed), params, environment)


def _random(params: Params, environment: str, seed: int) -> list[Pair]:
    """As many as the trees give, from the trajectories that they hold: only the structure differs."""
    trees = _trees(environment, seed)
    return random_pairs(
        [trajectory for tree in trees for trajectory in tree.trajectories],
        rng=np.random.default_rng(seed),
        count=len(_of_trees(trees, params, environment)),
        minimum_gap=params.pairs.minimum_gap,
        prompt=_prompt(params, environment),
    )


def _of_trees(trees: list[TrajectoryTree], params: Params, environment: str) -> list[Pair]:
    return tree_pairs(
        trees,
        minimum_gap=params.pairs.minimum_gap,
        aggregate=params.pairs.aggregate,
        whole_path=params.pairs.whole_path,
        turns=params.pairs.turns,
        prompt=_prompt(params, environment),
    )


def _eto(params: Params, environment: str, seed: int) -> list[Pair]:
    return eto_pairs(
        _explored(environment, seed),
        minimum_gap=params.pairs.minimum_gap,
        prompt=_prompt(params, environment),
    )


def _ceiling(params: Params, environment: str, seed: int) -> list[Pair]:
    return ceiling_pairs(
        _explored(environment, seed),
        experts=read_trajectories(layout.explored_experts(environment)),
        minimum_gap=params.pairs.minimum_gap,
        prompt=_prompt(params, environment),
    )


def _trees(environment: str, seed: int) -> list[TrajectoryTree]:
    return list(load(layout.trees(environment, seed)).values())


def _explored(environment: str, seed: int) -> list[Trajectory]:
    """What the strong model itself has played."""
    return read_trajectories(layout.explore(environment, seed, "strong"))


def _prompt(params: Params, environment: str) -> str:
    return prompt(environment, style=params.environment(environment).prompt)


BUILDERS: dict[PairKind, Callable[[Params, str, int], list[Pair]]] = {
    "tree": _tree,
    "random": _random,
    "eto": _eto,
    "ceiling": _ceiling,
}
