"""What the cells of a regime map have played: the rows of docs/map/seeds, of which regime_map.py makes comparisons."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from w2sg.contracts.rows import Row, in_unit_interval

# What learns from no tree of the weak model, and so is the same in all cells of the same places (and samples).
OF_PLACES, OF_SAMPLES = ("again", "expert"), ("own",)
ANY = 0  # the level of an axis on which a control does not depend
COUNTS = ("seed", "places", "demonstrations", "samples", "passes", "updates", "paths", "pairs")


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

    def home(self, model: str) -> "Cell":
        """Where a model stands: here, or with the controls of all cells that are alike for it."""
        if model in OF_PLACES:
            return Cell(self.places, ANY, ANY)
        return Cell(self.places, ANY, self.samples) if model in OF_SAMPLES else self


@dataclass(frozen=True, slots=True)
class Played(Row):
    """How one model of a cell did under one seed, and what there was to learn from.

    Attributes:
        passes: over its data; 0 for a model that the cell starts from.
        updates: of its training in the cell.
        tasks: those that it is judged on.
        scores: G of each.
        steps: of the expert's demonstrations, mean number.
        mean: mean G of the weak model's M samples of the explored tasks.
        solved: share of the explored tasks that it solves in M samples.
        complement: share that it solves so and SFT strong does not by its coolest sample.
        paths, pairs: that the tree gave.
        settings: digest of all that is not varied.
        bases, code: digests of the models that the cell began with, and of what computed it.
        commit: that the cell was played at.
    """

    seed: int
    places: int
    demonstrations: int
    samples: int
    model: str
    passes: int
    updates: int
    tasks: Sequence[str]
    scores: Sequence[float]
    steps: float
    mean: float
    solved: float
    complement: float
    paths: int
    pairs: int
    settings: str
    bases: str
    code: str
    commit: str

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [
            ("seed", pa.int64()),
            ("places", pa.int64()),
            ("demonstrations", pa.int64()),
            ("samples", pa.int64()),
            ("model", pa.string()),
            ("passes", pa.int64()),
            ("updates", pa.int64()),
            ("tasks", pa.list_(pa.string())),
            ("scores", pa.list_(pa.float64())),
            ("steps", pa.float64()),
            ("mean", pa.float64()),
            ("solved", pa.float64()),
            ("complement", pa.float64()),
            ("paths", pa.int64()),
            ("pairs", pa.int64()),
            ("settings", pa.string()),
            ("bases", pa.string()),
            ("code", pa.string()),
            ("commit", pa.string()),
        ]
    )

    def check(self) -> None:
        """See Row.check."""
        if len(self.tasks) != len(self.scores) or not self.tasks:
            raise ValueError(f"has {len(self.tasks)} tasks and {len(self.scores)} scores")
        if len({*self.tasks}) != len(self.tasks):
            raise ValueError("has a task twice")
        for score in self.scores:
            in_unit_interval("a score", score)
        for name in ("mean", "solved", "complement"):
            in_unit_interval(name, getattr(self, name))
        for name in COUNTS:
            if (count := getattr(self, name)) < 0:
                raise ValueError(f"{name} is {count}, allowed is 0 and more")
        if not 0.0 <= self.steps < math.inf:
            raise ValueError(f"steps is {self.steps}, allowed is a number from 0")
        if self.passes and not self.updates:
            raise ValueError(f"updates is 0, and passes {self.passes}: what was trained has updates")

    @property
    def cell(self) -> Cell:
        """Where it stands."""
        return Cell(self.places, self.demonstrations, self.samples)
