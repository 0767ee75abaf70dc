"""The charts of what training logged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from w2sg.evaluation.measures.models import environment_label, in_table_order, label
from w2sg.evaluation.paper import paper
from w2sg.evaluation.report.figures.canvas import INK, Chart, environment_colours, line_entry, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EVERYWHERE = "all environments"  # the name of a run that trains for all of them, which a base does


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


def learning_curves(logs: Sequence[LearningCurve], *, columns: Sequence[str]) -> Chart:
    """A panel per model and column ("loss", "margin", "accuracy"), a colour per environment.

    A line is the mean over the seeds that have come so far, a band reaches from the least to the greatest of them.
    """
    places = paper.in_order(log.name for log in logs)
    colours = environment_colours(places) | {EVERYWHERE: INK}
    panels = [
        panel(
            partial(_model, [log for log in logs if log.model == model], column, colours),
            name=f"learning-{'-'.join(columns)}-{number}-{column}",
            title=f"{label(model)}: {column} by update",
            height=2.1,
        )
        for number, model in enumerate(in_table_order(log.model for log in logs))
        for column in columns
    ]
    legend = [line_entry(environment_label(place), colours[place]) for place in places]
    return Chart(f"Learning curves: {', '.join(columns)}", panels, legend)


def _model(logs: Sequence[LearningCurve], column: str, colours: Mapping[str, str], axis: "Axes") -> None:
    for place in paper.in_order(log.name for log in logs):
        seeds = [[row for row in log.rows if column in row] for log in logs if log.name == place]
        steps, values = by_step(seeds, column=column)
        style = "-" if len(steps) > 1 else "o"
        axis.plot(steps, np.nanmean(values, axis=0), style, color=colours[place], linewidth=1.4)
        if len(values) > 1:
            low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
            axis.fill_between(steps, low, high, color=colours[place], alpha=0.2, linewidth=0)
    axis.set(title=label(logs[0].model), xlabel="update", ylabel=column)
    if column == "accuracy":
        axis.set(ylim=(0, 1.03))
    axis.grid()


def by_step(
    seeds: Sequence[Sequence[Mapping[str, float]]], *, column: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The logs of several seeds at the same steps: the steps (t,) and the values (seeds, t).

    All steps at which some seed logged; between its own a seed is interpolated, beyond its last it is NaN. Seeds that
    logged nothing are left out.
    """
    logged = [rows for rows in seeds if rows]
    steps = np.array(sorted({row["step"] for rows in logged for row in rows}), dtype=float)
    values = [
        np.interp(steps, [row["step"] for row in rows], [row[column] for row in rows], left=np.nan, right=np.nan)
        for rows in logged
    ]
    return steps, np.array(values).reshape(len(values), len(steps))
