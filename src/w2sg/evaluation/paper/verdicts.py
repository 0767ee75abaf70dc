"""By which rules a sentence of the paper is judged, given the evidence that was measured here (`evidence`)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from w2sg.evaluation.measures.comparisons import Comparison
from w2sg.evaluation.measures.grid import GridRow
from w2sg.evaluation.measures.models import Origin
from w2sg.evaluation.measures.multiplicity import holm
from w2sg.evaluation.measures.shares import Recovered

Direction = Literal["for", "against", "undecided", "missing", "untestable"]
Follows = Literal["", "the start", "further training"]
Verdict = Literal[
    "supported",
    "follows from the start",
    "follows from further training",
    "not supported",
    "excluded at the paper's size",
    "not decidable at this size",
    "not measured here",
    "not testable",
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
# A part of claims.md.
RULES = """\
The verdicts follow six rules, applied alike to all, in this order. They are about the sentence's direction
("outperforms", "recovers"), at the size of this experiment.

1. One piece of evidence is a difference or a share with its interval. It speaks for the sentence when the interval
   excludes 0 on the sentence's side and the tests agree: the exact test and, with several seeds, a mixed model in which
   tasks and seeds are both drawn at random. It speaks against it when that holds on the other side; else nothing is
   decided. A share that is undefined decides nothing either.
2. A sentence about all environments is supported when each piece of evidence speaks for it and none is missing: where
   all must, nothing is to be corrected. It is not supported when one speaks against it after Holm's correction for the
   number of pieces.
   A sentence about some ("up to", "can") is supported when one speaks for it after that correction, and not supported
   when all speak against it. So neither verdict comes about by chance in more than one of twenty sentences.
3. What the student's starting point passes untouched follows from the start: where the model from which it was trained
   is above the same baseline already, and the student is not shown to be above that model, its training is not what
   made the sentence true. Likewise it follows from further training where that start, trained on with demonstrations
   alone, passes the same comparison, and the student is not shown to be above it: what the weak model found is not
   what made the sentence true.
4. A sentence of which neither direction is shown is excluded at the paper's size when our evidence excludes the gain
   that the paper reports, by an interval below it and a test of that amount; corrected as in rule 2, for a sentence
   about all environments one such gain is enough, for a sentence about some it takes all.
5. Everything else is not decidable at this size.
6. A sentence is not measured here where something that it speaks of was not run, and the rest does not decide it.
   One that no measurement of this kind, or no row of this roster, could decide is not testable."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured, on the reported split.

    Attributes:
        compared, recovered: as `comparisons` and `shares` return them; other splits are left out.
        grid: the rows of this configuration, or where it has none those of the grid that there is.
        grid_of_another: the digits of that grid's configuration; empty where it is this one's.
        repeats: Comparisons of the share of steps that repeat the one before, by environment, model and baseline.
        tasks: number of tasks by environment and split.
        origins: where every method starts and what it learns from.
        updates: number of updates of every trained model, by environment and model, all seeds together.
        level: alpha of all tests, within one sentence.
    """

    compared: Sequence[Comparison] = ()
    recovered: Sequence[Recovered] = ()
    grid: Sequence[GridRow] = ()
    grid_of_another: str = ""
    repeats: Sequence[Comparison] = ()
    tasks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    updates: Mapping[tuple[str, str], int] = field(default_factory=dict)
    level: float = 0.05

    def comparison(self, environment: str, model: str, baseline: str) -> Comparison | None:
        """Of average rewards; None where one was not run."""
        key = (environment, "average_reward", model, baseline)
        found = [c for c in self.compared if (c.environment, c.measure, c.model, c.baseline) == key]
        return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was measured, in words, and whether it speaks for the sentence.

    Attributes:
        p_value: of the test behind the direction, two-sided; 1 where nothing is decided, 0 where nothing was drawn.
        follows: it speaks for the sentence, and so does the student's start, or that start trained on with
            demonstrations alone, which the student is not shown to pass; empty where neither does.
        excluded: p-value of the paper's own amount where ours is below it; 1 where it is not, or the paper has none.
        remark: what a reader of the verdict alone must know.
    """

    text: str
    direction: Direction
    p_value: float = 1.0
    follows: Follows = ""
    excluded: float = 1.0
    remark: str = ""


Test = Callable[[Measured], list[Evidence]]


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of the paper.

    Attributes:
        where: section, table or figure.
        quote: the paper's words; a table's content where it says so without a sentence, then in brackets.
        numbers: the paper's figures; says so where they contradict each other (A20, A21).
        test: what to measure.
        everywhere: the sentence is about all environments, not about some.
    """

    where: str
    quote: str
    numbers: str
    test: Test
    everywhere: bool = True


@dataclass(frozen=True, slots=True)
class JudgedClaim:
    """A claim with its evidence and verdict."""

    claim: Claim
    evidence: Sequence[Evidence]
    verdict: Verdict

    @property
    def words(self) -> str:
        """The verdict with the remarks of its evidence."""
        remarks = dict.fromkeys(e.remark for e in self.evidence if e.remark)
        return f"{self.verdict} ({'; '.join(remarks)})" if remarks else self.verdict


def verdict(evidence: Sequence[Evidence], *, everywhere: bool, level: float = 0.05) -> Verdict:
    """Rules 2 to 6."""
    measured = [each for each in evidence if each.direction not in ("missing", "untestable")]
    if not measured:
        return "not testable" if any(each.direction == "untestable" for each in evidence) else "not measured here"
    incomplete = any(each.direction == "missing" for each in evidence)
    corrected = [p_value <= level for p_value in holm([each.p_value for each in measured])]
    size = [p_value <= level for p_value in holm([each.excluded for each in measured])]
    speaking = [each for each in measured if each.direction == "for"]
    against = [each.direction == "against" for each in measured]
    if everywhere:
        carrying = speaking if len(speaking) == len(measured) and not incomplete else []
        refuted = any(one and holds for one, holds in zip(against, corrected, strict=True))
        too_large = any(size)
    else:
        carrying = [e for e, holds in zip(measured, corrected, strict=True) if holds and e.direction == "for"]
        # What was not run might be the one that the sentence speaks of.
        refuted = all(against) and not incomplete
        too_large = all(each.excluded <= level for each in measured) and not incomplete
    if carrying:
        fresh = all if everywhere else any
        if fresh(not each.follows for each in carrying):
            return "supported"
        trained = any(each.follows == "further training" for each in carrying)
        return "follows from further training" if trained else "follows from the start"
    if refuted:
        return "not supported"
    if too_large:
        return "excluded at the paper's size"
    return "not measured here" if incomplete else "not decidable at this size"


def tally(judged: Sequence[JudgedClaim]) -> list[tuple[Verdict, int]]:
    """How many sentences have each verdict, of those that occur."""
    counted = [(name, sum(each.verdict == name for each in judged)) for name in VERDICTS]
    return [(name, number) for name, number in counted if number]
