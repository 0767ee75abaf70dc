"""docs/map: the page of the regime map, its figure, and the numbers behind both."""

from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from keeping import over
from regime_map_effects import LABELS, effects, passes_of
from w2sg.contracts import files
from w2sg.evaluation.measures import csv_files
from w2sg.evaluation.measures.regime_map import STRONG, STUDENT, Effect, RegimeMap
from w2sg.evaluation.measures.regime_played import Cell
from w2sg.evaluation.measures.wording import MINUS, p_value, points, score
from w2sg.evaluation.report.figures.canvas import INK, Chart, panel
from w2sg.evaluation.report.table import NO, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIMIT = 40  # points at which the figure's colours end
PAGE = """# The regime map

Made by `make map` ({seeds}; commit {commits}): ALFWorld, {tasks} unseen tasks.
What is varied and who learns what: [studies.md](../studies.md#the-regime-map).
Figures: `cells.csv`, `effects.csv`; `seeds` has every task's score.

![{title}](map.svg)

Each square is a cell: how many points SFT strong gains by imitating e* of the weak model's trees.
A frame: the cell's own interval over {over} excludes 0, uncorrected; the last table is corrected.

{tables}"""
STANDING = (
    "Means over seeds. Steps: of a demonstration; the more places, the longer the search. "
    "Mean and solved: of the weak model's samples of the explored tasks, percent. "
    "Complement: explored tasks that it solves in M samples and SFT strong does not by its coolest one, percent."
)
LEFT_OUT = (
    " Left out, as not all these seeds have played them (without a path or a pair in its trees a cell has no student)"
    ": {cells}; below, what differs from one of them in one thing alone is left out of that difference."
)
GAINS = (
    "Points above SFT strong, {level:g}% intervals over {over}; with {middle} passes where none are named. "
    "The demonstrations again: with the dose whose updates are nearest to MCTS's in number. A dash: not played."
)
UPDATES = (
    "What the students were trained with, means over seeds: the more a weak model solves, the more there is to read. "
    "The first one has a learning rate of 0 (warm-up): TreeDPO of one update is SFT strong."
)
EFFECTS = (
    "Points of task score, all else alike and over all cells that have their like; "
    "{middle} passes where none are named. p of the stricter test, corrected for all (Holm)."
)


def write(folder: Path, found: RegimeMap, *, commits: Sequence[str]) -> None:
    """Write the page, the figure and the tables of numbers."""
    drawn, asked = chart(found), effects(found)
    files.write_text(folder / "README.md", page(found, asked, title=drawn.title, commits=commits))
    files.write_text(folder / "map.svg", drawn.sheet() + "\n")
    csv_files.write(folder / "cells.csv", _cells(found))
    csv_files.write(folder / "effects.csv", [_row(each) for each in asked])


def page(found: RegimeMap, asked: Sequence[Effect], *, title: str, commits: Sequence[str]) -> str:
    """The text of the page; `title` is the figure's."""
    head = "places, demonstrations, M"
    doses = [f"MCTS, {passes_of(passes)}" for passes in found.passes]
    others = [LABELS[name] for name in LABELS if name != STUDENT]
    about = {"level": 100 * found.confidence, "middle": found.middle, "over": over(found.seeds)}
    rows = [(cell, _models(found, cell)) for cell in found.cells]
    standing = STANDING + (
        LEFT_OUT.format(cells="; ".join(map(_name, missing))) if (missing := _missing(found)) else ""
    )
    tables = [
        Table("What there was to learn from", standing, [
            head, "SFT weak", "SFT strong", "steps", "mean", "solved", "complement", "paths", "pairs",
        ], [_standing(found, cell) for cell in found.cells]),
        Table("Gains over SFT strong", GAINS.format(**about), [head, *doses, *others],
              [[_name(cell), *(_gain(found, cell, *model) for model in models)] for cell, models in rows]),
        Table("Updates", UPDATES, [head, *doses, *others],
              [[_name(cell), *(_updates(found, cell, *model) for model in models)] for cell, models in rows]),
        Table("What each thing does", EFFECTS.format(**about), ["", "difference", "p"], list(map(_effect, asked))),
    ]  # fmt: skip
    return PAGE.format(
        seeds=f"seed{'s' * (len(found.seeds) > 1)} {', '.join(map(str, found.seeds))}",
        commits=", ".join(commits),
        tasks=found.tasks,
        title=title,
        over=over(found.seeds),
        tables="\n".join(table.markdown() for table in tables),
    )


def _missing(found: RegimeMap) -> list[Cell]:
    """Cells of the levels that there are which not all seeds have."""
    every = product(*map(found.levels, ("places", "demonstrations", "samples")))
    return sorted({*found.left_out, *(Cell(*each) for each in every)} - {*found.cells})


def _cells(found: RegimeMap) -> list[dict[str, object]]:
    """Every model of every cell that all seeds have played."""
    return [
        {
            "places": cell.places,
            "demonstrations": cell.demonstrations,
            "samples": cell.samples,
            "model": model,
            "passes": passes,
            "updates": found.updates(cell, model, passes),
            **csv_files.of_interval("gain", gain),
        }
        for cell in found.cells
        for model in LABELS
        for passes in found.doses(cell, model)
        for gain in [found.gain(cell, passes, model=model)]
    ]


def _row(each: Effect) -> dict[str, object]:
    return {
        "effect": each.name,
        "difference": each.mean,
        "low": each.interval and each.interval.low,
        "high": each.interval and each.interval.high,
        "p": each.p_value,
        "p_corrected": each.adjusted,
    }


def chart(found: RegimeMap) -> Chart:
    """Gains over SFT strong: a panel for each number of places and dose, samples across, demonstrations upwards."""
    places, passes = found.levels("places"), found.passes
    panels = [
        panel(
            partial(_squares, found, number, dose),
            name=f"map-{number}-{dose}",
            title=f"Gain of MCTS over SFT strong: {number} places, {dose} passes",
            width=3.0,
            height=2.5,
        )
        for number in places
        for dose in passes
    ]
    return Chart("Where learning from trees beats SFT strong", panels, across=len(passes))


def _squares(found: RegimeMap, places: int, passes: int, axis: "Axes") -> None:
    from matplotlib.patches import Rectangle

    rows, columns = found.levels("demonstrations"), found.levels("samples")
    for y, demonstrations in enumerate(rows):
        for x, samples in enumerate(columns):
            cell = Cell(places, demonstrations, samples)
            if cell not in found.cells or not found.there(cell, STUDENT, passes):
                continue
            gain = found.gain(cell, passes, model=STUDENT)
            strength = max(-1.0, min(1.0, 100 * gain.mean / LIMIT))
            # Blue gains, orange loses: told apart with every common kind of colour blindness.
            corner, decided = (x - 0.46, y - 0.46), gain.low > 0 or gain.high < 0
            colour, depth = ("#0072b2" if strength > 0 else "#d55e00"), 0.08 + 0.72 * abs(strength)
            axis.add_patch(Rectangle(corner, 0.92, 0.92, facecolor=colour, alpha=depth, linewidth=0))
            axis.text(
                x, y, f"{100 * gain.mean:+z.0f}".replace("-", MINUS), ha="center", va="center",
                fontweight="bold" if decided else "normal",
            )  # fmt: skip
            if decided:
                axis.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=INK, linewidth=1.6))
    axis.set(
        title=f"{places} places, {passes_of(passes)}",
        xlabel="samples of each task",
        ylabel="demonstrations of the weak",
        xlim=(-0.5, len(columns) - 0.5),
        ylim=(-0.5, len(rows) - 0.5),
    )
    axis.set_xticks(range(len(columns)), [str(each) for each in columns])
    axis.set_yticks(range(len(rows)), [str(each) for each in rows])
    axis.tick_params(length=0)


def _name(cell: Cell) -> str:
    return f"{cell.places}, {cell.demonstrations}, {cell.samples}"


def _standing(found: RegimeMap, cell: Cell) -> list[str]:
    shares = [f"{100 * found.standing(cell, name):.0f}" for name in ("mean", "solved", "complement")]
    return [
        _name(cell),
        score(found.score(cell, "sft_weak")) if found.there(cell, "sft_weak", 0) else NO,
        score(found.score(cell, STRONG)),
        f"{found.standing(cell, 'steps'):.1f}",
        *shares,
        *(f"{found.standing(cell, name):.0f}" for name in ("paths", "pairs")),
    ]


def _models(found: RegimeMap, cell: Cell) -> list[tuple[str, int | None]]:
    """The columns of a cell: models and doses."""
    doses = {"again": found.matched(cell, found.middle, "again"), "dpo": next(iter(found.doses(cell, "dpo")), None)}
    columns: list[tuple[str, int | None]] = [(STUDENT, passes) for passes in found.passes]
    return columns + [(name, doses.get(name, found.middle)) for name in LABELS if name != STUDENT]


def _gain(found: RegimeMap, cell: Cell, model: str, passes: int | None) -> str:
    if passes is None or not found.there(cell, model, passes):
        return NO
    return points(found.gain(cell, passes, model=model))


def _updates(found: RegimeMap, cell: Cell, model: str, passes: int | None) -> str:
    return NO if passes is None or not found.there(cell, model, passes) else f"{found.updates(cell, model, passes):.0f}"


def _effect(each: Effect) -> list[str]:
    if each.interval is None or each.adjusted is None:
        return [each.name, f"{100 * each.mean:+.1f}".replace("-", MINUS), NO]
    return [each.name, points(each.interval), p_value(each.adjusted)]
