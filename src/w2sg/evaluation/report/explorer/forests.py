"""The trees that the explorer shows, gathered with all that is marked in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from w2sg.config.data import Aggregate
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.pairs import Pair
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.trajectories import Trajectory, read_trajectories
from w2sg.trees.mcts import Statistics, searches
from w2sg.trees.merging import build
from w2sg.trees.tree import TrajectoryTree


@dataclass(frozen=True, slots=True)
class Forest:
    """All trees of one environment, seed and role.

    Attributes:
        role: whose samples they are: "weak", from which is learnt, or "strong", to compare with.
        merged: the rule by which steps were merged, in words.
        trees: by task id, in the order of exploration.
        minimum_gap, aggregate: from which difference in G on a divergence is informative, and how G is aggregated.
        gamma: of UCB.
        statistics: what the search of `w2s_mcts` or the first method like it knew, by task id; empty without a search.
        paths: e* of every method that imitates one, by method.
        pairs: of every method that learns from pairs of trees, by method.
        experts: the expert's trajectories, by task id.
    """

    environment: str
    seed: int
    role: str
    merged: str
    trees: Mapping[str, TrajectoryTree]
    minimum_gap: float
    aggregate: Aggregate
    gamma: float = 0.0
    statistics: Mapping[str, Statistics] = field(default_factory=dict)
    paths: Mapping[str, Sequence[DemonstrationPath]] = field(default_factory=dict)
    pairs: Mapping[str, Sequence[Pair]] = field(default_factory=dict)
    experts: Mapping[str, Trajectory] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As in the addresses of the explorer."""
        return f"{layout.run_name(self.environment, self.seed)}-{self.role}"


def gather_forests(params: Params, environment: str, seed: int, *, trees: Mapping[str, TrajectoryTree]) -> list[Forest]:
    """The trees of the weak model and, where the strong one explored too, those of as many of its samples.

    The strong model's observations have no embeddings, so its steps merge where their texts are equal.

    Raises:
        UserError: a file is missing or is not what its stage writes.
    """
    experts = {expert.task_id: expert for expert in read_trajectories(layout.explored_experts(environment))}
    gap, aggregate = params.pairs.minimum_gap, params.pairs.aggregate
    searching = [name for name, method in params.imitation.items() if method.data == "mcts"]
    settings = (params.imitation[searching[0]].mcts if searching else None) or params.mcts
    found = searches(trees, gamma=settings.gamma, iterations=settings.iterations, seed=seed)
    exact = params.tree.merge_key == "exact"
    own = Forest(
        environment=environment,
        seed=seed,
        role="weak",
        merged="equal texts" if exact else f"{params.tree.merge_key}, similarity {params.tree.similarity:g} or more",
        trees=trees,
        minimum_gap=gap,
        aggregate=aggregate,
        gamma=settings.gamma,
        statistics=dict(found) if searching else {},
        paths={name: DemonstrationPath.read(layout.paths(environment, seed, name)) for name in searching},
        pairs={
            name: Pair.read(layout.pairs(environment, seed, name))
            for name, method in params.preference.items()
            if method.data == "tree"
        },
        experts=experts,
    )
    if "strong" not in params.explore.roles:
        return [own]
    strong = _grown(read_trajectories(layout.explore(environment, seed, "strong")), breadth=params.tree.breadth)
    return [own, Forest(environment, seed, "strong", "equal texts", strong, gap, aggregate, experts=experts)]


def _grown(explored: Sequence[Trajectory], *, breadth: int) -> dict[str, TrajectoryTree]:
    """Trees of the first `breadth` samples of each task."""
    return {
        task_id: build(list(samples)[:breadth], merge_key="exact", xi=1.0, embeddings={})
        for task_id, samples in groupby(explored, key=lambda sample: sample.task_id)
    }
