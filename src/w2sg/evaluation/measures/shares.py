"""Shares of a way between two models that a third covers, in average reward.

Two are in use, and they answer different questions. The paper's "recovered ceiling" (A20) is of the way from SFT strong
to the ceiling, which has the expert's trajectories: what weak supervision gives of what strong supervision would. The
"performance gap recovered" of Burns et al. (2023, "Weak-to-strong generalization", section 3) is of the way from the
weak supervisor to the strong model with ground truth, here from SFT weak to SFT strong: a student that starts from SFT
strong and learns nothing has all of it.
"""

from dataclasses import dataclass

from w2sg.evaluation.measures import statistics
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.scores import average_reward
from w2sg.evaluation.measures.statistics import Ratio, Resampling

WAYS = {  # by name: from, to, whose
    "recovered ceiling": ("sft_strong", "ceiling", "the paper's"),
    "performance gap recovered": ("sft_weak", "sft_strong", "Burns et al., 2023"),
}


@dataclass(frozen=True, slots=True)
class Recovered:
    """The share of a way that a model covers on a split.

    Attributes:
        name: a key of WAYS.
        result: see `statistics.Ratio`: undefined where there is no way to speak of.
    """

    environment: str
    split: str
    model: str
    name: str
    tasks: int
    result: Ratio

    @property
    def start(self) -> str:
        """The model where the way begins."""
        return WAYS[self.name][0]

    @property
    def end(self) -> str:
        """The model where it ends; the denominator is its mean minus the start's."""
        return WAYS[self.name][1]


def recovered(episodes: GroupedEpisodes, *, resampling: Resampling) -> list[Recovered]:
    """Every way that both ends were evaluated of, for every method but its ends; models in the order of the tables.

    The untouched strong base is among them: what it covers needs no supervision.
    """
    found = []
    for environment in episodes.environments:
        for split in episodes.splits_of(environment):
            of = episodes.values(environment, split, average_reward)
            for model in [m for m in of if not m.startswith(("base_weak", "sft_"))]:
                for name, (start, end, _) in WAYS.items():
                    if {start, end} <= of.keys() and model not in (start, end):
                        share = statistics.ratio(of[model], of[start], of[end], resampling=resampling)
                        found.append(Recovered(environment, split, model, name, len(of[model]), share))
    return found
