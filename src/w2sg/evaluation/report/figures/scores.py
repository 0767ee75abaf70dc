"""The charts of scores: Table 1, the paired differences, and tree breadth (the paper's Figure 5)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from w2sg.evaluation.measures.comparisons import Comparison, TableCell
from w2sg.evaluation.measures.grid import GridRow
from w2sg.evaluation.measures.models import in_table_order, label
from w2sg.evaluation.measures.wording import MINUS
from w2sg.evaluation.report.figures.canvas import INK, LINES, SPLIT_COLOURS, canvas, legend, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VERDICT_COLOURS = {"higher": "#009e73", "lower": "#d55e00"}
UNDECIDED_COLOUR = "#8a8a8a"


def table1_chart(table: Sequence[TableCell], *, measure: str = "average_reward") -> str:
    """A bar per model and split with its interval, one panel per environment, models from top to bottom."""
    cells = [cell for cell in table if cell.measure == measure]
    environments = sorted({cell.environment for cell in cells})
    models = in_table_order(cell.model for cell in cells)
    splits = [split for split in SPLIT_COLOURS if any(cell.split == split for cell in cells)]
    height = 0.9 + len(models) * (0.14 + 0.2 * len(splits))
    with canvas(1, len(environments), width=7.4, height=height) as (figure, axes, buffer):
        for axis, environment in zip(axes, environments, strict=True):
            for number, split in enumerate(splits):
                here = [c for c in cells if (c.environment, c.split) == (environment, split)]
                _bars(axis, here, models=models, split=split, offset=(number - (len(splits) - 1) / 2) * 0.36)
            axis.set(
                title=environment,
                xlim=(0, 100),
                xlabel="task score",
                ylim=(len(models) - 0.4, -0.6),
            )
            axis.set_yticks(range(len(models)), [label(m) for m in models] if axis is axes[0] else [""] * len(models))
            axis.tick_params(axis="y", length=0)
            axis.grid(axis="x")
        legend(figure, axes, loc="outside upper right", ncols=len(splits))
    return svg(buffer, name="standings", title="Task score of every model with its interval")


def _bars(axis: "Axes", cells: Sequence[TableCell], *, models: list[str], split: str, offset: float) -> None:
    places = np.array([models.index(cell.model) for cell in cells]) + offset
    means, low, high = (
        100 * np.array([getattr(cell.value, name) for cell in cells]) for name in ("mean", "low", "high")
    )
    axis.barh(places, means, height=0.33, color=SPLIT_COLOURS[split], label=split)
    axis.errorbar(means, places, xerr=[means - low, high - means], fmt="none", ecolor=INK, elinewidth=1, capsize=2)
    for place, mean, end in zip(places, means, high, strict=True):
        axis.annotate(
            f"{mean:.1f}", (max(end, mean), place), (4, 0), textcoords="offset points", va="center", fontsize=8
        )


def difference_chart(compared: Sequence[Comparison]) -> str:
    """Paired differences of rewards with intervals on the last split, a panel per environment; at least one."""
    rewards = [c for c in compared if c.measure == "average_reward"]
    environments = sorted({c.environment for c in rewards})
    last = {environment: [c for c in rewards if c.environment == environment][-1].split for environment in environments}
    shown = [c for c in rewards if c.split == last[c.environment]]
    rows = list(dict.fromkeys((c.model, c.baseline) for c in shown))
    height = 0.9 + 0.22 * len(rows)
    with canvas(1, len(environments), width=7.4, height=height) as (_, axes, buffer):
        for axis, environment in zip(axes, environments, strict=True):
            axis.axvline(0, color=INK, linewidth=1)
            for comparison in [c for c in shown if c.environment == environment]:
                value, place = comparison.result.difference, rows.index((comparison.model, comparison.baseline))
                colour = VERDICT_COLOURS[comparison.verdict] if comparison.holds else UNDECIDED_COLOUR
                axis.plot([100 * value.low, 100 * value.high], [place, place], color=colour, linewidth=2.2)
                axis.plot(100 * value.mean, place, "o", color=colour, markersize=5.5)
            names = [f"{label(model)} {MINUS} {label(baseline)}" for model, baseline in rows]
            axis.set_yticks(range(len(rows)), names if axis is axes[0] else [""] * len(rows))
            axis.set(ylim=(len(rows) - 0.4, -0.6), xlabel="points")
            axis.set_title(f"{environment}, {last[environment]}", fontsize=9)
            axis.tick_params(axis="y", length=0)
            axis.grid(axis="x")
    return svg(buffer, name="differences", title="Paired differences of task scores with their intervals")


def breadth_chart(rows: Sequence[GridRow]) -> str:
    """Task score against tree breadth at one beta, a panel per environment (the paper's Figure 5); at least one row."""
    from matplotlib.ticker import MaxNLocator

    environments = sorted({row.environment for row in rows})
    with canvas(1, len(environments), width=7.4, height=3.0) as (figure, axes, buffer):
        for axis, environment in zip(axes, environments, strict=True):
            for model in in_table_order(row.model for row in rows):
                line = [row for row in rows if (row.environment, row.model) == (environment, model)]
                line.sort(key=lambda row: row.breadth)
                means, low, high = (
                    100 * np.array([getattr(r, n) for r in line]) for n in ("average_reward", "low", "high")
                )
                at = [row.breadth for row in line]
                colour, dashes = LINES[model]
                axis.errorbar(
                    at,
                    means,
                    yerr=[means - low, high - means],
                    fmt=f"{dashes}o",
                    color=colour,
                    capsize=2,
                    label=label(model),
                )
            axis.set(xlabel="tree breadth")
            axis.set_title(f"{environment}, {rows[0].split}", fontsize=9)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.grid()
        axes[0].set_ylabel("task score")
        legend(figure, axes, loc="outside upper right", ncols=2)
    return svg(buffer, name="breadth", title="Task score against tree breadth")
