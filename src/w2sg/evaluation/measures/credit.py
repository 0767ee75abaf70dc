"""What single steps of a path are worth, by playing on from before and after them, and how much of a path was luck.

Right data is more than paths that win: a path that blunders and is lucky teaches the blunder. So criterion (f) of the
register (docs/log/20) asks how many steps are right: on tasks that the strong model fails and the weak one solves in M
samples, the share of steps after which a policy does no worse than before. It is estimated by re-rollouts, for which
no expert's opinion of a step is needed (Monte Carlo, as in Math-Shepherd, Wang et al., 2024). The noise of few
re-rollouts alone makes steps look wrong, so each share stands beside what it would be if no step changed anything.

Two kinds of states are played in. In the recorded hidden state a step is right, too, that could not be known to be:
going to the one drawer of ten that has the mug. Over hidden states redrawn from all that agree with what was seen
before the step, Q(h, a) - V(h) is what the step is worth to an agent that does not know, and what a path gained splits
without rest into what its steps were worth and what their answers happened to be (Pan and Schölkopf, 2024):

    G - V(h_0) = sum_t [Q(h_t, a_t) - V(h_t)] + sum_t [V(h_t+1) - Q(h_t, a_t)] = skill + luck.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from w2sg.evaluation.measures import statistics
from w2sg.evaluation.measures.statistics import ROUNDING, Interval, Resampling

States = Literal["recorded", "redrawn"]
Measure = Literal[
    "right",
    "by chance",
    "above chance",
    "strictly right",
    "strictly by chance",
    "outcome",
    "start",
    "skill",
    "luck",
    "kind state",
]

TOLERANCE = 0.25
"""A step is right unless what follows it scores worse by more than this; strictly right unless it scores worse.

The register has no tolerance. Without one the share tends to a half as K grows, if no step changes anything.
"""


@dataclass(frozen=True, slots=True)
class StepOutcomes:
    """What came of playing on around one step of a path.

    Attributes:
        kind: of the path, such as "best_of_m" or "mcts".
        states: in which hidden states was played.
        step: number of the step, from 0.
        before, after: G of the continuations without the step and with it, K each; those of one place begin in the same
            hidden state.
    """

    environment: str
    seed: int
    task_id: str
    kind: str
    states: States
    step: int
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def worth(self) -> float:
        """The advantage, Q(h, a) - V(h)."""
        return round(float(np.mean(self.after) - np.mean(self.before)), ROUNDING)

    def right(self, *, tolerance: float = TOLERANCE) -> bool:
        """Q(h, a) is not below V(h) by more than the tolerance."""
        return self.worth >= -tolerance

    def by_chance(self, *, tolerance: float = TOLERANCE) -> float:
        """How likely the step would be found right if it changed nothing.

        Then each continuation could as well be that of the other side: over all ways to exchange the sides of some,
        the share in which the rule holds. Noise alone keeps a path of such steps below 1.
        """
        return float(np.mean(_exchanged(self) >= -tolerance))

    @property
    def p_worse(self) -> float:
        """Exact p-value, one-sided, that the step changes nothing against its making things worse."""
        return float(np.mean(_exchanged(self) <= self.worth))


def _exchanged(step: StepOutcomes) -> NDArray[np.float64]:
    """The step's worth under every exchange of the two sides, shape (2^K,)."""
    differences = np.subtract(step.after, step.before)
    worth: NDArray[np.float64] = np.round(_signs(len(differences)) @ differences / len(differences), ROUNDING)
    return worth


@lru_cache(maxsize=4)
def _signs(count: int) -> NDArray[np.float64]:
    return np.array(list(product((1.0, -1.0), repeat=count)))


@dataclass(frozen=True, slots=True)
class PathCredit:
    """One path by the continuations in one kind of states.

    Attributes:
        outcome: G of the path itself.
        steps: all of its steps, in order, at least one.
    """

    outcome: float
    steps: tuple[StepOutcomes, ...]

    def share(self, holds: Callable[[StepOutcomes], float | bool]) -> float:
        """Mean over the steps."""
        return float(np.mean([holds(step) for step in self.steps]))

    @property
    def start(self) -> float:
        """V(h_0): what the policy scores on the task."""
        return float(np.mean(self.steps[0].before))

    @property
    def skill(self) -> float:
        """What the steps were worth, summed."""
        return sum(step.worth for step in self.steps)

    @property
    def luck(self) -> float:
        """What their answers happened to be, summed: above 0 where the hidden state was kind to the path."""
        return round(self.outcome - self.start - self.skill, ROUNDING)

    def kindness(self, elsewhere: "PathCredit") -> float:
        """How much kinder the states of this path are to the policy than others: its continuations here minus there.

        The mean over the steps, before each of which both were played from.

        Raises:
            ValueError: they are not of the same path.
        """
        pairs = zip(self.steps, elsewhere.steps, strict=True)
        return float(np.mean([np.mean(one.before) - np.mean(other.before) for one, other in pairs]))


MEASURES: dict[Measure, Callable[[PathCredit], float]] = {
    "right": lambda path: path.share(StepOutcomes.right),
    "by chance": lambda path: path.share(StepOutcomes.by_chance),
    "above chance": lambda path: path.share(lambda step: step.right() - step.by_chance()),
    "strictly right": lambda path: path.share(lambda step: step.right(tolerance=0.0)),
    "strictly by chance": lambda path: path.share(lambda step: step.by_chance(tolerance=0.0)),
    "outcome": lambda path: path.outcome,
    "start": lambda path: path.start,
}
SPLIT: dict[Measure, Callable[[PathCredit], float]] = {"skill": lambda path: path.skill, "luck": lambda path: path.luck}
"""Over redrawn states alone: in the recorded one the answers are known, and all is skill."""


@dataclass(frozen=True, slots=True)
class Credit:
    """One measure of all paths of a kind in one environment, over its tasks and seeds.

    Attributes:
        tasks, paths, steps: how many there are; a task counts once, by the mean over its seeds.
    """

    environment: str
    kind: str
    states: States
    measure: Measure
    tasks: int
    paths: int
    steps: int
    value: Interval


Values: TypeAlias = Sequence[tuple[PathCredit, float]]


def credits(paths: Sequence[PathCredit], *, resampling: Resampling) -> list[Credit]:
    """Every measure of every environment, kind and states, in the order of their first path."""
    groups: dict[tuple[str, str, States], list[PathCredit]] = {}
    recorded = {}
    for path in paths:
        first = path.steps[0]
        groups.setdefault((first.environment, first.kind, first.states), []).append(path)
        if first.states == "recorded":
            recorded[_place(path)] = path
    found = []
    for (_, _, states), own in groups.items():
        measures = MEASURES | SPLIT if states == "redrawn" else MEASURES
        for measure, of in measures.items():
            found.append(_credit(measure, [(path, of(path)) for path in own], resampling=resampling))
        both = [(path, recorded[_place(path)].kindness(path)) for path in own if _place(path) in recorded]
        if states == "redrawn" and both:
            found.append(_credit("kind state", both, resampling=resampling))
    return found


def _place(path: PathCredit) -> tuple[str, int, str, str]:
    first = path.steps[0]
    return first.environment, first.seed, first.task_id, first.kind


def _credit(measure: Measure, values: Values, *, resampling: Resampling) -> Credit:
    by_task: dict[str, list[float]] = {}
    for path, value in values:
        by_task.setdefault(path.steps[0].task_id, []).append(value)
    interval = statistics.interval([float(np.mean(own)) for _, own in sorted(by_task.items())], resampling=resampling)
    first = values[0][0].steps[0]
    steps = sum(len(path.steps) for path, _ in values)
    return Credit(first.environment, first.kind, first.states, measure, len(by_task), len(values), steps, interval)
