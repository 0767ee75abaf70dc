"""Does a better tree give a better student? Tree quality (section 3.2) against the gain of a method over SFT strong.

A point is one environment, seed and condition; `make grid` adds a condition for every tree breadth. Points are related
within environments only: across them quality and gain differ for a hundred other reasons. The conditions of one
environment share their exploration, so points are not independent: a correlation here describes, and tests nothing.
Where a figure hardly varies within environments there is nothing to relate, and the relation says so instead.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2sg.evaluation.measures.comparisons import OURS
from w2sg.evaluation.measures.episodes import REPORTED, GroupedEpisodes
from w2sg.evaluation.measures.grid import GridRow
from w2sg.evaluation.measures.theorem_readings import BASELINE, held_out_rewards

# Columns of results/tree_quality.csv and of results/grid.csv, and the words that a reader knows them by.
FIGURES = {
    "branchings_total": "branching nodes (diversity)",
    "depth_mean": "mean depth (representativeness)",
    "informative_total": "informative divergences",
    "mixed_share": "share of mixed tasks",
    "best_score": "mean score of the best samples",
}
FEWEST = 5  # points; of four, one order in 24 is perfect by chance
LEAST_SPREAD = 0.1  # standard deviation over mean: a tree "better" by less is the same tree, explored by another seed


@dataclass(frozen=True, slots=True)
class GainPoint:
    """One environment, seed and condition.

    Attributes:
        seed: None for a mean over all seeds.
        condition: what the grid set, such as "breadth 5"; "" for the run itself.
        quality: figures of the trees, by the names of FIGURES.
        gains: per method its mean reward less that of SFT strong on held-out tasks, in [-1, 1].
    """

    environment: str
    seed: int | None
    condition: str
    quality: Mapping[str, float]
    gains: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Relation:
    """How one figure of the trees and one method's gain go together within environments.

    Attributes:
        points: those of environments that have two or more.
        spread: of the figure within environments: standard deviation of the departures from each environment's mean, as
            shares of it.
        rho: Spearman's, of the departures from each environment's means; None with fewer than FEWEST points, where the
            figure's spread is below LEAST_SPREAD, or where the gain does not vary.
    """

    method: str
    figure: str
    points: int
    environments: int
    spread: float
    rho: float | None

    @property
    def reason(self) -> str:
        """Why there is no rho, in words; empty where there is one."""
        if self.rho is not None:
            return ""
        if self.points < FEWEST:
            return f"{self.points} points, of at least {FEWEST}"
        if self.spread < LEAST_SPREAD:
            return (
                f"within environments the figure varies by {100 * self.spread:.0f} % of its mean, which is too little"
            )
        return "the gain does not vary"


def points(
    qualities: Mapping[tuple[str, int], Mapping[str, Any]],
    episodes: GroupedEpisodes,
    grid: Sequence[GridRow],
    *,
    breadth: int,
    beta: float,
) -> list[GainPoint]:
    """A point for every environment and seed of the run, and one for every other breadth of the grid at the same beta.

    Args:
        qualities: rows of tree_quality.csv by environment and seed.
        episodes: of the run; an environment and seed without SFT strong gives no point.
        breadth, beta: those of the run.
    """
    rewards = held_out_rewards(episodes)
    found = []
    for (environment, seed), quality in qualities.items():
        base = rewards.get((environment, seed, BASELINE))
        here = {method: rewards.get((environment, seed, method)) for method in OURS}
        gains = {method: value - base for method, value in here.items() if value is not None and base is not None}
        if gains:
            found.append(GainPoint(environment, seed, "", {name: float(quality[name]) for name in FIGURES}, gains))
    return found + _grid_points(grid, episodes, rewards, breadth=breadth, beta=beta)


def _grid_points(
    grid: Sequence[GridRow],
    episodes: GroupedEpisodes,
    rewards: Mapping[tuple[str, int, str], float],
    *,
    breadth: int,
    beta: float,
) -> list[GainPoint]:
    """Means over seeds on the reported split, in the order of the grid."""
    gains: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    quality: dict[tuple[str, int], dict[str, float]] = {}
    for row in grid:
        bases = [value for (e, _, model), value in rewards.items() if (e, model) == (row.environment, BASELINE)]
        wanted = row.beta == beta and row.breadth != breadth and row.model in OURS
        if wanted and bases and row.split == REPORTED:
            key = row.environment, row.breadth
            gains[key][row.model] = row.average_reward - fmean(bases)
            quality[key] = {name: getattr(row, name) for name in FIGURES}
    return [GainPoint(key[0], None, f"breadth {key[1]}", quality[key], gains[key]) for key in quality]


def relations(found: Sequence[GainPoint]) -> list[Relation]:
    """One relation per method that has a gain somewhere, and figure."""
    result = []
    for method in methods(found):
        for figure in FIGURES:
            groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
            for point in found:
                if method in point.gains:
                    groups[point.environment].append((point.quality[figure], point.gains[method]))
            pairs = [np.array(group) for group in groups.values() if len(group) > 1]
            count, spread, rho = sum(map(len, pairs)), _spread([group[:, 0] for group in pairs]), None
            if count >= FEWEST and spread >= LEAST_SPREAD:
                both = np.concatenate([group - group.mean(axis=0) for group in pairs])
                rho = spearman(both[:, 0], both[:, 1])
            result.append(Relation(method, figure, count, len(pairs), spread, rho))
    return result


def _spread(groups: Sequence[NDArray[np.float64]]) -> float:
    """Standard deviation of the groups' values as shares of their own mean; 0 without groups."""
    shares = [group / group.mean() - 1 if group.mean() else group for group in groups]
    freedom = sum(len(group) - 1 for group in groups)
    return float(np.sqrt(sum(float(share @ share) for share in shares) / freedom)) if freedom else 0.0


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Correlation of the ranks, ties sharing their mean rank, in [-1, 1]; None where one side does not vary."""
    first, second = _ranks(one), _ranks(other)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.clip(np.corrcoef(first, second)[0, 1], -1.0, 1.0))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, equal values (to 12 decimals) sharing the mean of theirs."""
    _, which, counts = np.unique(np.round(values, 12), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[which]
    return ranks


def methods(found: Sequence[GainPoint]) -> list[str]:
    """Those that have a gain somewhere."""
    return [method for method in OURS if any(method in point.gains for point in found)]
