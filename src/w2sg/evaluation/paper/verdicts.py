"""How a sentence of the paper is judged by what was measured here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from w2sg.evaluation.measures.comparisons import Comparison, Recovered
from w2sg.evaluation.measures.grid import GridRow
from w2sg.evaluation.measures.models import label
from w2sg.evaluation.measures.statistics import Interval
from w2sg.evaluation.measures.wording import MINUS, points, share
from w2sg.evaluation.paper import paper

Direction = Literal["for", "against", "undecided", "missing"]
Verdict = Literal["supported", "not supported", "not decidable at this size", "not measured here"]
# A part of claims.md.
RULES = """\
The verdicts follow three rules, applied alike to all. They are about the sentence's direction ("outperforms",
"recovers"), at the size of this experiment; the paper's amounts stand beside ours and are not judged, as they belong to
other models.

1. One piece of evidence is a difference or a share with its interval. It speaks for the sentence when the interval
   excludes 0 on the sentence's side and, for a difference, the exact test agrees; against it when that holds on the
   other side; else nothing is decided. A share that is undefined decides nothing either. Nothing is corrected for the
   number of comparisons.
2. A sentence about all environments is supported when each that was measured speaks for it, and not supported when one
   speaks against it. A sentence about some ("up to", "can") is supported when one speaks for it, and not supported when
   all speak against it. Everything else is not decidable at this size.
3. A sentence for which nothing was run is not measured here."""
VERDICTS: tuple[Verdict, ...] = ("supported", "not supported", "not decidable at this size", "not measured here")


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured, on the split that is reported: unseen tasks where there are any.

    Attributes:
        compared, recovered: as `comparisons` returns them; other splits are ignored.
        grid: the rows of this configuration.
        repeats: Comparisons of the share of steps that repeat the one before, by environment, model and baseline.
        tasks: number of tasks by environment and split.
    """

    compared: Sequence[Comparison] = ()
    recovered: Sequence[Recovered] = ()
    grid: Sequence[GridRow] = ()
    repeats: Sequence[Comparison] = ()
    tasks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was measured, in words, and whether it speaks for the sentence."""

    text: str
    direction: Direction


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


def verdict(directions: Sequence[Direction], *, everywhere: bool) -> Verdict:
    """Rules 2 and 3."""
    measured = [direction for direction in directions if direction != "missing"]
    if not measured:
        return "not measured here"
    enough, too_much = (all, any) if everywhere else (any, all)
    if enough(direction == "for" for direction in measured):
        return "supported"
    if too_much(direction == "against" for direction in measured):
        return "not supported"
    return "not decidable at this size"


def direction(comparison: Comparison, *, higher: bool = True) -> Direction:
    """Rule 1: whether a difference speaks for "higher", or for "lower"."""
    if not comparison.confirmed or comparison.verdict not in ("higher", "lower"):
        return "undecided"
    return "for" if (comparison.verdict == "higher") == higher else "against"


def better(*contrasts: tuple[str, str], environments: Sequence[str] = paper.ENVIRONMENTS, higher: bool = True) -> Test:
    """Average rewards of models against baselines, in points and as the relative gain that the paper speaks of."""

    def test(measured: Measured) -> list[Evidence]:
        return [
            _compared(measured.compared, environment, model, baseline, higher=higher)
            for model, baseline in contrasts
            for environment in environments
        ]

    return test


def _compared(
    compared: Sequence[Comparison], environment: str, model: str, baseline: str, *, higher: bool = True
) -> Evidence:
    key = (environment, "average_reward", model, baseline)
    found = [c for c in compared if (c.environment, c.measure, c.model, c.baseline) == key]
    names = f"{environment}: {label(model)} against {label(baseline)}"
    if not found:
        return Evidence(f"{names}: not run", "missing")
    result = found[-1].result
    text = f"{names} {points(result.difference)} on {result.tasks} {found[-1].split} tasks, {found[-1].wording}"
    relative = found[-1].relative
    if relative and relative.value:
        text += f" ({100 * relative.value.mean:+.1f} % of {label(baseline)})".replace("-", MINUS)
    return Evidence(text, direction(found[-1], higher=higher))


def recovers(model: str) -> Test:
    """The share of the way from SFT strong to the ceiling, and beside it that from SFT weak."""

    def test(measured: Measured) -> list[Evidence]:
        evidence = []
        for environment in paper.ENVIRONMENTS:
            here = [r for r in measured.recovered if (r.environment, r.model) == (environment, model)]
            by_name = {r.name: r for r in here}
            if "recovered ceiling" not in by_name:
                evidence.append(Evidence(f"{environment}: no ceiling was run", "missing"))
                continue
            value = by_name["recovered ceiling"].result.value
            speaks: Direction = "undecided"
            if value and not value.low <= 0 <= value.high:
                speaks = "for" if value.low > 0 else "against"
            text = "; ".join(f"{r.name} {share_text(r)}" for r in by_name.values())
            evidence.append(Evidence(f"{environment}: {label(model)}: {text}", speaks))
        return evidence

    return test


def share_text(found: Recovered) -> str:
    """A share in per cent with its interval, its denominator named."""
    way = f"ceiling {MINUS} {label(found.baseline)} = {points(found.result.denominator)}"
    if found.result.value is None:
        return f"undefined ({way})"
    return f"{share(found.result.value)} of {way}"


def repeats_less(model: str, baseline: str, *, environment: str) -> Test:
    """Share of an episode's steps that say again what the step before said."""

    def test(measured: Measured) -> list[Evidence]:
        key = (environment, model, baseline)
        found = [c for c in measured.repeats if (c.environment, c.model, c.baseline) == key]
        names = f"{environment}: share of repeated steps, {label(model)} against {label(baseline)}"
        if not found:
            return [Evidence(f"{names}: not run", "missing")]
        value = points(found[-1].result.difference)
        return [Evidence(f"{names} {value}, {found[-1].wording}", direction(found[-1], higher=False))]

    return test


def higher_beta_is_worse(measured: Measured) -> list[Evidence]:
    """Table 3: w2s_dpo at the greatest beta against the configuration's, on ScienceWorld."""
    rows = _reported([r for r in measured.grid if (r.environment, r.model) == ("scienceworld", "w2s_dpo")])
    lines = [[row for row in rows if row.breadth == breadth] for breadth in {row.breadth for row in rows}]
    line = max(lines, key=len, default=[])
    if len(line) < 2:
        return [Evidence("scienceworld: no grid over dpo.beta was run (make grid)", "missing")]
    top = max(line, key=lambda row: row.beta)
    value = Interval(top.difference, top.difference_low, top.difference_high)
    speaks: Direction = "undecided"
    if not value.low <= 0 <= value.high and top.p_value <= 0.05:
        speaks = "for" if value.high < 0 else "against"
    return [Evidence(f"scienceworld: beta {top.beta} against the configuration's {points(value)}", speaks)]


def rises_then_falls(environments: Sequence[str] = paper.ENVIRONMENTS) -> Test:
    """Figure 5: w2s_mcts against tree breadth.

    For: the best breadth is neither the first nor the last, and both of these have intervals below its own. Against:
    the best is the last, and the first has an interval below it, or the other way round.
    """

    def test(measured: Measured) -> list[Evidence]:
        evidence = []
        for environment in environments:
            rows = _reported([r for r in measured.grid if (r.environment, r.model) == (environment, "w2s_mcts")])
            line = list({row.breadth: row for row in sorted(rows, key=lambda r: r.breadth)}.values())
            if len(line) < 3:
                evidence.append(Evidence(f"{environment}: no grid over tree.breadth was run (make grid)", "missing"))
                continue
            best = max(line, key=lambda r: r.average_reward)
            text = ", ".join(f"{row.breadth}: {100 * row.average_reward:.1f}" for row in line)
            below = [end is not best and end.high < best.low for end in (line[0], line[-1])]
            speaks: Direction = "undecided"
            if all(below):
                speaks = "for"
            elif any(below) and best in (line[0], line[-1]):
                speaks = "against"
            evidence.append(Evidence(f"{environment}: {text}; best at {best.breadth}", speaks))
        return evidence

    return test


def _reported(rows: Sequence[GridRow]) -> list[GridRow]:
    """Rows on unseen tasks, where there are any."""
    unseen = [row for row in rows if row.split == "unseen"]
    return unseen or list(rows)


def counts(measured: Measured) -> list[Evidence]:
    """Table 4: the same numbers of tasks."""
    evidence = []
    for environment, official in paper.TABLE4.items():
        if environment not in measured.tasks:
            evidence.append(Evidence(f"{environment}: not run", "missing"))
            continue
        own = dict(measured.tasks[environment])
        same = all(own.get(split) == number for split, number in official.items())
        shown = ", ".join(f"{split} {number}" for split, number in own.items())
        evidence.append(
            Evidence(
                f"{environment}: {shown}{'' if same else '; our own tasks, not the paper’s'}",
                "for" if same else "missing",
            )
        )
    return evidence


def not_run(reason: str) -> Test:
    """Nothing in this experiment bears on it."""
    return lambda measured: [Evidence(reason, "missing")]
