"""Stage pairs: the preference pairs of one method (sections 3.2, 4.1), from the source that its roster entry names."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from w2sg.config.data import Pairs
from w2sg.config.params import Params
from w2sg.config.rosters import PairKind
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError
from w2sg.contracts.pairs import Pair
from w2sg.contracts.trajectories import Trajectory, read_trajectories
from w2sg.environments.prompts import prompt
from w2sg.trees.pairs import ceiling_pairs, eto_pairs, expert_pairs, random_pairs, shuffled, tree_pairs
from w2sg.trees.tree import TrajectoryTree, load


def main(params: Params, *, environment: str, seed: int, method: str) -> None:
    """Read the trees, the exploration or the experts, write the pairs.

    Raises:
        UserError: not a single pair came out.
    """
    entry = params.preference[method]
    style = params.environment(environment).prompt
    source = _Source(environment, seed, entry.pairs or params.pairs, prompt(environment, style=style))
    pairs = BUILDERS[entry.data](source)
    if not pairs:
        raise UserError(
            f"{layout.pairs(environment, seed, method)}: no pair of kind {entry.data}: no task has both better and "
            "worse trajectories; raise explore.samples or explore.tasks, or lower pairs.minimum_gap"
        )
    Pair.write(layout.pairs(environment, seed, method), pairs)


@dataclass(frozen=True, slots=True)
class _Source:
    """What the pairs of one method are made from, and how."""

    environment: str
    seed: int
    settings: Pairs
    prompt: str

    def trees(self) -> list[TrajectoryTree]:
        return list(load(layout.trees(self.environment, self.seed)).values())

    def explored(self) -> list[Trajectory]:
        """What the strong model itself has played."""
        return read_trajectories(layout.explore(self.environment, self.seed, "strong"))

    def experts(self) -> list[Trajectory]:
        return read_trajectories(layout.explored_experts(self.environment))


def _tree(source: _Source) -> list[Pair]:
    return _of_trees(source, source.trees())


def _of_trees(source: _Source, trees: list[TrajectoryTree]) -> list[Pair]:
    settings = source.settings
    return tree_pairs(
        trees,
        minimum_gap=settings.minimum_gap,
        aggregate=settings.aggregate,
        whole_path=settings.whole_path,
        turns=settings.turns,
        prompt=source.prompt,
    )


def _shuffled(source: _Source) -> list[Pair]:
    """The pairs of the trees, labelled by a coin."""
    return shuffled(_tree(source), rng=np.random.default_rng(source.seed))


def _expert(source: _Source) -> list[Pair]:
    """From the samples that the trees hold."""
    settings = source.settings
    return expert_pairs(
        _samples(source.trees()),
        experts=source.experts(),
        minimum_gap=settings.minimum_gap,
        turns=settings.turns,
        prompt=source.prompt,
    )


def _random(source: _Source) -> list[Pair]:
    """As many as the trees give, from the trajectories that they hold."""
    trees = source.trees()
    return random_pairs(
        _samples(trees),
        rng=np.random.default_rng(source.seed),
        count=len(_of_trees(source, trees)),
        minimum_gap=source.settings.minimum_gap,
        prompt=source.prompt,
    )


def _samples(trees: list[TrajectoryTree]) -> list[Trajectory]:
    return [trajectory for tree in trees for trajectory in tree.trajectories]


def _eto(source: _Source) -> list[Pair]:
    return eto_pairs(source.explored(), minimum_gap=source.settings.minimum_gap, prompt=source.prompt)


def _ceiling(source: _Source) -> list[Pair]:
    minimum_gap = source.settings.minimum_gap
    return ceiling_pairs(source.explored(), experts=source.experts(), minimum_gap=minimum_gap, prompt=source.prompt)


BUILDERS: dict[PairKind, Callable[[_Source], list[Pair]]] = {
    "tree": _tree,
    "shuffled": _shuffled,
    "expert": _expert,
    "random": _random,
    "eto": _eto,
    "ceiling": _ceiling,
}
