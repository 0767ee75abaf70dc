"""Intervals and tests over tasks and training seeds.

Every model faces the same tasks under every seed. A resample draws the seeds and the tasks, each with replacement, and
takes all the pairs of the two (the pigeonhole bootstrap of Owen, 2007): tasks that are hard for one seed are hard for
the next, so drawing them anew within each seed would count them as more tasks than there are. With one seed the tasks
alone are drawn, and the interval says nothing about other seeds. With few seeds it is too short: a variance over S
seeds comes out (S - 1) / S of what it is. Beside it stands a mixed model (`mixed`), which is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures import mixed
from w2sg.evaluation.measures.mixed import MixedModel

POWER = 0.8
ROUNDING = 12  # decimals: a mean of thirds that cancel must be 0, not 5e-18, or an interval would exclude 0
SMALLEST_DENOMINATOR = 0.02  # two points of task score: a share of less is a share of noise

Test = Literal["McNemar", "sign", "sign, seed means"]
Values = Mapping[str, float] | Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Resampling:
    """How intervals are made. All draw the same resamples, so that none depends on which others were asked for.

    Attributes:
        resamples: B, how often tasks and seeds are drawn again with replacement.
        confidence: coverage of the intervals, such as 0.95.
        seed: of the resamples.
    """

    resamples: int
    confidence: float
    seed: int

    @property
    def level(self) -> float:
        """alpha, without the rounding error of 1 - 0.95."""
        return round(1 - self.confidence, 12)

    @property
    def ends(self) -> list[float]:
        """The quantiles at which an interval ends."""
        tail = (1 - self.confidence) / 2
        return [tail, 1 - tail]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over tasks and seeds and its percentile bootstrap interval, in the unit of the values."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Model minus baseline over the tasks that both have.

    Attributes:
        tasks: number of common tasks.
        difference: mean over tasks and seeds, with its interval.
        wins, losses: tasks on which the model is better, worse, in the mean over the seeds.
        p_value: `sign_test` of wins against losses.
        detectable: `smallest_detectable` of the differences; None where no two tasks differ.
        test: what `p_value` is the p-value of. McNemar: one seed, outcomes 0 or 1. With several seeds a task still
            counts once, as its seeds are no more tasks; the seeds are then taken as they are.
        seeds, seeds_won: number of seeds, and of those under which the model's mean is higher.
        mixed: the mixed model of the differences; None for a single task.
    """

    tasks: int
    difference: Interval
    wins: int
    losses: int
    p_value: float
    detectable: float | None
    test: Test = "sign"
    seeds: int = 1
    seeds_won: int = 0
    mixed: MixedModel | None = None

    @property
    def strict_p(self) -> float:
        """What decides: the exact test's p-value, and with several seeds the mixed model's where that is larger.

        Tasks won and lost that point the other way than the mean do not bear it out: 1.
        """
        if (self.wins - self.losses) * self.difference.mean < 0:
            return 1.0
        if self.seeds == 1 or self.mixed is None:
            return self.p_value
        return max(self.p_value, self.mixed.p_value)

    def p_of(self, amount: float) -> float:
        """Two-sided p-value of a true difference of `amount` (`MixedModel.p_of`); 1 for a single task."""
        return self.mixed.p_of(amount) if self.mixed else 1.0

    def within(self, margin: float, *, level: float) -> bool:
        """Equivalence: interval and mixed model both exclude a true difference of `margin` or more, either way."""
        inside = -margin < self.difference.low and self.difference.high < margin
        return inside and max(self.p_of(margin), self.p_of(-margin)) <= level


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two means with an interval, both resampled together.

    Attributes:
        value: None where the ratio is undefined: the denominator's interval does not lie above 0, or the denominator
            is below SMALLEST_DENOMINATOR. Its bounds may be infinite.
        denominator: with its own interval.
    """

    value: Interval | None
    denominator: Interval


def interval(values: ArrayLike, *, resampling: Resampling) -> Interval:
    """Percentile bootstrap interval of the mean of values, shape (tasks,) or (tasks, seeds), at least one."""
    array = _by_seed(values)
    low, high = np.quantile(_resampled_means(array, resampling), resampling.ends)
    mean, low, high = map(_rounded, (array.mean(), low, high))
    return Interval(mean, low, high)


def paired_difference(model: Values, baseline: Values, *, resampling: Resampling) -> PairedDifference:
    """Compare two models task by task; both mappings give, for each task id, one value or one for each seed.

    Raises:
        UserError: they share no task, or have other numbers of seeds.
    """
    left, right = _common(model, baseline)
    differences = np.round(left - right, ROUNDING)
    by_task = np.round(differences.mean(axis=1), ROUNDING)
    wins, losses = int((by_task > 0).sum()), int((by_task < 0).sum())
    seeds = differences.shape[1]
    binary = bool(np.isin([left, right], (0.0, 1.0)).all())
    fitted = mixed.fit(differences)
    return PairedDifference(
        tasks=len(by_task),
        difference=interval(differences, resampling=resampling),
        wins=wins,
        losses=losses,
        p_value=sign_test(wins, losses),
        detectable=smallest_detectable(fitted, confidence=resampling.confidence),
        test="sign, seed means" if seeds > 1 else "McNemar" if binary else "sign",
        seeds=seeds,
        seeds_won=int((np.round(differences.mean(axis=0), ROUNDING) > 0).sum()),
        mixed=fitted,
    )


def ratio(model: Values, baseline: Values, ceiling: Values | None = None, *, resampling: Resampling) -> Ratio:
    """(model - baseline) / (ceiling - baseline), or without a ceiling the relative gain (model - baseline) / baseline.

    Both parts are resampled with the same tasks and seeds. A resample whose denominator is not above 0 counts as
    infinite, with the sign of the numerator.

    Raises:
        UserError: the models share no task, or have other numbers of seeds.
    """
    if ceiling is None:
        above, below = _common(model, baseline)
        parts = above - below, below
    else:
        above, below, top = _common(model, baseline, ceiling)
        parts = above - below, top - below
    upper, lower = (_resampled_means(np.round(part, ROUNDING), resampling) for part in parts)
    mean = _rounded(parts[1].mean())
    low, high = map(_rounded, np.quantile(lower, resampling.ends))
    denominator = Interval(mean, low, high)
    if low <= 0 or mean < SMALLEST_DENOMINATOR:
        return Ratio(None, denominator)
    shares = np.divide(upper, lower, out=np.where(upper > 0, inf, -inf), where=lower > 0)
    ends = np.quantile(shares, resampling.ends, method="inverted_cdf")  # no mean of two, as one may be infinite
    return Ratio(Interval(*map(_rounded, (parts[0].mean() / mean, *ends))), denominator)


def _rounded(value: float) -> float:
    """To ROUNDING decimals; of a zero without the sign, which errors in the last bits make another on each machine."""
    return round(float(value), ROUNDING) + 0.0


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


def smallest_detectable(model: MixedModel | None, *, confidence: float) -> float | None:
    """The smallest true mean difference that this many tasks and seeds would find with probability POWER.

    (t[1 - alpha/2] + t[POWER]) * the standard error, both quantiles with the mixed model's degrees of freedom. What is
    smaller may well exist and is not shown by an interval that includes 0. None where the error is 0 or the tasks are
    too few for one.
    """
    if model is None or not model.error:
        return None
    return (model.quantile((1 + confidence) / 2) + model.quantile(POWER)) * model.error


def _by_seed(values: ArrayLike) -> NDArray[np.float64]:
    """Shape (tasks, seeds)."""
    array = np.asarray(values, dtype=np.float64)
    return array[:, None] if array.ndim == 1 else array


def _common(*models: Values) -> list[NDArray[np.float64]]:
    """The models' values on the tasks that all have, each of shape (tasks, seeds)."""
    common = sorted(set(models[0]).intersection(*models[1:]))
    if not common:
        raise UserError("comparison: the models share no task; evaluate them on the same tasks")
    arrays = [_by_seed([model[task] for task in common]) for model in models]
    if len({array.shape for array in arrays}) > 1:
        raise UserError("comparison: the models have other numbers of seeds; evaluate them under the same seeds")
    return arrays


def _resampled_means(values: NDArray[np.float64], resampling: Resampling) -> NDArray[np.float64]:
    """Means of draws of tasks and seeds, shape (resamples,), of values of shape (tasks, seeds).

    Equal shapes give equal draws, so that several models can be resampled together.
    """
    of_tasks, of_seeds = _weights(*values.shape, resampling)
    means: NDArray[np.float64] = ((of_tasks @ values) * of_seeds).sum(axis=1)
    return means


@lru_cache(maxsize=4)  # a report draws the same resamples for every comparison
def _weights(tasks: int, seeds: int, how: Resampling) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The share that each task and each seed has in each resample, shapes (resamples, tasks) and (resamples, seeds)."""
    rng = np.random.default_rng(int(np.random.default_rng(how.seed).integers(2**63)))
    of_tasks = _counts(tasks, draws=how.resamples, rng=rng) / tasks
    return of_tasks, _counts(seeds, draws=how.resamples, rng=rng) / seeds


def _counts(number: int, *, draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How often each of `number` things is drawn when as many are drawn with replacement, shape (draws, number)."""
    drawn = rng.integers(number, size=(draws, number)) + number * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=draws * number).reshape(draws, number).astype(np.float64)
