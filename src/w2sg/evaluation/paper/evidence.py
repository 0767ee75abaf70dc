"""What a sentence of the paper is judged by: comparisons of models, shares recovered, counts; see `grid_evidence`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from w2sg.evaluation.measures.comparisons import TO_THE_LETTER, Comparison, without_rejected
from w2sg.evaluation.measures.models import label
from w2sg.evaluation.measures.shares import Recovered
from w2sg.evaluation.measures.wording import MINUS, points, share
from w2sg.evaluation.paper import paper
from w2sg.evaluation.paper.verdicts import Direction, Evidence, Follows, Measured, Test

SAME_DOSE = 0.05  # two trainings whose numbers of updates differ by a larger share are not the same dose


def direction(comparison: Comparison, *, higher: bool = True) -> Direction:
    """Rule 1: whether a difference speaks for "higher", or for "lower"."""
    if not comparison.confirmed or comparison.verdict not in ("higher", "lower"):
        return "undecided"
    return "for" if (comparison.verdict == "higher") == higher else "against"


def better(*contrasts: tuple[str, str], environments: Sequence[str] = paper.ENVIRONMENTS) -> Test:
    """Average rewards of models against baselines, in points and as the relative gain that the paper speaks of.

    A method's row with the settings of the text as a whole is judged where there is one.
    """

    def test(measured: Measured) -> list[Evidence]:
        return [
            _compared(measured, environment, model, baseline)
            for model, baseline in contrasts
            for environment in environments
        ]

    return test


def _row(measured: Measured, model: str) -> str:
    """The row that a model of the paper is judged by."""
    letter = TO_THE_LETTER.get(model, model)
    return letter if any(c.model == letter for c in measured.compared) else model


def _compared(measured: Measured, environment: str, of_paper: str, baseline_of_paper: str) -> Evidence:
    model, baseline = _row(measured, of_paper), _row(measured, baseline_of_paper)
    gain = paper.gain(of_paper, baseline_of_paper, environment=environment)
    return _contrast(measured, environment, model, baseline, gain=gain)


def _contrast(measured: Measured, environment: str, model: str, baseline: str, *, gain: float | None) -> Evidence:
    """One row against another; `gain` is what the paper reports of the two, as a fraction."""
    found = measured.comparison(environment, model, baseline)
    if found is None:
        return Evidence(f"{environment}: {label(model)} against {label(baseline)}: not run", "missing")
    text, speaks, excluded = _described(found), direction(found), 1.0
    if gain is not None and gain > 0 and found.result.difference.high < gain:
        excluded = found.result.p_of(gain)
        if excluded <= found.level:
            text += f"; excludes the paper's {100 * gain:+.1f}"
    follows = Evidence(text, speaks, _p_value(found), "", excluded)
    for name, other, words in _starts(measured, found) if speaks == "for" else []:
        if passed := _passed_by(other, words, measured=measured, found=found):
            return replace(follows, text=text + passed, follows=name)
    return follows


def _described(found: Comparison) -> str:
    """Difference, interval and uncorrected verdict in words."""
    names = f"{found.environment}: {label(found.model)} against {label(found.baseline)}"
    result = found.result
    text = f"{names} {points(result.difference)} on {result.tasks} {found.split} tasks"
    if result.seeds > 1 and result.mixed:
        low, high = result.mixed.bounds(1 - found.level)
        text += f", mixed model [{100 * low:+.1f}, {100 * high:+.1f}]".replace("-", MINUS)
    text += f", {replace(found, adjusted=None).wording}"  # the sentence has a correction of its own
    relative = found.relative.value if found.relative else None
    if relative:
        text += f" ({100 * relative.mean:+.1f} % of {label(found.baseline)})".replace("-", MINUS)
    return text


def _p_value(found: Comparison) -> float:
    """1 where the interval decides nothing, as both must."""
    return found.result.strict_p if found.verdict in ("higher", "lower") else 1.0


def _starts(measured: Measured, found: Comparison) -> Iterator[tuple[Follows, str, str]]:
    """What a student's training is held against: its start untouched, and its start trained on demonstrations alone."""
    origin = measured.origins.get(found.model)
    if origin is None:
        return
    yield "the start", origin.start, "where it starts, is {} by itself"
    for name, other in measured.origins.items():
        if (other.start, other.data) == (origin.start, "demonstrations") and origin.data != "demonstrations":
            yield "further training", name, "which has demonstrations alone, is {}"


def _passed_by(other: str, words: str, *, measured: Measured, found: Comparison) -> str:
    """In words, where another model is above the baseline too and the student not shown to be above it; else empty."""
    if other == found.baseline:
        return ""
    above = measured.comparison(found.environment, found.model, other)
    untouched = measured.comparison(found.environment, other, found.baseline)
    passes, by = untouched is not None and direction(untouched) == "for", untouched
    if untouched is None and (by := measured.comparison(found.environment, found.baseline, other)):
        passes = direction(by, higher=False) == "for"
    if not passes or by is None or (above is not None and direction(above) == "for"):
        return ""
    difference = by.result.difference
    amount = difference.mean if by is untouched else -difference.mean
    shown = f"{100 * amount:+.1f}".replace("-", MINUS)
    return f"; {label(other)}, {words.format(shown)}, and it is not shown to be above that"


def recovers(of_paper: str) -> Test:
    """The share of the way from SFT strong to the ceiling, and beside it the performance gap recovered."""

    def test(measured: Measured) -> list[Evidence]:
        evidence, model = [], _row(measured, of_paper)
        for environment in paper.ENVIRONMENTS:
            here = [r for r in measured.recovered if (r.environment, r.model) == (environment, model)]
            by_name = {r.name: r for r in here}
            if "recovered ceiling" not in by_name:
                evidence.append(Evidence(f"{environment}: no ceiling was run", "missing"))
                continue
            text = f"{environment}: {label(model)}: " + "; ".join(f"{r.name} {share_text(r)}" for r in here)
            # Above 0 is the share whose two parts are: the larger of their p-values is its own.
            parts = [measured.comparison(environment, one, "sft_strong") for one in (model, "ceiling")]
            p_value = max(part.result.strict_p if part else 1.0 for part in parts)
            value, excluded = by_name["recovered ceiling"].result.value, 1.0
            speaks: Direction = "undecided"
            if value and not value.low <= 0 <= value.high and p_value <= measured.level:
                speaks = "for" if value.low > 0 else "against"
            official = paper.recovered(paper.TABLE1[of_paper][environment], environment=environment)
            if value and value.high < official:
                excluded = measured.level
                text += f"; excludes the paper's {100 * official:.0f} %"
            evidence.append(Evidence(text, speaks, p_value if speaks != "undecided" else 1.0, "", excluded))
        return evidence

    return test


def share_text(found: Recovered) -> str:
    """A share in per cent with its interval, its denominator named."""
    way = f"{label(found.end)} {MINUS} {label(found.start)} = {points(found.result.denominator)}"
    if found.result.value is None:
        return f"undefined ({way})"
    return f"{share(found.result.value)} of {way}"


def failures_matter(of_paper: str) -> Test:
    """With against without rejected sides: the same pairs, start and number of updates, the chosen sides alone.

    Of the row with the text's settings as a whole and the recommended one the first that has such a twin.
    """

    def test(measured: Measured) -> list[Evidence]:
        rows = dict.fromkeys((_row(measured, of_paper), of_paper))
        found_twins = {row: twins for row in rows if (twins := without_rejected(row, measured.origins))}
        model, twins = next(iter(found_twins.items()), (_row(measured, of_paper), []))
        if not twins:
            reason = f"no row of this roster learns from the chosen sides of {label(model)}'s pairs alone"
            return [Evidence(f"{reason}, from the same start", "untestable")]
        evidence = []
        for twin in twins:
            for environment in paper.ENVIRONMENTS:
                doses = [measured.updates.get((environment, each), 0) for each in (model, twin)]
                found = _contrast(measured, environment, model, twin, gain=None)
                if found.direction != "missing" and abs(doses[0] - doses[1]) > SAME_DOSE * max(doses):
                    text = f"{found.text}; not judged: {doses[0]} updates against {doses[1]}"
                    found = Evidence(text, "missing")
                evidence.append(found)
        return evidence

    return test


def one_episode(*shown: tuple[str, str], environment: str) -> Test:
    """Not testable: a sentence about a single episode; the share of repeated steps in all of them stands beside it."""

    def test(measured: Measured) -> list[Evidence]:
        reason = "one episode of the paper's own model, which no other run can repeat"
        evidence = [Evidence(f"{environment}: {reason}", "untestable")]
        for model, baseline in shown:
            key = (environment, _row(measured, model), baseline)
            for found in [c for c in measured.repeats if (c.environment, c.model, c.baseline) == key]:
                names = f"share of repeated steps in all episodes, {label(found.model)} against {label(baseline)}"
                value = points(found.result.difference)
                evidence.append(Evidence(f"{environment}: {names} {value}", "untestable"))
        return evidence

    return test


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
        text = f"{environment}: {shown}{'' if same else '; our own tasks, not the paper’s'}"
        evidence.append(Evidence(text, "for" if same else "missing", 0.0))
    return evidence


def not_run(reason: str) -> Test:
    """Nothing in this experiment bears on it."""
    return lambda measured: [Evidence(reason, "missing")]
