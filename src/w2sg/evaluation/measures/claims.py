"""What the episodes let us say: every comparison of the experiment, its verdict in words, and the opening sentence.

Recovered shares too: of the way from SFT strong to the ceiling, which the paper reports (A20), and of that from
SFT weak, the performance gap recovered of Burns et al. (2023).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from w2sg.contracts.records import Episode
from w2sg.evaluation.measures import metrics, statistics
from w2sg.evaluation.measures.metrics import label
from w2sg.evaluation.measures.statistics import Interval, PairedDifference, Ratio

Verdict = Literal["higher", "lower", "undecided", "identical"]
MINUS = "\N{MINUS SIGN}"
BASELINES = ("sft_weak", "sft_strong")
OURS = ("w2s_dpo", "w2s_mcts")
RIVALS = ("eto", "best_of_n", "ceiling", "random_dpo", "best_of_m", "more_sft")  # what the two are held against besides
SHARES = {"recovered ceiling": "sft_strong", "performance gap recovered": "sft_weak"}


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
    relative: Ratio | None = None  # the difference over the baseline's mean, which the paper gives in per cent (A21)

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


@dataclass(frozen=True, slots=True)
class Recovered:
    """The share of the way from a baseline to the ceiling that a model covers, on a split, in average reward.

    Attributes:
        name: a key of SHARES.
        baseline: where the way begins; the denominator is the ceiling's mean minus this model's.
        result: see `statistics.Ratio`: undefined where there is no way to speak of.
    """

    environment: str
    split: str
    model: str
    name: str
    baseline: str
    tasks: int
    result: Ratio


def standings(episodes: Sequence[Episode], *, settings: Settings) -> list[Standing]:
    """Every cell of Table 1 with its interval, models in roster order."""
    cells = []
    for environment in metrics.environments(episodes):
        for model in metrics.roster(episode.model for episode in episodes):
            for split in metrics.splits(episodes):
                for measure in metrics.MEASURES:
                    values = metrics.per_task_and_seed(
                        episodes, environment=environment, model=model, split=split, measure=metrics.MEASURES[measure]
                    )
                    if values:
                        mean = statistics.interval(
                            list(values.values()),
                            resamples=settings.resamples,
                            confidence=settings.confidence,
                            rng=settings.rng(),
                        )
                        cells.append(Standing(environment, model, split, measure, len(values), mean))
    return cells


def contrasts(models: Sequence[str]) -> list[tuple[str, str]]:
    """Which model is held against which: SFT strong against weak, every method against both, ours against rivals."""
    ordered = metrics.roster(models)
    methods = [model for model in ordered if not model.startswith(("base_", "sft_"))]
    wanted = [("sft_strong", "sft_weak"), *((method, baseline) for method in methods for baseline in BASELINES)]
    wanted += [(method, rival) for method in OURS for rival in RIVALS] + [("w2s_mcts", "w2s_dpo")]
    return [(model, baseline) for model, baseline in wanted if model in ordered and baseline in ordered]


def comparisons(episodes: Sequence[Episode], *, settings: Settings) -> list[Comparison]:
    """All contrasts on every environment, split and measure (reward first; success only where it is another number)."""
    found = []
    for environment in metrics.environments(episodes):
        here = [episode for episode in episodes if episode.trajectory.environment == environment]
        measures = ("average_reward",) if metrics.binary(here) else ("average_reward", "success_rate")
        for split in metrics.splits(here):
            for measure in measures:
                of = _values(here, environment=environment, split=split, measure=measure)
                found += [
                    _comparison(
                        of,
                        environment=environment,
                        split=split,
                        measure=measure,
                        model=model,
                        baseline=baseline,
                        settings=settings,
                    )
                    for model, baseline in contrasts(list(of))
                ]
    return found


def rewards_compared(
    episodes: Sequence[Episode], *, environment: str, split: str, model: str, baseline: str, settings: Settings
) -> Comparison | None:
    """The average reward of any two models on one environment and split; None where one of them was not evaluated."""
    names = {"environment": environment, "split": split, "measure": "average_reward"}
    of = _values(episodes, **names)
    if model not in of or baseline not in of:
        return None
    return _comparison(of, model=model, baseline=baseline, settings=settings, **names)


def repeats(episodes: Sequence[Episode], *, settings: Settings) -> list[Comparison]:
    """Share of steps that repeat the one before, of the W2S methods against SFT strong, on every environment and split.

    Here lower is better.
    """
    found = []
    for environment in metrics.environments(episodes):
        for split in metrics.splits(episodes):
            names = {"environment": environment, "split": split}
            of = {
                model: values
                for model in (*OURS, "sft_strong")
                if (values := metrics.per_task_and_seed(episodes, model=model, measure=metrics.repeated, **names))
            }
            found += [
                _comparison(of, measure="repeated", model=model, baseline="sft_strong", settings=settings, **names)
                for model in OURS
                if model in of and "sft_strong" in of
            ]
    return found


def _comparison(
    of: Mapping[str, metrics.BySeed],
    *,
    environment: str,
    split: str,
    measure: str,
    model: str,
    baseline: str,
    settings: Settings,
) -> Comparison:
    left, right = of[model], of[baseline]
    resamples, confidence = settings.resamples, settings.confidence
    result = statistics.paired_difference(left, right, resamples=resamples, confidence=confidence, rng=settings.rng())
    relative = statistics.ratio(left, right, resamples=resamples, confidence=confidence, seed=settings.seed)
    confirmed = result.p_value <= 1 - confidence
    return Comparison(environment, split, measure, model, baseline, result, confirmed, relative)


def recovered(episodes: Sequence[Episode], *, settings: Settings) -> list[Recovered]:
    """Both shares for every method but the ceiling, wherever there is a ceiling; models in roster order."""
    found = []
    for environment in metrics.environments(episodes):
        here = [episode for episode in episodes if episode.trajectory.environment == environment]
        for split in metrics.splits(here):
            of = _values(here, environment=environment, split=split, measure="average_reward")
            for model in [m for m in of if not m.startswith(("base_", "sft_weak")) and m != "ceiling"]:
                for name, baseline in SHARES.items():
                    if "ceiling" in of and baseline in of and baseline != model:
                        share = statistics.ratio(
                            of[model],
                            of[baseline],
                            of["ceiling"],
                            resamples=settings.resamples,
                            confidence=settings.confidence,
                            seed=settings.seed,
                        )
                        found.append(Recovered(environment, split, model, name, baseline, len(of[model]), share))
    return found


def _values(episodes: Sequence[Episode], *, environment: str, split: str, measure: str) -> dict[str, metrics.BySeed]:
    """For every model, in roster order, one value per seed and task."""
    return {
        model: metrics.per_task_and_seed(
            episodes, environment=environment, model=model, split=split, measure=metrics.MEASURES[measure]
        )
        for model in metrics.roster(episode.model for episode in episodes if episode.split == split)
    }


def headline(compared: Sequence[Comparison], *, confidence: float) -> list[str]:
    """One sentence per environment and W2S method, against both baselines, on unseen tasks where there are any."""
    sentences = []
    rewards = [c for c in compared if c.measure == "average_reward"]
    for environment in sorted({c.environment for c in rewards}):
        here = [c for c in rewards if c.environment == environment]
        split = here[-1].split  # unseen, where there are any
        for model in OURS:
            if own := [c for c in here if (c.split, c.model) == (split, model) and c.baseline in BASELINES]:
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
