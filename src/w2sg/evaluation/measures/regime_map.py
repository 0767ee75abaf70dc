"""Where learning from trees pays: what cells of a regime map have come to, and what varying one thing does.

A cell has a level of each of four axes. Three make what the student learns from: how much of a game is hidden (places),
how good the weak model is (demonstrations that it is tuned on), and how many samples it has of each task; the fourth is
the dose (passes over the paths). Every cell is played under every seed, and a model's gain is its task score less that
of SFT strong on the same tasks.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from w2sg.contracts.rows import Row, in_unit_interval
from w2sg.evaluation.measures import mixed, statistics
from w2sg.evaluation.measures.comparisons import Resampling
from w2sg.evaluation.measures.multiplicity import holm
from w2sg.evaluation.measures.statistics import Interval

STRONG = "sft_strong"
AXES = ("places", "demonstrations", "samples", "passes")


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """What a student learns from, but for the dose.

    Attributes:
        places: receptacles of a game at most.
        demonstrations: that the weak model is tuned on.
        samples: M, of each task.
    """

    places: int
    demonstrations: int
    samples: int


@dataclass(frozen=True, slots=True)
class Played(Row):
    """How one model of a cell did under one seed, and what there was to learn from.

    Attributes:
        passes: over its data; 0 for a model that the cell starts from.
        tasks: those that it is judged on.
        scores: G of each.
        steps: of the expert's demonstrations, mean number.
        mean: mean G of the weak model's M samples of the explored tasks.
        solved: share of the explored tasks that it solves in M samples.
        complement: share that it solves so and SFT strong does not by its coolest sample.
        paths, pairs: that the tree gave.
        commit: that the cell was played at.
    """

    seed: int
    places: int
    demonstrations: int
    samples: int
    model: str
    passes: int
    tasks: Sequence[str]
    scores: Sequence[float]
    steps: float
    mean: float
    solved: float
    complement: float
    paths: int
    pairs: int
    commit: str

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [
            ("seed", pa.int64()),
            ("places", pa.int64()),
            ("demonstrations", pa.int64()),
            ("samples", pa.int64()),
            ("model", pa.string()),
            ("passes", pa.int64()),
            ("tasks", pa.list_(pa.string())),
            ("scores", pa.list_(pa.float64())),
            ("steps", pa.float64()),
            ("mean", pa.float64()),
            ("solved", pa.float64()),
            ("complement", pa.float64()),
            ("paths", pa.int64()),
            ("pairs", pa.int64()),
            ("commit", pa.string()),
        ]
    )

    def check(self) -> None:
        """See Row.check."""
        if len(self.tasks) != len(self.scores) or not self.tasks:
            raise ValueError(f"has {len(self.tasks)} tasks and {len(self.scores)} scores")
        for name in ("mean", "solved", "complement"):
            in_unit_interval(name, getattr(self, name))

    @property
    def cell(self) -> Cell:
        """Where it stands."""
        return Cell(self.places, self.demonstrations, self.samples)


@dataclass(frozen=True, slots=True)
class Effect:
    """What comes of a change, over all cells that are alike but for it.

    Attributes:
        name: what is changed, for people.
        difference: in task score.
        p_value: of the stricter test; None for one seed where tasks cannot be paired.
        adjusted: after Holm's correction for all effects.
    """

    name: str
    difference: Interval
    p_value: float | None
    adjusted: float | None = None


class RegimeMap:
    """The cells that all of these seeds have played.

    Args:
        played: of at least one seed.
        resampling: of intervals over tasks and seeds.

    Raises:
        ValueError: no cell is common to all seeds.
    """

    def __init__(self, played: Iterable[Played], *, resampling: Resampling) -> None:
        self._resampling = resampling
        found: dict[Cell, dict[int, list[Played]]] = {}
        for each in played:
            found.setdefault(each.cell, {}).setdefault(each.seed, []).append(each)
        self.seeds = sorted({seed for own in found.values() for seed in own})
        self._played = {cell: own for cell, own in sorted(found.items()) if sorted(own) == self.seeds}
        if not self._played:
            raise ValueError(f"seeds {', '.join(map(str, self.seeds))} have no cell in common")
        self.cells = list(self._played)
        rows = [each for own in self._played.values() for each in own[self.seeds[0]]]
        self.passes = sorted({each.passes for each in rows if each.passes})
        self.tasks = len(rows[0].tasks)

    def levels(self, axis: str) -> list[int]:
        """Of one of AXES, ascending."""
        return self.passes if axis == "passes" else sorted({getattr(cell, axis) for cell in self.cells})

    def there(self, cell: Cell, model: str, passes: int) -> bool:
        """Whether all seeds have such a model."""
        return all(self._find(own, model, passes) for own in self._played[cell].values())

    def standing(self, cell: Cell, name: str) -> float:
        """Mean over the seeds of one of the figures of Played that describe a cell."""
        return float(np.mean([getattr(own[0], name) for own in self._played[cell].values()]))

    def score(self, cell: Cell, model: str, passes: int = 0) -> Interval:
        """Task score of a model of a cell."""
        values = list(self._values(cell, model, passes).values())
        how = self._resampling
        return statistics.interval(values, resamples=how.resamples, confidence=how.confidence, rng=how.rng())

    def gain(self, cell: Cell, passes: int, *, model: str, over: str = STRONG, over_passes: int = 0) -> Interval:
        """A model's task score less another's, of the same cell."""
        return self._compared([(cell, passes)], model, over, over_passes).difference

    def difference(
        self, name: str, *, model: str, over: str, passes: int | None = None, over_passes: int | None = None
    ) -> Effect:
        """A model less another with the same dose, over all cells and doses that have both.

        Args:
            passes: this dose alone.
            over_passes: the other's dose, where it is not the same.
        """
        places = [
            (cell, each)
            for cell in self.cells
            for each in (self.passes if passes is None else [passes])
            if self.there(cell, model, each) and self.there(cell, over, each if over_passes is None else over_passes)
        ]
        found = self._compared(places, model, over, over_passes)
        return Effect(name, found.difference, found.strict_p)

    def effect(self, name: str, axis: str, low: int, high: int, *, model: str, over: str = STRONG) -> Effect:
        """The gain of a model at one level of an axis less that at another, all others alike.

        Games with other places are other games, so there seeds alone are paired, and t tests over them.

        Args:
            over: what it gains over: SFT strong, or a model with the same dose, so that this one's change is taken off.
        """
        sides = [self._gains(axis, level, model, over) for level in (high, low)]
        how = self._resampling
        if axis == "places":
            more, less = (np.mean(list(side.values()), axis=0) for side in sides)  # over tasks: one value a seed
            return self._over_seeds(name, np.asarray(more - less))
        found = statistics.paired_difference(
            sides[0], sides[1], resamples=how.resamples, confidence=how.confidence, rng=how.rng()
        )
        return Effect(name, found.difference, found.strict_p)

    def slope(self, name: str, of: Callable[[Cell, int], float], *, model: str, passes: int) -> Effect:
        """Points of gain for a tenth more of a figure of the cells, by least squares within each seed; t over seeds.

        Args:
            of: the figure of a cell under a seed.
        """
        slopes = []
        for place, seed in enumerate(self.seeds):
            figures = np.array([of(cell, seed) for cell in self.cells])
            gains = np.array([np.mean(self._gain_by_task(cell, model, passes)[:, place]) for cell in self.cells])
            centred = figures - figures.mean()
            if not (spread := float(centred @ centred)):
                return Effect(name, Interval(0.0, -1.0, 1.0), None)
            slopes.append(0.1 * float(centred @ gains) / spread)
        return self._over_seeds(name, np.array(slopes))

    def _over_seeds(self, name: str, values: NDArray[np.float64]) -> Effect:
        """Mean and Student's t of one value a seed; nothing can be said of a single one."""
        fitted = mixed.fit(values)
        low, high = fitted.bounds(self._resampling.confidence) if fitted else (-1.0, 1.0)
        return Effect(name, Interval(float(values.mean()), low, high), fitted.p_value if fitted else None)

    def figure(self, cell: Cell, seed: int, name: str) -> float:
        """One of the figures of Played that describe a cell, under one seed."""
        return float(getattr(self._played[cell][seed][0], name))

    def _find(self, own: Sequence[Played], model: str, passes: int) -> Played | None:
        return next((each for each in own if (each.model, each.passes) == (model, passes)), None)

    def _values(self, cell: Cell, model: str, passes: int) -> dict[str, list[float]]:
        """By task, which is another one where there are other places, and in the order of the seeds."""
        found: dict[str, list[float]] = {}
        for seed in self.seeds:
            own = self._find(self._played[cell][seed], model, passes)
            assert own is not None, (cell, model, passes)
            for task, score in zip(own.tasks, own.scores, strict=True):
                found.setdefault(f"{cell.places}/{task}", []).append(score)
        return found

    def _gain_by_task(self, cell: Cell, model: str, passes: int, over: str = STRONG) -> NDArray[np.float64]:
        """Of shape (tasks, seeds)."""
        ours, theirs = self._values(cell, model, passes), self._values(cell, over, 0 if over == STRONG else passes)
        return np.subtract([ours[task] for task in ours], [theirs[task] for task in ours], dtype=np.float64)

    def _gains(self, axis: str, level: int, model: str, over: str) -> dict[str, list[float]]:
        """By task and in the order of the seeds, mean gains over the cells and doses of a level."""
        found: dict[str, list[list[float]]] = {}
        for cell in self.cells:
            for passes in self.passes:
                at = passes if axis == "passes" else getattr(cell, axis)
                dose = 0 if over == STRONG else passes
                if at == level and self.there(cell, model, passes) and self.there(cell, over, dose):
                    gains = self._gain_by_task(cell, model, passes, over).tolist()
                    for task, gain in zip(self._values(cell, model, passes), gains, strict=True):
                        found.setdefault(task, []).append(gain)
        return {task: np.mean(gains, axis=0).tolist() for task, gains in found.items()}

    def _compared(
        self, places: Sequence[tuple[Cell, int]], model: str, over: str, over_passes: int | None
    ) -> statistics.PairedDifference:
        """Means over places, task by task and seed by seed."""
        sides: tuple[dict[str, list[list[float]]], dict[str, list[list[float]]]] = ({}, {})
        for cell, passes in places:
            other = passes if over_passes is None else over_passes
            for side, name, dose in zip(sides, (model, over), (passes, other), strict=True):
                for task, values in self._values(cell, name, dose).items():
                    side.setdefault(task, []).append(values)
        ours, theirs = ({task: np.mean(values, axis=0).tolist() for task, values in side.items()} for side in sides)
        how = self._resampling
        return statistics.paired_difference(
            ours, theirs, resamples=how.resamples, confidence=how.confidence, rng=how.rng()
        )


def corrected(effects: Sequence[Effect]) -> list[Effect]:
    """Holm's correction over those that have a p-value."""
    tested = [each.p_value for each in effects if each.p_value is not None]
    adjusted = iter(holm(tested))
    return [each if each.p_value is None else replace(each, adjusted=next(adjusted)) for each in effects]
