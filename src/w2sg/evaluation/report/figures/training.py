"""The charts of what training logged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from w2sg.evaluation.measures.models import in_table_order, label
from w2sg.evaluation.report.figures.canvas import OTHER_LINES, SPLIT_COLOURS, canvas, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """The log of one training run.

    Attributes:
        name: where it belongs, such as "alfworld" or "all environments".
        model: what was trained, such as "base_weak" or "w2s_dpo".
        seed: of the run.
        rows: step, epoch, loss, learning_rate and, for preferences, margin and accuracy.
    """

    name: str
    model: str
    seed: int
    rows: Sequence[Mapping[str, float]]


def learning_curves(logs: Sequence[LearningCurve], *, columns: Sequence[str]) -> str:
    """A row of panels per model, a panel per column ("loss", "margin", "accuracy"), a line per environment and seed.

    With one column the panels stand three in a row.
    """
    models = in_table_order(log.model for log in logs)
    across = len(columns) if len(columns) > 1 else min(3, len(models))
    down = len(models) if len(columns) > 1 else -(-len(models) // across)
    several = len({log.name for log in logs}) > 1
    with canvas(down, across, width=7.4, height=0.3 + 1.9 * down) as (_, axes, buffer):
        panels = [(model, column) for model in models for column in columns]
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        for axis, (model, column) in zip(axes, panels, strict=False):
            for number, log in enumerate(log for log in logs if log.model == model):
                rows = [row for row in log.rows if column in row]
                name = f"{log.name}, seed {log.seed}" if several else f"seed {log.seed}"
                _curve(axis, rows, column=column, number=number, name=name)
            axis.set_title(label(model) if column == columns[0] else "")
            axis.set(xlabel="update", ylabel=column, **({"ylim": (0, 1.03)} if column == "accuracy" else {}))
            axis.grid()
            if column == columns[0] and len(axis.lines) > 1:
                axis.legend(fontsize=7)
    return svg(buffer, name=f"learning-{'-'.join(columns)}", title=f"Learning curves: {', '.join(columns)}")


def _curve(axis: "Axes", rows: Sequence[Mapping[str, Any]], *, column: str, number: int, name: str) -> None:
    palette = list(SPLIT_COLOURS.values())[1:2] + [colour for colour, _ in OTHER_LINES]
    colour = palette[number % len(palette)]
    steps, values = [row["step"] for row in rows], [row[column] for row in rows]
    axis.plot(steps, values, "-" if len(rows) > 1 else "o", color=colour, linewidth=1.3, label=name)
