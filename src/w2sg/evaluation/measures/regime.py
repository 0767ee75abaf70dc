"""Does a run stand where the paper's do? Its starting point, before weak-to-strong training, as numbers.

What weak-to-strong methods can show depends on where the two models stand. In the paper's Table 1 SFT weak scores
41 to 47 and SFT strong 4 to 12 more; that the strong model fails tasks which the weak one solves in M samples, and
that right data would help it, is what the methods live on. The last two criteria need rows of their own: without
them it is the learner that is tested, not the data. Letters are those of the register (docs/log/20), whose (f), the
quality of single steps by playing on from them, no stage measures, but `make credit` does (measures/credit.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

from w2sg.evaluation.measures import statistics
from w2sg.evaluation.measures.comparisons import rewards_compared
from w2sg.evaluation.measures.complement import EXPLORED, Attempts, complements
from w2sg.evaluation.measures.episodes import REPORTED, GroupedEpisodes
from w2sg.evaluation.measures.scores import average_reward
from w2sg.evaluation.measures.statistics import Interval, Resampling

Verdict = Literal["met", "within chance", "below", "above", "not measured"]


@dataclass(frozen=True, slots=True)
class Criterion:
    """What should lie between two bounds, fractions both."""

    letter: str
    words: str
    least: float
    most: float = inf

    def verdict(self, value: Interval | None) -> Verdict:
        """Of the mean; within chance: it lies outside, and its interval reaches in."""
        if value is None:
            return "not measured"
        if self.least <= value.mean <= self.most:
            return "met"
        if value.high >= self.least and value.low <= self.most:
            return "within chance"
        return "below" if value.mean < self.least else "above"


SFT_WEAK = Criterion("a", "SFT weak", 0.40, 0.55)
GAP = Criterion("b", "SFT strong above it", 0.04, 0.12)
BASE = Criterion("c", "SFT weak above base strong", 0.05)
BEST_OF_M = Criterion("d", "best of M of the weak above the strong's own play", 0.10)
ONLY_WEAK = Criterion("e", "tasks that the strong fails and the weak solves in M", 0.12)
ROOM = Criterion("g", "expert paths above demonstrations again: room", 0.05)
CONTROL = Criterion("h", "expert's labels above SFT strong: positive control", 0.03)
CRITERIA = (SFT_WEAK, GAP, BASE, BEST_OF_M, ONLY_WEAK, ROOM, CONTROL)
COMPARED = {  # model and baseline whose paired difference it is
    GAP: ("sft_strong", "sft_weak"),
    BASE: ("sft_weak", "base_strong"),
    ROOM: ("expert_paths", "more_sft"),
    CONTROL: ("expert_dpo", "sft_strong"),
}


@dataclass(frozen=True, slots=True)
class RegimeCell:
    """Where one environment stands by one criterion, over all seeds.

    Attributes:
        tasks: of which split the value is: the reported one, or "explored".
        value: None where a row or an exploration that it needs was not run.
    """

    environment: str
    criterion: Criterion
    tasks: str
    value: Interval | None

    @property
    def verdict(self) -> Verdict:
        """The criterion's."""
        return self.criterion.verdict(self.value)


def regime_cells(
    episodes: GroupedEpisodes, explored: Sequence[Attempts], *, resampling: Resampling
) -> list[RegimeCell]:
    """Every criterion of every environment, average rewards on the reported split, G = 1 on explored tasks."""
    only = {each.environment: each for each in reversed(complements(episodes, explored, resampling=resampling))}
    found = []
    for environment in episodes.environments:
        weak = episodes.values(environment, REPORTED, average_reward).get("sft_weak")
        values = {SFT_WEAK: statistics.interval(list(weak.values()), resampling=resampling) if weak else None}
        for criterion, (model, baseline) in COMPARED.items():
            place = {"environment": environment, "model": model, "baseline": baseline}
            compared = rewards_compared(episodes, resampling=resampling, **place)
            values[criterion] = compared.result.difference if compared else None
        both = only.get(environment)
        if both and both.split == EXPLORED:
            here = [each for each in explored if each.environment == environment]
            values[BEST_OF_M] = _above(here, resampling=resampling)
            values[ONLY_WEAK] = both.shares["only weak"]
        of_explored = (BEST_OF_M, ONLY_WEAK)
        found += [
            RegimeCell(environment, c, EXPLORED if c in of_explored else REPORTED, values.get(c)) for c in CRITERIA
        ]
    return found


def _above(here: Sequence[Attempts], *, resampling: Resampling) -> Interval:
    """The weak model's M samples minus the strong one's own play, shares of tasks solved."""
    sides: dict[str, dict[str, list[float]]] = {"weak": {}, "strong": {}}
    for each in sorted(here, key=lambda each: each.seed):
        solved = each.ever if each.role == "weak" else each.once
        sides[each.role].setdefault(each.task_id, []).append(float(solved))
    seeds = len({each.seed for each in here})
    full = {role: {task: values for task, values in own.items() if len(values) == seeds} for role, own in sides.items()}
    return statistics.paired_difference(full["weak"], full["strong"], resampling=resampling).difference
