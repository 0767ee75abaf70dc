"""Intervals and tests over tasks. A model's several seeds are averaged per task first; then tasks are resampled.

The intervals therefore speak about other tasks of the same kind, for the seeds at hand; they do not cover what another
training seed would have changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from w2sg.errors import UserError

POWER = 0.8
ROUNDING = 12  # decimals: a mean of thirds that cancel must be 0, not 5e-18, or an interval would exclude 0


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over tasks and its percentile bootstrap interval, in the unit of the values."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Model minus baseline over the tasks that both have.

    Attributes:
        tasks: number of common tasks.
        difference: mean over the tasks, with its interval.
        wins, losses: tasks on which the model is better, worse.
        p_value: `sign_test` of wins against losses.
        detectable: `smallest_detectable` of the differences; None where no two tasks differ.
    """

    tasks: int
    difference: Interval
    wins: int
    losses: int
    p_value: float
    detectable: float | None


def interval(values: Sequence[float], *, resamples: int, confidence: float, rng: np.random.Generator) -> Interval:
    """Percentile bootstrap interval of the mean.

    Args:
        values: one per task, at least one.
        resamples: B, how often the tasks are drawn again with replacement.
        confidence: coverage, such as 0.95.
    """
    array = np.asarray(values, dtype=np.float64)
    tail = (1 - confidence) / 2
    low, high = np.quantile(_resampled_means(array, resamples=resamples, rng=rng), [tail, 1 - tail])
    mean, low, high = (round(float(value), ROUNDING) for value in (array.mean(), low, high))
    return Interval(mean, low, high)


def paired_difference(
    model: Mapping[str, float],
    baseline: Mapping[str, float],
    *,
    resamples: int,
    confidence: float,
    rng: np.random.Generator,
) -> PairedDifference:
    """Compare two models task by task; both mappings give one value per task id (`metrics.per_task`).

    Raises:
        UserError: they share no task.
    """
    common = sorted(model.keys() & baseline.keys())
    if not common:
        raise UserError("comparison: the two models share no task; evaluate them on the same tasks")
    differences = np.round([model[task] - baseline[task] for task in common], ROUNDING)
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    return PairedDifference(
        tasks=len(common),
        difference=interval(differences.tolist(), resamples=resamples, confidence=confidence, rng=rng),
        wins=wins,
        losses=losses,
        p_value=sign_test(wins, losses),
        detectable=smallest_detectable(differences.tolist(), confidence=confidence),
    )


def sign_test(wins: int, losses: int) -> float:
    """Two-sided exact p-value that wins and losses are equally likely; ties are left out.

    On binary outcomes of one seed it is the exact McNemar test.
    """
    decided, fewer = wins + losses, min(wins, losses)
    ways, tail = 1, 1  # ways to lose `number` of the decided tasks, and their sum: exact integers
    for number in range(fewer):
        ways = ways * (decided - number) // (number + 1)
        tail += ways
    return min(1.0, 2 * tail / (1 << decided))


def smallest_detectable(differences: Sequence[float], *, confidence: float, power: float = POWER) -> float | None:
    """The smallest true mean difference that this many tasks would find with probability `power`.

    (z[1 - alpha/2] + z[power]) * s / sqrt(n), with s the standard deviation of the differences between the two models'
    tasks: what is smaller may well exist and is not shown by an interval that includes 0. None where s is 0 or n is 1.
    """
    if len(set(differences)) < 2:
        return None
    normal = NormalDist()
    reach: float = normal.inv_cdf((1 + confidence) / 2) + normal.inv_cdf(power)
    return reach * float(np.std(differences, ddof=1)) / sqrt(len(differences))


def _resampled_means(values: NDArray[np.float64], *, resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Means of `resamples` draws with replacement, shape (resamples,); drawn in blocks to bound memory."""
    block = max(1, 4_000_000 // len(values))
    means = np.empty(resamples)
    for start in range(0, resamples, block):
        part = means[start : start + block]
        part[:] = values[rng.integers(len(values), size=(len(part), len(values)))].mean(axis=1)
    return means
