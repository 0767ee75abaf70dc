"""Every comparison of the experiment with its verdict, and the cells of Table 1.

Comparisons are corrected for their number (`multiplicity.holm`) in families: TreeDPO and MCTS against the two SFT
models in all environments, which is what the experiment is about, and all others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from w2sg.evaluation.measures import behaviour, statistics
from w2sg.evaluation.measures.episodes import REPORTED, BySeed, GroupedEpisodes
from w2sg.evaluation.measures.models import CHOSEN, LABELS, Origin, in_table_order
from w2sg.evaluation.measures.multiplicity import holm
from w2sg.evaluation.measures.scores import MEASURES, average_reward
from w2sg.evaluation.measures.statistics import Interval, PairedDifference, Ratio, Resampling

Verdict = Literal["higher", "lower", "undecided", "identical"]
Family = Literal["headline", "other"]
BASELINES = ("sft_weak", "sft_strong")
OURS = ("w2s_dpo", "w2s_mcts")
# Rows with the settings of the paper's text as a whole, where the rosters have them: the paper's sentences are about
# these.
TO_THE_LETTER = {"w2s_dpo": "paper_dpo", "w2s_mcts": "paper_mcts"}
RIVALS = ("eto", "best_of_n", "ceiling", "random_dpo", "best_of_m", "more_sft")  # what the two are held against besides
PAPERS_DATA = ("tree", "mcts")  # what the paper's methods learn from; a method alike with other data is a control
MARGIN = 0.03  # of equivalence: half of what MCTS gains over SFT strong in the paper (5.9, 4.6, 6.0 points), rounded


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
        level: alpha, what is left of 1 beside the coverage of the interval.
        relative: the difference over the baseline's mean, which the paper gives in per cent (A21).
        adjusted: `strict_p` after Holm's correction within `family`; None where nothing was corrected.
        family: what it is corrected with; see the head of this module.
    """

    environment: str
    split: str
    measure: str
    model: str
    baseline: str
    result: PairedDifference
    level: float = 0.05
    relative: Ratio | None = None
    adjusted: float | None = None
    family: Family = "other"

    @property
    def verdict(self) -> Verdict:
        """Whether the interval of the difference excludes 0, and on which side."""
        if not self.result.wins and not self.result.losses:
            return "identical"
        if self.result.difference.low > 0:
            return "higher"
        return "lower" if self.result.difference.high < 0 else "undecided"

    @property
    def confirmed(self) -> bool:
        """The tests find a difference too; where few tasks or seeds differ, a percentile interval alone is too short.

        The exact test and, with several seeds, the mixed model.
        """
        return self.result.strict_p <= self.level

    @property
    def holds(self) -> bool:
        """Interval and tests find a difference, and it survives the correction for the number of comparisons."""
        p_value = self.result.strict_p if self.adjusted is None else self.adjusted
        return self.verdict in ("higher", "lower") and p_value <= self.level

    @property
    def equivalent(self) -> bool:
        """A true difference of MARGIN or more is excluded, either way."""
        return self.result.within(MARGIN, level=self.level)

    @property
    def wording(self) -> str:
        """The verdict as a person should read it."""
        match self.verdict:
            case "higher" | "lower":
                if self.holds:
                    return self.verdict
                return f"{self.verdict}, before correction" if self.confirmed else f"{self.verdict}, doubtful"
            case "identical":
                return "no task differs"
        return f"level within {100 * MARGIN:g} points" if self.equivalent else "not decided"


def table_cells(episodes: GroupedEpisodes, *, resampling: Resampling) -> list[TableCell]:
    """Every cell of Table 1 with its interval, models in the order of the tables."""
    cells = []
    for environment in episodes.environments:
        for model in episodes.models:
            for split in episodes.splits_of(environment):
                for name, measure in MEASURES.items():
                    values = episodes.values(environment, split, measure).get(model)
                    if values:
                        mean = statistics.interval(list(values.values()), resampling=resampling)
                        cells.append(TableCell(environment, model, split, name, len(values), mean))
    return cells


def contrasts(models: Sequence[str], origins: Mapping[str, Origin] | None = None) -> list[tuple[str, str]]:
    """Which model is held against which.

    SFT strong and the untouched strong base against SFT weak; every method against both SFT models and its start; what
    learns from trees against what learns in the same way from other data; a method of a name that is not ours against
    ours from the same data, which it varies; ours against their rivals and against the same data without the rejected
    sides; both models as teachers against the strong one alone; expert paths against the demonstrations again, the room
    that there is; the confidence loss against none.
    """
    known = origins or {}
    ordered = in_table_order(models)
    methods = [model for model in ordered if not model.startswith(("base_", "sft_"))]
    ours = [name for model in OURS for name in (TO_THE_LETTER[model], model) if name in ordered]
    wanted = [("sft_strong", "sft_weak"), ("base_strong", "sft_weak")]
    for method in methods:
        start = known[method].start if method in known else BASELINES[-1]
        wanted += [(method, baseline) for baseline in (*BASELINES, start)]
        wanted += [(method, control) for control in _other_data(method, known)]
        wanted += [(method, own) for own in _varied(method, known)]
    for method in ours:
        wanted += [(method, rival) for rival in RIVALS]
        wanted += [(method, twin) for twin in without_rejected(method, known)]
    wanted += [("w2s_mcts", "w2s_dpo"), (TO_THE_LETTER["w2s_mcts"], TO_THE_LETTER["w2s_dpo"])]
    wanted += [("both_best", "own_best"), ("expert_paths", "more_sft"), ("confident", "naive")]
    return [pair for pair in dict.fromkeys(wanted) if set(pair) <= set(ordered)]


def _other_data(method: str, origins: Mapping[str, Origin]) -> list[str]:
    """Of a method that learns from trees: those with its start and settings that learn from something else."""
    own = origins.get(method)
    if own is None or own.data not in PAPERS_DATA:
        return []
    alike = {name: each for name, each in origins.items() if (each.start, each.settings) == (own.start, own.settings)}
    return [name for name, each in alike.items() if each.data not in PAPERS_DATA]


def _varied(method: str, origins: Mapping[str, Origin]) -> list[str]:
    """Of a method that somebody has added: which of ours it is another reading of."""
    if method in LABELS or method not in origins:
        return []
    return [name for name in OURS if name in origins and origins[name].data == origins[method].data]


def without_rejected(method: str, origins: Mapping[str, Origin]) -> list[str]:
    """Methods that start where this one does and learn from the chosen sides of its pairs alone."""
    if method not in origins:
        return []
    own = origins[method]
    twin = (own.start, own.data + CHOSEN, own.pairs)
    return [name for name, each in origins.items() if (each.start, each.data, each.pairs) == twin]


def comparisons(
    episodes: GroupedEpisodes, *, resampling: Resampling, origins: Mapping[str, Origin] | None = None
) -> list[Comparison]:
    """All contrasts on every environment, split and measure (reward first; success only where it is another number)."""
    found = []
    for environment in episodes.environments:
        measures = ("average_reward",) if episodes.binary(environment) else ("average_reward", "success_rate")
        for split in episodes.splits_of(environment):
            for measure in measures:
                place = _Place(environment, split, measure)
                of = episodes.values(environment, split, MEASURES[measure])
                found += [_comparison(of, place, *pair, resampling=resampling) for pair in contrasts(list(of), origins)]
    return _corrected(found)


def _corrected(found: Sequence[Comparison]) -> list[Comparison]:
    """The same with their families and adjusted p-values; the reported split and each measure by themselves."""
    headline = {*OURS, *TO_THE_LETTER.values()}
    families: dict[tuple[bool, str, Family], list[int]] = {}
    for number, each in enumerate(found):
        reported = each.split == REPORTED
        family: Family = "headline" if each.model in headline and each.baseline in BASELINES else "other"
        families.setdefault((reported, each.measure, family), []).append(number)
    corrected = list(found)
    for (_, _, family), members in families.items():
        for number, p_value in zip(members, holm([found[n].result.strict_p for n in members]), strict=True):
            corrected[number] = replace(found[number], adjusted=p_value, family=family)
    return corrected


def rewards_compared(
    episodes: GroupedEpisodes, *, environment: str, model: str, baseline: str, resampling: Resampling
) -> Comparison | None:
    """The average reward of any two models on the reported split; None where one of them was not evaluated."""
    of = episodes.values(environment, REPORTED, average_reward)
    if model not in of or baseline not in of:
        return None
    return _comparison(of, _Place(environment, REPORTED, "average_reward"), model, baseline, resampling=resampling)


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
    result = statistics.paired_difference(left, right, resampling=resampling)
    relative = statistics.ratio(left, right, resampling=resampling)
    return Comparison(*place, model, baseline, result, resampling.level, relative)
