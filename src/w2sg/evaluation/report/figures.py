"""The report's charts as SVG text: the same numbers give the same bytes.

Text and axes are drawn in `currentColor`, so that a chart follows the page it stands in, light or dark.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from w2sg.contracts.records import Episode
from w2sg.evaluation.measures import metrics
from w2sg.evaluation.measures.claims import MINUS, Comparison, Standing
from w2sg.evaluation.measures.grid import GridRow
from w2sg.evaluation.measures.metrics import label, roster

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with every common kind of colour blindness.
SPLIT_COLOURS = {"seen": "#56b4e9", "unseen": "#0072b2", "train": "#cc79a7"}
VERDICT_COLOURS = {"higher": "#009e73", "lower": "#d55e00"}
UNDECIDED_COLOUR = "#8a8a8a"
LINES = {
    "base_weak": ("#999999", ":"),
    "sft_weak": ("#56b4e9", "--"),
    "w2s_dpo": ("#e69f00", "-"),
    "w2s_mcts": ("#d55e00", "-"),
    "base_strong": ("#999999", "-."),
    "sft_strong": ("#0072b2", "--"),
    "ceiling": ("#009e73", "-."),
}
FIGURE3 = ("sft_strong", "w2s_dpo", "w2s_mcts")
_OTHERS = (("#cc79a7", "-"), ("#009e73", "--"), ("#8a6d00", ":"), ("#cc79a7", "-."))
INK = "#010203"  # stands for currentColor until the SVG is written
_GRID = "#80808040"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "w2sg",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclass(frozen=True, slots=True)
class TrainingLog:
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


@contextmanager
def canvas(
    rows: int, columns: int, *, width: float, height: float
) -> Iterator[tuple["Figure", list["Axes"], StringIO]]:
    """A grid of axes (inches) that is written to the yielded buffer as SVG when the block ends."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a matplotlibrc of the user's must not change the bytes
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
        buffer = StringIO()
        yield figure, axes, buffer
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})


def svg(buffer: StringIO, *, name: str, title: str) -> str:
    """The <svg> element alone, fit to stand beside others in a page: ids begin with `name`, its style stays its own."""
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip().replace(INK, "currentColor")
    text = re.sub(r'(id="|url\(#|href="#)', rf"\1{name}-", text).replace("*{stroke", ".chart *{stroke")
    head, rest = text.split(">", 1)
    return f'{head} class="chart" role="img"><title>{title}</title>{rest}'


def standing_chart(standings: Sequence[Standing], *, measure: str = "average_reward") -> str:
    """A bar per model and split with its interval, one panel per environment, models from top to bottom."""
    cells = [cell for cell in standings if cell.measure == measure]
    environments = sorted({cell.environment for cell in cells})
    models = roster(cell.model for cell in cells)
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
        _legend(figure, axes, loc="outside upper right", ncols=len(splits))
    return svg(buffer, name="standings", title="Task score of every model with its interval")


def _bars(axis: "Axes", cells: Sequence[Standing], *, models: list[str], split: str, offset: float) -> None:
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
                decided = VERDICT_COLOURS.get(comparison.verdict, UNDECIDED_COLOUR)
                colour = decided if comparison.confirmed else UNDECIDED_COLOUR
                axis.plot([100 * value.low, 100 * value.high], [place, place], color=colour, linewidth=2.2)
                axis.plot(100 * value.mean, place, "o", color=colour, markersize=5.5)
            names = [f"{label(model)} {MINUS} {label(baseline)}" for model, baseline in rows]
            axis.set_yticks(range(len(rows)), names if axis is axes[0] else [""] * len(rows))
            axis.set(ylim=(len(rows) - 0.4, -0.6), xlabel="points")
            axis.set_title(f"{environment}, {last[environment]}", fontsize=9)
            axis.tick_params(axis="y", length=0)
            axis.grid(axis="x")
    return svg(buffer, name="differences", title="Paired differences of task scores with their intervals")


def progress_chart(episodes: Sequence[Episode], *, split: str) -> str:
    """Mean score reached by each step, a line per model and a panel per environment (the paper's Figure 3)."""
    environments = metrics.environments(episodes)
    with canvas(1, len(environments), width=7.4, height=3.9) as (figure, axes, buffer):
        for axis, environment in zip(axes, environments, strict=True):
            here = [e for e in episodes if (e.trajectory.environment, e.split) == (environment, split)]
            _progress(axis, here)
            axis.set_title(f"{environment}, {split}", fontsize=9)
        axes[0].set_ylabel("task score reached")
        _legend(figure, axes, loc="outside lower center", ncols=4)
    return svg(buffer, name="progress", title="Score against step")


def _progress(axis: "Axes", episodes: Sequence[Episode]) -> None:
    """A line per model: the mean score reached by each step."""
    from matplotlib.ticker import MaxNLocator

    steps = max((len(episode.trajectory.steps) for episode in episodes), default=0)
    for model, (colour, dashes) in _line_styles(e.model for e in episodes).items():
        reached = metrics.score_by_step([e.trajectory for e in episodes if e.model == model], steps=steps)
        style: dict[str, Any] = {"color": colour, "linewidth": 1.8, "label": label(model)}
        axis.step(range(steps + 1), 100 * reached, dashes, where="post", **style)
    axis.set(xlabel="steps taken", ylim=(0, 103), xlim=(0, max(1, steps)))
    axis.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axis.grid()


def task_type_chart(
    episodes: Sequence[Episode], *, task_types: Mapping[str, str], models: Sequence[str] = FIGURE3
) -> str:
    """Mean score reached by each step, a panel per task type (the paper's Figure 3).

    Args:
        episodes: of one environment and split, at least one of `models`.
        task_types: by task id.
    """
    here = [episode for episode in episodes if episode.model in models]
    types = sorted({task_types[episode.trajectory.task_id] for episode in here})
    across = min(3, len(types))
    down = -(-len(types) // across)
    with canvas(down, across, width=7.4, height=0.6 + 1.9 * down) as (figure, axes, buffer):
        for axis in axes[len(types) :]:
            axis.set_axis_off()
        for axis, name in zip(axes, types, strict=False):
            own = [e for e in here if task_types[e.trajectory.task_id] == name]
            _progress(axis, own)
            tasks = len({e.trajectory.task_id for e in own})
            axis.set_title(textwrap.fill(f"{name} ({tasks})", 34), fontsize=7.5)
        axes[0].set_ylabel("task score reached")
        _legend(figure, axes, loc="outside lower center", ncols=len(models))
    return svg(buffer, name="task-types", title="Score against step by task type")


def breadth_chart(rows: Sequence[GridRow]) -> str:
    """Task score against tree breadth at one beta, a panel per environment (the paper's Figure 5); at least one row."""
    from matplotlib.ticker import MaxNLocator

    environments = sorted({row.environment for row in rows})
    with canvas(1, len(environments), width=7.4, height=3.0) as (figure, axes, buffer):
        for axis, environment in zip(axes, environments, strict=True):
            for model in roster(row.model for row in rows):
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
        _legend(figure, axes, loc="outside upper right", ncols=2)
    return svg(buffer, name="breadth", title="Task score against tree breadth")


def _legend(figure: "Figure", axes: Sequence["Axes"], **placing: Any) -> None:
    """One legend for all panels, although a panel may lack some of the entries."""
    found = {name: handle for axis in axes for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(list(found.values()), list(found), **placing)


def _line_styles(models: Iterable[str]) -> dict[str, tuple[str, str]]:
    ordered = roster(models)
    others = [model for model in ordered if model not in LINES]
    return {m: LINES[m] if m in LINES else _OTHERS[others.index(m) % len(_OTHERS)] for m in ordered}


def learning_curves(logs: Sequence[TrainingLog], *, columns: Sequence[str]) -> str:
    """A row of panels per model, a panel per column ("loss", "margin", "accuracy"), a line per environment and seed.

    With one column the panels stand three in a row.
    """
    models = roster(log.model for log in logs)
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
    palette = list(SPLIT_COLOURS.values())[1:2] + [colour for colour, _ in _OTHERS]
    colour = palette[number % len(palette)]
    steps, values = [row["step"] for row in rows], [row[column] for row in rows]
    axis.plot(steps, values, "-" if len(rows) > 1 else "o", color=colour, linewidth=1.3, label=name)
