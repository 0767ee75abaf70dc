"""docs/map: the page of the regime map, its figure, and the numbers behind both."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from w2sg.contracts import files
from w2sg.evaluation.measures.regime_map import STRONG, Cell, Effect, RegimeMap, corrected
from w2sg.evaluation.measures.wording import MINUS, points, score
from w2sg.evaluation.report import csv_rows
from w2sg.evaluation.report.figures.canvas import INK, Chart, panel
from w2sg.evaluation.report.table import NO, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STUDENT = "mcts"
LABELS = {
    "mcts": "MCTS",
    "best": "the best of the samples",
    "own": "its own best of as many samples",
    "again": "the demonstrations again",
    "expert": "the expert's paths",
    "dpo": "TreeDPO",
}
LIMIT = 40  # points at which the figure's colours end
PAGE = """# The regime map

Made by `make map` (seeds {seeds}; commit {commits}): ALFWorld, {tasks} unseen tasks of each kind of games.
What is varied and who learns what: [results.md](../results.md#the-regime-map).
Figures: `cells.csv`, `effects.csv`; `seeds` has every task's score.

![{title}](map.svg)

Each square is a cell: how many points SFT strong gains by imitating e* of the weak model's trees.
A frame: the cell's own interval over tasks and seeds excludes 0, uncorrected; the last table is corrected.

{tables}"""
STANDING = (
    "Means over seeds. Steps: of a demonstration; the more places, the longer the search. "
    "Mean and solved: of the weak model's samples of the explored tasks, percent. "
    "Complement: explored tasks that it solves in M samples and SFT strong does not by its coolest one, percent."
)
GAINS = (
    "Points above SFT strong, 95% intervals over tasks and seeds; all but MCTS with {middle} passes, TreeDPO with 1."
)
EFFECTS = (
    "In points of task score, over all cells that have both sides; p of the stricter test, corrected for all (Holm). "
    "Games with other places are other games: there seeds alone are paired, as for the slope."
)


def write(folder: Path, found: RegimeMap, *, commits: Sequence[str]) -> None:
    """Write the page, the figure and the tables of numbers."""
    middle = found.passes[len(found.passes) // 2]
    drawn = chart(found)
    tables = [
        Table("What there was to learn from", STANDING, [
            "places, demonstrations, M", "SFT weak", "SFT strong",
            "steps", "mean", "solved", "complement", "paths", "pairs",
        ], [_standing(found, cell) for cell in found.cells]),
        Table("Gains over SFT strong", GAINS.format(middle=middle), [
            "places, demonstrations, M",
            *(f"MCTS, {passes} pass{'es' * (passes > 1)}" for passes in found.passes),
            *(LABELS[name] for name in ("best", "own", "again", "expert", "dpo")),
        ], [_gains(found, cell, middle) for cell in found.cells]),
        Table("What each thing does", EFFECTS, ["", "difference", "p"], [_effect(each) for each in effects(found)]),
    ]  # fmt: skip
    page = PAGE.format(
        seeds=", ".join(map(str, found.seeds)),
        commits=", ".join(commits),
        tasks=found.tasks,
        title=drawn.title,
        tables="\n".join(table.markdown() for table in tables),
    )
    files.write_text(folder / "README.md", page)
    files.write_text(folder / "map.svg", drawn.sheet() + "\n")
    rows = [
        {
            "places": cell.places,
            "demonstrations": cell.demonstrations,
            "samples": cell.samples,
            "model": model,
            "passes": passes,
            "gain": gain.mean,
            "low": gain.low,
            "high": gain.high,
        }
        for cell in found.cells
        for model in LABELS
        for passes in found.passes
        if found.there(cell, model, passes)
        for gain in [found.gain(cell, passes, model=model)]
    ]
    files.write_text(folder / "cells.csv", csv_rows.text(rows))
    rows = [
        {
            "effect": each.name,
            "difference": each.difference.mean,
            "low": each.difference.low,
            "high": each.difference.high,
            "p": each.p_value,
            "p_corrected": each.adjusted,
        }
        for each in effects(found)
    ]
    files.write_text(folder / "effects.csv", csv_rows.text(rows))


def effects(found: RegimeMap) -> list[Effect]:
    """The registered questions (docs/log/30), corrected for their number."""
    middle = found.passes[len(found.passes) // 2]
    asked = []
    for axis, unit in (("samples", "samples"), ("demonstrations", "demonstrations of the weak"), ("places", "places")):
        levels = found.levels(axis)
        if len(levels) > 1:
            name = f"MCTS: {levels[-1]} {unit} − {levels[0]}"
            asked.append(found.effect(name, axis, levels[0], levels[-1], model=STUDENT))
    asked += [
        found.effect(f"MCTS: {high} passes − {low}", "passes", low, high, model=STUDENT)
        for low, high in pairwise(found.passes)
    ]
    places = found.levels("places")
    if len(places) > 1 and all(found.there(cell, "again", middle) for cell in found.cells):
        name = f"MCTS over {LABELS['again']}: {places[-1]} places − {places[0]}"
        asked.append(found.effect(name, "places", places[0], places[-1], model=STUDENT, over="again"))
    complement = partial(found.figure, name="complement")
    asked.append(found.slope("MCTS: 10 points more of complement", complement, model=STUDENT, passes=middle))
    asked += [
        found.difference(f"MCTS − {LABELS[other]}", model=STUDENT, over=other, passes=middle)
        for other in ("best", "own", "again")
        if any(found.there(cell, other, middle) for cell in found.cells)
    ]
    asked += [
        found.difference(f"{label} − SFT strong", model=model, over=STRONG, passes=passes, over_passes=0)
        for label, model, passes in (("MCTS", STUDENT, middle), ("TreeDPO", "dpo", 1), ("Expert", "expert", middle))
        if any(found.there(cell, model, passes) for cell in found.cells)
    ]
    return corrected(asked)


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
                x, y, f"{100 * gain.mean:+.0f}".replace("-", MINUS), ha="center", va="center",
                fontweight="bold" if decided else "normal",
            )  # fmt: skip
            if decided:
                axis.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=INK, linewidth=1.6))
    axis.set(
        title=f"{places} places, {passes} pass{'es' * (passes > 1)}",
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
        score(found.score(cell, "sft_weak")),
        score(found.score(cell, STRONG)),
        f"{found.standing(cell, 'steps'):.1f}",
        *shares,
        *(f"{found.standing(cell, name):.0f}" for name in ("paths", "pairs")),
    ]


def _gains(found: RegimeMap, cell: Cell, middle: int) -> list[str]:
    wanted = [(STUDENT, passes) for passes in found.passes]
    wanted += [(name, 1 if name == "dpo" else middle) for name in ("best", "own", "again", "expert", "dpo")]
    return [
        _name(cell),
        *(
            points(found.gain(cell, passes, model=model)) if found.there(cell, model, passes) else NO
            for model, passes in wanted
        ),
    ]


def _effect(each: Effect) -> list[str]:
    if each.adjusted is None:
        return [each.name, f"{100 * each.difference.mean:+.1f}".replace("-", MINUS), NO]
    p_value = f"{each.adjusted:.3f}" if each.adjusted >= 0.0005 else "< 0.001"
    return [each.name, points(each.difference), p_value]
