"""What the episodes let us say: every comparison of the experiment, its verdict in words, and the opening sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from w2sg.evaluation import metrics, statistics
from w2sg.evaluation.metrics import label
from w2sg.evaluation.statistics import Interval, PairedDifference
from w2sg.records import Episode

Verdict = Literal["higher", "lower", "undecided", "identical"]
MINUS = "\N{MINUS SIGN}"
BASELINES = ("sft_weak", "sft_strong")


@dataclass(frozen=True, slots=True)
class Settings:
    """How intervals are made: number of resamples, coverage, and the seed of the resampling."""

    resamples: int
    confidence: float
    seed: int

    def rng(self) -> np.random.Generator:
        """A fresh generator: all intervals draw the same resamples, so none depends on which others were asked for."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True, slots=True)
class Standing:
    """One cell of Table 1: a model's mean of a measure on a split, over its seeds."""

    environment: str
    model: str
    split: str
    measure: str
    tasks: int
    value: Interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model against a baseline on a split.

    Attributes:
        confirmed: the exact test finds a difference too, at the level of the interval; where few tasks differ, a
            percentile interval alone is too short.
    """

    environment: str
    split: str
    measure: str
    model: str
    baseline: str
    result: PairedDifference
    confirmed: bool

    @property
    def verdict(self) -> Verdict:
        """Whether the interval of the difference excludes 0, and on which side."""
        if not self.result.wins and not self.result.losses:
            return "identical"
        if self.result.difference.low > 0:
            return "higher"
        return "lower" if self.result.difference.high < 0 else "undecided"

    @property
    def wording(self) -> str:
        """The verdict as a person should read it."""
        match self.verdict:
            case "higher" | "lower":
                return self.verdict if self.confirmed else f"{self.verdict}, doubtful"
            case "identical":
                return "no task differs"
        return "not decided"


def standings(episodes: Sequence[Episode], *, settings: Settings) -> list[Standing]:
    """Every cell of Table 1 with its interval, models in roster order."""
    cells = []
    for environment in metrics.environments(episodes):
        for model in metrics.roster(episode.model for episode in episodes):
            for split in metrics.splits(episodes):
                for measure in metrics.MEASURES:
                    values = metrics.per_task(
                        episodes, environment=environment, model=model, split=split, measure=measure
                    )
                    if values:
                        mean = _interval(list(values.values()), settings=settings)
                        cells.append(Standing(environment, model, split, measure, len(values), mean))
    return cells


def _interval(values: list[float], *, settings: Settings) -> Interval:
    return statistics.interval(values, resamples=settings.resamples, confidence=settings.confidence, rng=settings.rng())


def contrasts(models: Sequence[str]) -> list[tuple[str, str]]:
    """Which model is held against which: SFT strong against SFT weak, then every method against both."""
    ordered = metrics.roster(models)
    methods = [model for model in ordered if not model.startswith(("base_", "sft_"))]
    wanted = [("sft_strong", "sft_weak"), *((method, baseline) for method in methods for baseline in BASELINES)]
    return [(model, baseline) for model, baseline in wanted if model in ordered and baseline in ordered]


def comparisons(episodes: Sequence[Episode], *, settings: Settings) -> list[Comparison]:
    """All contrasts on every environment, split and measure (reward first; success only where it is another number)."""
    found = []
    for environment in metrics.environments(episodes):
        here = [episode for episode in episodes if episode.trajectory.environment == environment]
        measures = ("average_reward",) if metrics.binary(here) else ("average_reward", "success_rate")
        for split in metrics.splits(here):
            for measure in measures:
                of = {
                    model: metrics.per_task(here, environment=environment, model=model, split=split, measure=measure)
                    for model in metrics.roster(episode.model for episode in here if episode.split == split)
                }
                for model, baseline in contrasts(list(of)):
                    result = statistics.paired_difference(
                        of[model],
                        of[baseline],
                        resamples=settings.resamples,
                        confidence=settings.confidence,
                        rng=settings.rng(),
                    )
                    confirmed = result.p_value <= 1 - settings.confidence
                    found.append(Comparison(environment, split, measure, model, baseline, result, confirmed))
    return found


def headline(compared: Sequence[Comparison], *, confidence: float) -> list[str]:
    """One sentence per environment and W2S method, against both baselines, on unseen tasks where there are any."""
    sentences = []
    rewards = [c for c in compared if c.measure == "average_reward"]
    for environment in sorted({c.environment for c in rewards}):
        here = [c for c in rewards if c.environment == environment]
        split = "unseen" if any(c.split == "unseen" for c in here) else here[0].split
        for model in ("w2s_dpo", "w2s_mcts"):
            if own := [c for c in here if c.split == split and c.model == model]:
                place = f"On {own[0].result.tasks} {split} {environment} tasks"
                parts = "; it ".join(_against(c, confidence=confidence) for c in own)
                sentences.append(f"{place}, {label(model)} {parts}.")
    return sentences


def _against(comparison: Comparison, *, confidence: float) -> str:
    value, other = comparison.result.difference, label(comparison.baseline)
    if comparison.verdict == "identical":
        return f"scores the same as {other} on every task"
    points = f"{abs(100 * value.mean):.1f}"
    place = "level with" if points == "0.0" else f"{points} points {'above' if value.mean > 0 else 'below'}"
    reach = f"{confidence:.0%} interval {100 * value.low:+.1f} to {100 * value.high:+.1f}".replace("-", MINUS)
    doubt = "" if comparison.confirmed else ", doubtful: the exact test does not confirm it"
    if comparison.verdict == "undecided":
        doubt = ", which includes 0: not decided"
    return f"is {place} {other} ({reach}{doubt})"
