"""What the report opens with: how far the two W2S methods are above what they should be above, at one glance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from w2sg.evaluation.measures.comparisons import BASELINES, OURS, Comparison, TableCell
from w2sg.evaluation.measures.episodes import REPORTED
from w2sg.evaluation.measures.statistics import Interval
from w2sg.evaluation.paper import paper

# The start trained on with demonstrations alone: without it a student of a start that was not trained to its end would
# seem to owe its gain to what the weak model found.
CONTROL = "more_sft"


@dataclass(frozen=True, slots=True)
class Held:
    """One W2S method beside what it is held against, on the reported split.

    Attributes:
        scores: its mean rewards, by environment.
        against: by baseline its differences to it, by environment.
    """

    model: str
    scores: Mapping[str, Interval]
    against: Mapping[str, Mapping[str, Comparison]]


@dataclass(frozen=True, slots=True)
class Opening:
    """The grid of numbers.

    Attributes:
        environments: its columns.
        tasks: how many tasks of which split each environment's numbers are of.
        held: the W2S methods that were evaluated beside SFT weak, SFT strong or the control; may be empty.
    """

    environments: Sequence[str]
    tasks: Mapping[str, tuple[int, str]]
    held: Sequence[Held]


def opening(compared: Sequence[Comparison], cells: Sequence[TableCell]) -> Opening:
    """From all comparisons and cells: average rewards on the reported split."""
    rewards = [c for c in compared if c.measure == "average_reward" and c.split == REPORTED]
    held = []
    for model in OURS:
        against: dict[str, dict[str, Comparison]] = {}
        for baseline in (*BASELINES, CONTROL):
            own = {c.environment: c for c in rewards if (c.model, c.baseline) == (model, baseline)}
            if own:
                against[baseline] = own
        scores = {
            cell.environment: cell.value
            for cell in cells
            if (cell.model, cell.measure, cell.split) == (model, "average_reward", REPORTED)
        }
        if against:
            held.append(Held(model, scores, against))
    counts = {cell.environment: (cell.tasks, cell.split) for cell in cells if cell.split == REPORTED}
    return Opening(paper.in_order(counts), counts, held)
