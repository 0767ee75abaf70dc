"""The mean of differences over tasks and seeds by a mixed model: both are drawn at random, and cross each other.

    d[t, s] = mu + task[t] + seed[s] + rest[t, s],  tasks T, seeds S, one value each

As every task is played under every seed, the variance components have a closed form by the mean squares of a two-way
analysis of variance, and the degrees of freedom are Satterthwaite's (Searle, Casella and McCulloch, 1992, chapter 4).
With one seed it is the paired t test over tasks. Unlike the exact test it does not take the seeds as they are: with few
of them it has few degrees of freedom where the seeds are what varies.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

ROUNDING = 12  # decimals: a mean square of differences that cancel must be 0, not 1e-34


@dataclass(frozen=True, slots=True)
class MixedModel:
    """The estimate of mu.

    Attributes:
        mean: of all tasks and seeds.
        error: its standard error.
        df: degrees of freedom of the error, at least 1.
        tasks: number of them.
    """

    mean: float
    error: float
    df: float
    tasks: int

    def bounds(self, confidence: float) -> tuple[float, float]:
        """The interval of Student's t."""
        reach = self.quantile((1 + confidence) / 2) * self.error
        return round(self.mean - reach, ROUNDING), round(self.mean + reach, ROUNDING)

    def quantile(self, probability: float) -> float:
        """Of Student's t with these degrees of freedom."""
        return float(stdtrit(self.df, probability))

    @property
    def p_value(self) -> float:
        """Two-sided, of mu = 0."""
        if not self.error:
            return 1.0 if self.mean == 0 else 0.0
        return self._two_sided(self.mean / self.error)

    def p_of(self, value: float) -> float:
        """Two-sided p-value of mu = `value`, an amount that somebody else reports.

        The error counts as if half a task more had been won and half a task more lost (Agresti and Min, 2005): where no
        task differs the variance is 0, and all the same other tasks might.
        """
        return self._two_sided((self.mean - value) / sqrt(self.error**2 + (self.tasks + 2) ** -2))

    def _two_sided(self, t: float) -> float:
        return float(2 * stdtr(self.df, -abs(t)))


def fit(differences: ArrayLike) -> MixedModel | None:
    """The model of differences of shape (tasks,) or (tasks, seeds); None for fewer than two tasks.

    A variance component that comes out negative counts as 0, and its mean square in the error as the rest's.
    """
    array = np.asarray(differences, dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else array
    tasks, seeds = array.shape
    if tasks < 2:
        return None
    mean = array.mean()
    by_task, by_seed = array.mean(axis=1), array.mean(axis=0)
    of_tasks = round(float(seeds * np.sum((by_task - mean) ** 2)) / (tasks - 1), ROUNDING)
    if seeds == 1:
        return MixedModel(float(mean), sqrt(of_tasks / tasks), tasks - 1, tasks)
    of_seeds = round(float(tasks * np.sum((by_seed - mean) ** 2)) / (seeds - 1), ROUNDING)
    rest = array - by_task[:, None] - by_seed + mean
    of_rest = round(float(np.sum(rest**2)) / ((tasks - 1) * (seeds - 1)), ROUNDING)
    # Expected: rest + S task, rest + T seed, rest; the variance of the mean is (rest + S task + T seed) / (T S).
    parts = [(of_rest, (tasks - 1) * (seeds - 1))]
    above = [(square, df) for square, df in ((of_tasks, tasks - 1), (of_seeds, seeds - 1)) if square > of_rest]
    if above:
        parts = above if len(above) == 1 else [*above, (-of_rest, (tasks - 1) * (seeds - 1))]
    total = sum(square for square, _ in parts)
    if not total:
        return MixedModel(float(mean), 0.0, tasks - 1, tasks)
    df = total**2 / sum(square**2 / df for square, df in parts)
    return MixedModel(float(mean), sqrt(total / (tasks * seeds)), max(1.0, df), tasks)
