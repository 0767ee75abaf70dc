"""Stage pairs: the preference pairs of one method (M8, M12, M13), from the source that its roster entry names."""

from collections.abc import Callable

import numpy as np

from w2sg.config.data import Role
from w2sg.config.params import Params
from w2sg.config.rosters import PairKind
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError
from w2sg.contracts.records import Pair, Trajectory, read_trajectories
from w2sg.environments.prompts import prompt
from w2sg.trees.pairs import ceiling_pairs, eto_pairs, random_pairs, tree_pairs
from w2sg.trees.tree import load


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
    return tree_pairs(
        load(layout.trees(environment, seed)).values(),
        minimum_gap=params.pairs.minimum_gap,
        aggregate=params.pairs.aggregate,
        whole_path=params.pairs.whole_path,
        turns=params.pairs.turns,
        prompt=_prompt(params, environment),
    )


def _random(params: Params, environment: str, seed: int) -> list[Pair]:
    """As many as the trees give, from the same trajectories: only the structure differs."""
    explored = _explored(environment, seed, "weak")
    return random_pairs(
        [trajectory for trajectory in explored if trajectory.sample < params.tree.breadth],
        rng=np.random.default_rng(seed),
        count=len(_tree(params, environment, seed)),
        minimum_gap=params.pairs.minimum_gap,
        prompt=_prompt(params, environment),
    )


def _eto(params: Params, environment: str, seed: int) -> list[Pair]:
    return eto_pairs(
        _explored(environment, seed, "strong"),
        minimum_gap=params.pairs.minimum_gap,
        prompt=_prompt(params, environment),
    )


def _ceiling(params: Params, environment: str, seed: int) -> list[Pair]:
    return ceiling_pairs(
        _explored(environment, seed, "strong"),
        experts=read_trajectories(layout.explored_experts(environment)),
        minimum_gap=params.pairs.minimum_gap,
        prompt=_prompt(params, environment),
    )


def _explored(environment: str, seed: int, role: Role) -> list[Trajectory]:
    return read_trajectories(layout.explore(environment, seed, role))


def _prompt(params: Params, environment: str) -> str:
    return prompt(environment, style=params.environment(environment).prompt)


BUILDERS: dict[PairKind, Callable[[Params, str, int], list[Pair]]] = {
    "tree": _tree,
    "random": _random,
    "eto": _eto,
    "ceiling": _ceiling,
}
