"""Was there something to learn? What an experiment must fulfil before a comparison of methods means anything.

A pipeline is as green when no model has learned anything: every reward near 0, or near 1, and all methods level. Four
conditions, per environment, say whether weak-to-strong generalization could show at all; the report says which fail.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from w2sg.evaluation.measures.comparisons import Comparison, rewards_compared
from w2sg.evaluation.measures.episodes import REPORTED, GroupedEpisodes
from w2sg.evaluation.measures.statistics import Resampling

LEAST, MOST = 0.15, 0.85  # of the expert's reward, for SFT weak
APART = 0.1  # between the best and the worst trajectory of a task, in G
SHARE_APART = 0.3  # of the explored tasks
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Learning:
    """What one environment left to learn, over all seeds.

    Attributes:
        split: of the evaluation, the reported one.
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
    episodes: GroupedEpisodes,
    *,
    experts: Mapping[str, float],
    spreads: Mapping[str, Sequence[float]],
    resampling: Resampling,
) -> list[Learning]:
    """One entry for every environment with an evaluated SFT weak, known experts and explored tasks.

    Args:
        experts: mean G of the demonstrations, by environment.
        spreads: best minus worst G in the tree of each explored task, of all seeds, by environment.
    """
    found = []
    for environment in episodes.environments:
        weak = [episode.trajectory.score for episode in episodes.by_model(environment, REPORTED).get("sft_weak", ())]
        gaps = spreads.get(environment, ())
        if not weak or environment not in experts or not gaps:
            continue
        gain, room = (
            rewards_compared(episodes, environment=environment, model=model, baseline=other, resampling=resampling)
            for model, other in (("sft_weak", "base_weak"), ("sft_strong", "sft_weak"))
        )
        found.append(
            Learning(
                environment=environment,
                split=REPORTED,
                expert=experts[environment],
                weak=sum(weak) / len(weak),
                gain=gain,
                room=room,
                apart=sum(gap >= APART - ROUNDING for gap in gaps) / len(gaps),
            )
        )
    return found


def warnings(found: Sequence[Learning]) -> list[str]:
    """A line for every environment in which a condition fails."""
    return [f"{each.environment}: little to learn here: {'; '.join(each.failed)}" for each in found if each.failed]
