"""Every comparison of the experiment with its verdict, the cells of Table 1, and the shares recovered.

Recovered shares: of the way from SFT strong to the ceiling, which the paper reports (A20), and of that from SFT weak,
the performance gap recovered of Burns et al. (2023).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from w2sg.evaluation.measures import behaviour, statistics
from w2sg.evaluation.measures.episodes import BySeed, GroupedEpisodes
from w2sg.evaluation.measures.metrics import MEASURES, average_reward
from w2sg.evaluation.measures.models import in_table_order
from w2sg.evaluation.measures.statistics import Interval, PairedDifference, Ratio

Verdict = Literal["higher", "lower", "undecided", "identical"]
BASELINES = ("sft_weak", "sft_strong")
OURS = ("w2s_dpo", "w2s_mcts")
RIVALS = ("eto", "best_of_n", "ceiling", "random_dpo", "best_of_m", "more_sft")  # what the two are held against besides
SHARES = {"recovered ceiling": "sft_strong", "performance gap recovered": "sft_weak"}


@dataclass(frozen=True, slots=True)
class Resampling:
    """How intervals are made: number of resamples, coverage, and the seed of the resampling."""

    resamples: int
    confidence: float
    seed: int

    def rng(self) -> np.random.Generator:
        """A fresh generator: all intervals draw the same resamples, so none depends on which others were asked for."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True, slots=True)
class TableCell:
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


def table_cells(episodes: GroupedEpisodes, *, resampling: Resampling) -> list[TableCell]:
    """Every cell of Table 1 with its interval, models in the order of the tables."""
    cells = []
    for environment in episodes.environments:
        for model in episodes.models:
            for split in episodes.splits_of(environment):
                for name, measure in MEASURES.items():
                    values = episodes.values(environment, split, measure).get(model)
                    if values:
                        mean = statistics.interval(
                            list(values.values()),
                            resamples=resampling.resamples,
                            confidence=resampling.confidence,
                            rng=resampling.rng(),
                        )
                        cells.append(TableCell(environment, model, split, name, len(values), mean))
    return cells


def contrasts(models: Sequence[str]) -> list[tuple[str, str]]:
    """Which model is held against which: SFT strong against weak, every method against both, ours against rivals."""
    ordered = in_table_order(models)
    methods = [model for model in ordered if not model.startswith(("base_", "sft_"))]
    wanted = [("sft_strong", "sft_weak"), *((method, baseline) for method in methods for baseline in BASELINES)]
    wanted += [(method, rival) for method in OURS for rival in RIVALS] + [("w2s_mcts", "w2s_dpo")]
    return [(model, baseline) for model, baseline in wanted if model in ordered and baseline in ordered]


def comparisons(episodes: GroupedEpisodes, *, resampling: Resampling) -> list[Comparison]:
    """All contrasts on every environment, split and measure (reward first; success only where it is another number)."""
    found = []
    for environment in episodes.environments:
        measures = ("average_reward",) if episodes.binary(environment) else ("average_reward", "success_rate")
        for split in episodes.splits_of(environment):
            for measure in measures:
                place = _Place(environment, split, measure)
                of = episodes.values(environment, split, MEASURES[measure])
                found += [_comparison(of, place, *pair, resampling=resampling) for pair in contrasts(list(of))]
    return found


def rewards_compared(
    episodes: GroupedEpisodes, *, environment: str, split: str, model: str, baseline: str, resampling: Resampling
) -> Comparison | None:
    """The average reward of any two models on one environment and split; None where one of them was not evaluated."""
    of = episodes.values(environment, split, average_reward)
    if model not in of or baseline not in of:
        return None
    return _comparison(of, _Place(environment, split, "average_reward"), model, baseline, resampling=resampling)


def repeats(episodes: GroupedEpisodes, *, resampling: Resampling) -> list[Comparison]:
    """Share of steps that repeat the one before, of the W2S methods against SFT strong, on every environment and split.

    Here lower is better.
    """
    found = []
    for environment in episodes.environments:
        for split in episodes.splits_of(environment):
            place = _Place(environment, split, "repeated")
            of = episodes.values(environment, split, behaviour.repeated)
            found += [
                _comparison(of, place, model, "sft_strong", resampling=resampling)
                for model in OURS
                if model in of and "sft_strong" in of
            ]
    return found


class _Place(NamedTuple):
    environment: str
    split: str
    measure: str


def _comparison(
    of: Mapping[str, BySeed], place: _Place, model: str, baseline: str, *, resampling: Resampling
) -> Comparison:
    left, right = of[model], of[baseline]
    resamples, confidence = resampling.resamples, resampling.confidence
    result = statistics.paired_difference(left, right, resamples=resamples, confidence=confidence, rng=resampling.rng())
    relative = statistics.ratio(left, right, resamples=resamples, confidence=confidence, seed=resampling.seed)
    confirmed = result.p_value <= 1 - confidence
    return Comparison(*place, model, baseline, result, confirmed, relative)


def recovered(episodes: GroupedEpisodes, *, resampling: Resampling) -> list[Recovered]:
    """Both shares for every method but the ceiling, wherever there is a ceiling; models in the order of the tables."""
    found = []
    for environment in episodes.environments:
        for split in episodes.splits_of(environment):
            of = episodes.values(environment, split, average_reward)
            for model in [m for m in of if not m.startswith(("base_", "sft_weak")) and m != "ceiling"]:
                for name, baseline in SHARES.items():
                    if "ceiling" in of and baseline in of and baseline != model:
                        share = statistics.ratio(
                            of[model],
                            of[baseline],
                            of["ceiling"],
                            resamples=resampling.resamples,
                            confidence=resampling.confidence,
                            seed=resampling.seed,
                        )
                        found.append(Recovered(environment, split, model, name, baseline, len(of[model]), share))
    return found
