"""The charts of scores: Table 1, the paired differences, and tree breadth (the paper's Figure 5)."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from w2sg.evaluation.measures.comparisons import Comparison, TableCell
from w2sg.evaluation.measures.episodes import REPORTED
from w2sg.evaluation.measures.grid import GridRow
from w2sg.evaluation.measures.models import environment_label, in_table_order, label
from w2sg.evaluation.measures.wording import MINUS
from w2sg.evaluation.paper import paper
from w2sg.evaluation.report.figures.canvas import (
    INK,
    LINES,
    SPLIT_COLOURS,
    Chart,
    block_entry,
    dot_entry,
    line_entry,
    named_width,
    panel,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VERDICT_COLOURS = {"higher": "#009e73", "lower": "#d55e00"}
UNDECIDED_COLOUR = "#8a8a8a"


def table1_chart(table: Sequence[TableCell]) -> Chart:
    """A bar per model and split with its interval, one panel per environment, models from top to bottom."""
    cells = [cell for cell in table if cell.measure == "average_reward"]
    splits = [split for split in SPLIT_COLOURS if any(cell.split == split for cell in cells)]
    models = in_table_order(cell.model for cell in cells)
    panels = [
        panel(
            partial(_standings, [cell for cell in cells if cell.environment == environment], models, splits),
            name=f"standings-{environment}",
            title=f"{environment_label(environment)}: task score of every model with its interval, as in the table",
            width=1.6 + named_width([label(model) for model in models]),
            height=0.8 + len(models) * (0.12 + 0.17 * len(splits)),
        )
        for environment in paper.in_order(cell.environment for cell in cells)
    ]
    legend = [block_entry(split, SPLIT_COLOURS[split]) for split in splits]
    return Chart("Task score of every model with its interval", panels, legend)


def _standings(cells: Sequence[TableCell], models: list[str], splits: Sequence[str], axis: "Axes") -> None:
    for number, split in enumerate(splits):
        here = [cell for cell in cells if cell.split == split]
        _bars(axis, here, models=models, split=split, offset=(number - (len(splits) - 1) / 2) * 0.36)
    axis.set(
        title=environment_label(cells[0].environment),
        xlim=(0, 100),
        xlabel="task score",
        ylim=(len(models) - 0.4, -0.6),
    )
    axis.set_yticks(range(len(models)), [label(model) for model in models])
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x")


def _bars(axis: "Axes", cells: Sequence[TableCell], *, models: list[str], split: str, offset: float) -> None:
    places = np.array([models.index(cell.model) for cell in cells]) + offset
    means, low, high = (
        100 * np.array([getattr(cell.value, name) for cell in cells]) for name in ("mean", "low", "high")
    )
    axis.barh(places, means, height=0.33, color=SPLIT_COLOURS[split])
    axis.errorbar(means, places, xerr=[means - low, high - means], fmt="none", ecolor=INK, elinewidth=1, capsize=2)
    for place, mean, end in zip(places, means, high, strict=True):
        axis.annotate(
            f"{mean:.1f}", (max(end, mean), place), (3, 0), textcoords="offset points", va="center", fontsize=7.5
        )


def difference_chart(compared: Sequence[Comparison]) -> Chart:
    """Paired differences of rewards with intervals on the reported split, a panel per environment; at least one."""
    shown = [c for c in compared if (c.measure, c.split) == ("average_reward", REPORTED)]
    rows = list(dict.fromkeys((c.model, c.baseline) for c in shown))
    panels = []
    for number, environment in enumerate(paper.in_order(c.environment for c in shown)):
        here = [c for c in shown if c.environment == environment]
        name = environment_label(environment)
        panels.append(
            panel(
                partial(_differences, here, rows, number == 0),
                name=f"differences-{environment}",
                title=f"{name}: paired differences of task scores with their intervals, as in the table",
                width=2.2 + (named_width(map(_name, rows)) if number == 0 else 0.1),
                height=0.8 + 0.22 * len(rows),
            )
        )
    colours = {**VERDICT_COLOURS, "not decided": UNDECIDED_COLOUR}
    legend = [dot_entry(verdict, colour) for verdict, colour in colours.items()]
    return Chart("Paired differences of task scores with their intervals", panels, legend)


def _differences(compared: Sequence[Comparison], rows: list[tuple[str, str]], named: bool, axis: "Axes") -> None:
    axis.axvline(0, color=INK, linewidth=1)
    for comparison in compared:
        value, place = comparison.result.difference, rows.index((comparison.model, comparison.baseline))
        colour = VERDICT_COLOURS[comparison.verdict] if comparison.holds else UNDECIDED_COLOUR
        axis.plot([100 * value.low, 100 * value.high], [place, place], color=colour, linewidth=2.2)
        axis.plot(100 * value.mean, place, "o", color=colour, markersize=5.5)
    axis.set_yticks(range(len(rows)), list(map(_name, rows)) if named else [""] * len(rows))
    axis.set(ylim=(len(rows) - 0.4, -0.6), xlabel="points")
    axis.set_title(f"{environment_label(compared[0].environment)}, {compared[0].split}")
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x")


def _name(row: tuple[str, str]) -> str:
    model, baseline = row
    return f"{label(model)} {MINUS} {label(baseline)}"


def breadth_chart(rows: Sequence[GridRow]) -> Chart:
    """Task score against tree breadth at one beta, a panel per environment (the paper's Figure 5); at least one row."""
    models = in_table_order(row.model for row in rows)
    panels = [
        panel(
            partial(_breadths, [row for row in rows if row.environment == environment], models),
            name=f"breadth-{environment}",
            title=f"{environment_label(environment)}: task score against tree breadth, as in Table 3",
        )
        for environment in paper.in_order(row.environment for row in rows)
    ]
    legend = [line_entry(label(model), *LINES[model]) for model in models]
    return Chart("Task score against tree breadth", panels, legend)


def _breadths(rows: Sequence[GridRow], models: Sequence[str], axis: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    for model in models:
        line = sorted((row for row in rows if row.model == model), key=lambda row: row.breadth)
        means, low, high = (100 * np.array([getattr(r, n) for r in line]) for n in ("average_reward", "low", "high"))
        colour, dashes = LINES[model]
        reach = [means - low, high - means]
        axis.errorbar([row.breadth for row in line], means, yerr=reach, fmt=f"{dashes}o", color=colour, capsize=2)
    axis.set(xlabel="tree breadth", ylabel="task score")
    axis.set_title(f"{environment_label(rows[0].environment)}, {rows[0].split}")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid()
