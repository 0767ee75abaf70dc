"""How verdicts look: a sign, a tone for the colour, and the words; the sign tells in print what the colour does."""

from typing import NamedTuple

from w2sg.evaluation.measures.comparisons import Comparison
from w2sg.evaluation.paper.verdicts import Verdict


class Sign(NamedTuple):
    """A sign, its tone (a class of the style sheet) and the words that it stands for."""

    mark: str
    tone: str
    words: str


VERDICTS: dict[Verdict, tuple[str, str]] = {
    "supported": ("✓", "good"),
    "follows from the start": ("↳", "fair"),
    "follows from further training": ("↳", "fair"),
    "not supported": ("✗", "bad"),
    "excluded at the paper's size": ("⊘", "poor"),
    "not decidable at this size": ("○", "open"),
    "not measured here": ("–", "none"),
    "not testable": ("–", "none"),
}
LEGEND = (
    Sign("▲", "good", "higher"),
    Sign("▼", "bad", "lower"),
    Sign("△▽", "doubt", "by the interval alone: tests or correction do not bear it out"),
    Sign("=", "open", "level"),
    Sign("○", "open", "not decided"),
)


def of_comparison(comparison: Comparison) -> Sign:
    """Filled where a difference holds, hollow where it does not."""
    match comparison.verdict:
        case "higher":
            mark, tone = ("▲", "good") if comparison.holds else ("△", "doubt")
        case "lower":
            mark, tone = ("▼", "bad") if comparison.holds else ("▽", "doubt")
        case "identical":
            mark, tone = "=", "open"
        case _:
            mark, tone = ("=" if comparison.equivalent else "○"), "open"
    return Sign(mark, tone, comparison.wording)


def of_verdict(verdict: Verdict, words: str = "") -> Sign:
    """Of a sentence of the paper; `words` where more is said than the verdict."""
    mark, tone = VERDICTS[verdict]
    return Sign(mark, tone, words or verdict)
