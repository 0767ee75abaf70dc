"""The sentences that the report opens with."""

from collections.abc import Sequence

from w2sg.evaluation.measures.comparisons import BASELINES, OURS, Comparison
from w2sg.evaluation.measures.models import label
from w2sg.evaluation.measures.wording import MINUS

CONTROL = "more_sft"


def headline(compared: Sequence[Comparison], *, confidence: float) -> list[str]:
    """One sentence per environment and W2S method, on unseen tasks where there are any.

    Against both baselines, and against the same start trained on with demonstrations alone where that was run: without
    it a student of a start that was not trained to its end would seem to owe its gain to what the weak model found.
    """
    sentences = []
    rewards = [c for c in compared if c.measure == "average_reward"]
    for environment in sorted({c.environment for c in rewards}):
        here = [c for c in rewards if c.environment == environment]
        split = here[-1].split  # unseen, where there are any
        for model in OURS:
            if own := [c for c in here if (c.split, c.model) == (split, model) and c.baseline in (*BASELINES, CONTROL)]:
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
    doubt = ""
    if comparison.verdict == "undecided":
        doubt = ", which includes 0: " + comparison.wording
    elif not comparison.confirmed:
        doubt = ", doubtful: the tests do not confirm it"
    elif not comparison.holds:
        doubt = ", which does not survive Holm's correction"
    return f"is {place} {other} ({reach}{doubt})"
