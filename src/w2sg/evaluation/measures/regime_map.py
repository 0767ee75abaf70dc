"""Where learning from trees pays: what the cells of a regime map have come to, and what varying one thing does.

A cell has a level of each of three axes, which make what the student learns from: how many places a game has, how good
the weak model is (demonstrations that it is tuned on), and how many samples it has of each task. A fourth axis is the
dose (passes over the paths). Every cell is played under every seed, and a model's gain is its task score less that of
SFT strong on the same tasks. Games with fewer places are those with more of them less some: their goals are the same,
so that they are paired task by task, too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import log

import numpy as np
from numpy.typing import NDArray

from w2sg.contracts.errors import UserError, named
from w2sg.evaluation.measures import mixed, statistics
from w2sg.evaluation.measures.multiplicity import holm
from w2sg.evaluation.measures.regime_played import ANY, Cell, Played
from w2sg.evaluation.measures.statistics import Interval, Resampling

STRONG, STUDENT = "sft_strong", "mcts"
LEAST_SPREAD = 1e-9


@dataclass(frozen=True, slots=True)
class Effect:
    """What comes of a change, with all else alike.

    Attributes:
        name: what is changed, for people.
        mean: in task score.
        interval: None where a single seed gives none.
        p_value: of the stricter test; None with the interval.
        adjusted: after Holm's correction for all effects.
    """

    name: str
    mean: float
    interval: Interval | None
    p_value: float | None
    adjusted: float | None = None


Place = tuple[Cell, int]  # a cell and a dose


class RegimeMap:
    """The cells that all of these seeds have played.

    Args:
        played: of at least one seed.
        resampling: of intervals over tasks and seeds.

    Raises:
        UserError: no cell or no dose of MCTS is common to all seeds, one is there twice, or seeds were played with
            other settings or tasks.
    """

    def __init__(self, played: Iterable[Played], *, resampling: Resampling) -> None:
        self._resampling = resampling
        rows = list(played)
        self.seeds = sorted({row.seed for row in rows})
        for what, of in (("settings", lambda row: row.settings), ("tasks", lambda row: tuple(row.tasks))):
            first = next(row for row in rows if row.seed == self.seeds[0])
            if other := [row.seed for row in rows if of(row) != of(first)]:
                raise UserError(f"seed {other[0]}: played with other {what} than seed {first.seed}; play it again")
        self._rows: dict[tuple[Cell, str, int], dict[int, Played]] = {}
        for row in rows:
            under = self._rows.setdefault((row.cell, row.model, row.passes), {})
            if row.seed in under:
                what = f"{row.places}, {row.demonstrations}, {row.samples}: {named(row.model)}, {row.passes}"
                raise UserError(f"seed {row.seed}: {what}: is there twice; play it again")
            under[row.seed] = row
        wanted = {cell for cell, _, _ in self._rows if cell.demonstrations != ANY}
        self.cells = sorted(cell for cell in wanted if self.there(cell, STRONG, 0))
        if not self.cells:
            raise UserError(f"seeds {', '.join(map(str, self.seeds))}: no cell is common to them; play the same levels")
        self.left_out = sorted(wanted - {*self.cells})
        self.passes = sorted({dose for cell in self.cells for dose in self.doses(cell, STUDENT)})
        if not self.passes:
            seeds = ", ".join(map(str, self.seeds))
            raise UserError(f"seeds {seeds}: no dose of MCTS is common to them; play the same passes")
        self.tasks = len(rows[0].tasks)

    @property
    def middle(self) -> int:
        """The dose at which controls are compared."""
        return middle_of(self.passes)

    @property
    def confidence(self) -> float:
        """Coverage of the intervals."""
        return self._resampling.confidence

    def levels(self, axis: str) -> list[int]:
        """Of places, demonstrations or samples, ascending."""
        return sorted({getattr(cell, axis) for cell in self.cells})

    def doses(self, cell: Cell, model: str) -> list[int]:
        """Passes with which all seeds have a model, ascending."""
        home = cell.home(model)
        return sorted(
            passes for at, name, passes in self._rows if (at, name) == (home, model) and self.there(cell, model, passes)
        )

    def there(self, cell: Cell, model: str, passes: int) -> bool:
        """Whether all seeds have such a model."""
        return sorted(self._rows.get((cell.home(model), model, passes), ())) == self.seeds

    def updates(self, cell: Cell, model: str, passes: int) -> float:
        """Of its training, mean over seeds."""
        return float(np.mean([row.updates for row in self._rows[cell.home(model), model, passes].values()]))

    def matched(self, cell: Cell, passes: int, control: str) -> int | None:
        """The dose of a control whose number of updates is nearest to MCTS's, as a ratio; None if either has none."""
        if not self.there(cell, STUDENT, passes):
            return None
        wanted = self.updates(cell, STUDENT, passes)
        doses = self.doses(cell, control)
        return min(doses, key=lambda dose: abs(log(self.updates(cell, control, dose) / wanted)), default=None)

    def standing(self, cell: Cell, name: str) -> float:
        """Mean over the seeds of one of the figures of Played that describe a cell."""
        return float(np.mean([getattr(row, name) for row in self._rows[cell, STRONG, 0].values()]))

    def score(self, cell: Cell, model: str, passes: int = 0) -> Interval:
        """Task score of a model."""
        return statistics.interval(self._values(cell, model, passes), resampling=self._resampling)

    def gain(self, cell: Cell, passes: int, *, model: str) -> Interval:
        """A model's task score less SFT strong's."""
        found = self.difference("", [((cell, passes), (cell, 0))], model=model, over=STRONG).interval
        assert found is not None
        return found

    def difference(self, name: str, places: Sequence[tuple[Place, Place]], *, model: str, over: str) -> Effect:
        """A model less another, the mean over places: of each the cell and dose of the one and of the other."""
        ours = np.mean([self._values(cell, model, passes) for (cell, passes), _ in places], axis=0)
        theirs = np.mean([self._values(cell, over, passes) for _, (cell, passes) in places], axis=0)
        return self._compared(name, ours, theirs)

    def effect(self, name: str, low: Sequence[Place], high: Sequence[Place], *, control: str = STRONG) -> Effect:
        """MCTS's gain over SFT strong, or over a control with as many updates, at some places less that at others."""
        sides = [np.mean([self._gains(place, control) for place in places], axis=0) for places in (high, low)]
        return self._compared(name, *sides)

    def slope(self, name: str, figure: str, passes: int) -> Effect | None:
        """What a tenth more of a figure of the cells adds to MCTS's gain; None where all have the same. t over seeds.

        By least squares under each seed, among cells of the same places, which differ from others in more than that.
        Cells that have not this dose are left out.
        """
        slopes, cells = [], [cell for cell in self.cells if self.there(cell, STUDENT, passes)]
        for place, seed in enumerate(self.seeds):
            figures = np.array([float(getattr(self._rows[cell, STRONG, 0][seed], figure)) for cell in cells])
            gains = np.array([self._gains((cell, passes), STRONG)[:, place].mean() for cell in cells])
            for level in self.levels("places"):
                here = [cell.places == level for cell in cells]
                if any(here):
                    figures[here] -= figures[here].mean()
            if (spread := float(figures @ figures)) < LEAST_SPREAD:
                return None
            slopes.append(0.1 * float(figures @ gains) / spread)
        fitted, mean = mixed.fit(slopes), float(np.mean(slopes))
        if fitted is None:
            return Effect(name, mean, None, None)
        return Effect(name, mean, Interval(mean, *fitted.bounds(self.confidence)), fitted.p_value)

    def _values(self, cell: Cell, model: str, passes: int) -> NDArray[np.float64]:
        """Of shape (tasks, seeds)."""
        rows = self._rows[cell.home(model), model, passes]
        return np.array([rows[seed].scores for seed in self.seeds], dtype=np.float64).T

    def _gains(self, place: Place, control: str) -> NDArray[np.float64]:
        """Of shape (tasks, seeds)."""
        cell, passes = place
        dose = 0 if control == STRONG else self.matched(cell, passes, control)
        assert dose is not None
        return self._values(cell, STUDENT, passes) - self._values(cell, control, dose)

    def _compared(self, name: str, ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Effect:
        found = statistics.paired_difference(
            {str(task): values for task, values in enumerate(ours.tolist())},
            {str(task): values for task, values in enumerate(theirs.tolist())},
            resampling=self._resampling,
        )
        return Effect(name, found.difference.mean, found.difference, found.strict_p)


def middle_of(doses: Sequence[int]) -> int:
    """Of several, in their order, the one in the middle; the later one of two."""
    return sorted(doses)[len(doses) // 2]


def corrected(effects: Sequence[Effect]) -> list[Effect]:
    """Holm's correction over those that have a p-value."""
    adjusted = iter(holm([each.p_value for each in effects if each.p_value is not None]))
    return [each if each.p_value is None else replace(each, adjusted=next(adjusted)) for each in effects]
