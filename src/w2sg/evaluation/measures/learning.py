"""Was there something to learn? What an experiment must fulfil before a comparison of methods means anything.

A pipeline is as green when no model has learned anything: every reward near 0, or near 1, and all methods level. Four
conditions, per environment, say whether weak-to-strong generalization could show at all; the report says which fail.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from w2sg.contracts.records import Episode
from w2sg.evaluation.measures import claims, metrics
from w2sg.evaluation.measures.claims import Comparison, Settings
from w2sg.evaluation.paper.verdicts import points
from w2sg.evaluation.report.tables import NO, Table

LEAST, MOST = 0.15, 0.85  # of the expert's reward, for SFT weak
APART = 0.1  # between the best and the worst trajectory of a task, in G
SHARE_APART = 0.3  # of the explored tasks
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Learning:
    """What one environment left to learn, over all seeds.

    Attributes:
        split: of the evaluation; the last, unseen where there are unseen tasks.
        expert: mean G of the demonstrations that SFT learned from, on training tasks; the expert's failures are not
            among them, so that SFT weak's share of it is if anything too small.
        weak: mean G of SFT weak.
        gain: SFT weak minus its base; None where either was not evaluated.
        room: SFT strong minus SFT weak; likewise.
        apart: share of the explored tasks in whose tree the best trajectory is APART or more above the worst.
    """

    environment: str
    split: str
    expert: float
    weak: float
    gain: Comparison | None
    room: Comparison | None
    apart: float

    @property
    def of_expert(self) -> float:
        """SFT weak's reward as a share of the expert's."""
        return self.weak / self.expert if self.expert else 0.0

    @property
    def failed(self) -> list[str]:
        """The conditions that do not hold, in words; empty where all do."""
        found = []
        if not LEAST <= self.of_expert <= MOST:
            reach = f"{100 * LEAST:.0f} to {100 * MOST:.0f} %"
            found.append(f"SFT weak has {100 * self.of_expert:.0f} % of the expert's reward, not {reach}")
        if self.gain and self.gain.verdict != "higher":
            found.append("SFT weak is not shown to be above its base")
        if self.room and self.room.verdict != "higher":
            found.append("SFT strong is not shown to be above SFT weak")
        if self.apart < SHARE_APART:
            found.append(
                f"in {100 * self.apart:.0f} % of the explored tasks, not {100 * SHARE_APART:.0f}, one trajectory "
                f"is {APART:g} above another"
            )
        return found


def learning(
    episodes: Sequence[Episode],
    *,
    experts: Mapping[str, float],
    spreads: Mapping[str, Sequence[float]],
    settings: Settings,
) -> list[Learning]:
    """One entry for every environment with an evaluated SFT weak, known experts and explored tasks.

    Args:
        experts: mean G of the demonstrations, by environment.
        spreads: best minus worst G in the tree of each explored task, of all seeds, by environment.
    """
    found = []
    for environment in metrics.environments(episodes):
        here = [episode for episode in episodes if episode.trajectory.environment == environment]
        split = metrics.splits(here)[-1]
        last = [episode for episode in here if episode.split == split]
        weak = [episode.trajectory.score for episode in last if episode.model == "sft_weak"]
        gaps = spreads.get(environment, ())
        if not weak or environment not in experts or not gaps:
            continue
        place = {"environment": environment, "split": split}
        found.append(
            Learning(
                environment=environment,
                split=split,
                expert=experts[environment],
                weak=sum(weak) / len(weak),
                gain=claims.rewards_compared(last, model="sft_weak", baseline="base_weak", settings=settings, **place),
                room=claims.rewards_compared(last, model="sft_strong", baseline="sft_weak", settings=settings, **place),
                apart=sum(gap >= APART - ROUNDING for gap in gaps) / len(gaps),
            )
        )
    return found


def table(found: Sequence[Learning]) -> Table:
    """The four conditions and whether they hold."""
    rows = [
        [
            each.environment,
            f"{100 * each.expert:.1f}",
            f"{100 * each.weak:.1f} ({100 * each.of_expert:.0f} %)",
            points(each.gain.result.difference) if each.gain else NO,
            points(each.room.result.difference) if each.room else NO,
            f"{100 * each.apart:.0f} %",
            "; ".join(each.failed) or "all hold",
        ]
        for each in found
    ]
    note = (
        "Comparisons of methods mean something only where there was something to learn: SFT weak between "
        f"{100 * LEAST:.0f} and {100 * MOST:.0f} % of the expert's reward (of the demonstrations that SFT learned "
        "from, without the expert's own failures), above its base, below SFT strong, each by the interval of the "
        f"paired difference, and in {100 * SHARE_APART:.0f} % or more of the explored tasks one trajectory at least "
        f"{APART:g} above another."
    )
    head = ["environment", "expert", "SFT weak", "above its base", "SFT strong above it", "apart", "conditions"]
    return Table("Was there something to learn?", note, head, rows)


def warnings(found: Sequence[Learning]) -> list[str]:
    """A line for every environment in which a condition fails."""
    return [f"{each.environment}: little to learn here: {'; '.join(each.failed)}" for each in found if each.failed]


def row(each: Learning) -> dict[str, object]:
    """A line of learning.csv; rewards and differences as fractions."""
    gain = each.gain.result.difference if each.gain else None
    room = each.room.result.difference if each.room else None
    return {
        "environment": each.environment,
        "split": each.split,
        "expert": each.expert,
        "sft_weak": each.weak,
        "of_expert": each.of_expert,
        "above_base": gain.mean if gain else None,
        "above_base_low": gain.low if gain else None,
        "above_base_high": gain.high if gain else None,
        "strong_above": room.mean if room else None,
        "strong_above_low": room.low if room else None,
        "strong_above_high": room.high if room else None,
        "apart": each.apart,
        "failed": "; ".join(each.failed),
    }
