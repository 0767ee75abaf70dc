"""The charts of score against step, all tasks and by task type (the paper's Figure 3)."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from w2sg.contracts.episodes import Episode
from w2sg.evaluation.measures import metrics
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.models import in_table_order, label
from w2sg.evaluation.report.figures.canvas import LINES, OTHER_LINES, canvas, legend, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURE3 = ("sft_strong", "w2s_dpo", "w2s_mcts")


def progress_chart(episodes: GroupedEpisodes, *, split: str) -> str:
    """Mean score reached by each step, a line per model and a panel per environment."""
    environments = episodes.environments
    with canvas(1, len(environments), width=7.4, height=3.9) as (figure, axes, buffer):
        for axis, environment in zip(axes, environments, strict=True):
            _progress(axis, episodes.by_model(environment, split))
            axis.set_title(f"{environment}, {split}", fontsize=9)
        axes[0].set_ylabel("task score reached")
        legend(figure, axes, loc="outside lower center", ncols=4)
    return svg(buffer, name="progress", title="Score against step")


def task_type_chart(
    episodes: Mapping[str, Sequence[Episode]], *, task_types: Mapping[str, str], models: Sequence[str] = FIGURE3
) -> str:
    """Mean score reached by each step, a panel per task type.

    Args:
        episodes: by model, of one environment and split; at least one of `models`.
        task_types: by task id.
    """
    of_type: dict[str, dict[str, list[Episode]]] = {}
    for model in [model for model in episodes if model in models]:
        for episode in episodes[model]:
            own = of_type.setdefault(task_types[episode.trajectory.task_id], {})
            own.setdefault(model, []).append(episode)
    across = min(3, len(of_type))
    down = -(-len(of_type) // across)
    with canvas(down, across, width=7.4, height=0.6 + 1.9 * down) as (figure, axes, buffer):
        for axis in axes[len(of_type) :]:
            axis.set_axis_off()
        for axis, name in zip(axes, sorted(of_type), strict=False):
            _progress(axis, of_type[name])
            tasks = len({episode.trajectory.task_id for own in of_type[name].values() for episode in own})
            axis.set_title(textwrap.fill(f"{name} ({tasks})", 34), fontsize=7.5)
        axes[0].set_ylabel("task score reached")
        legend(figure, axes, loc="outside lower center", ncols=len(models))
    return svg(buffer, name="task-types", title="Score against step by task type")


def _progress(axis: "Axes", episodes: Mapping[str, Sequence[Episode]]) -> None:
    """A line per model: the mean score reached by each step."""
    from matplotlib.ticker import MaxNLocator

    steps = max((len(episode.trajectory.steps) for own in episodes.values() for episode in own), default=0)
    for model, (colour, dashes) in line_styles(episodes).items():
        reached = metrics.score_by_step([episode.trajectory for episode in episodes[model]], steps=steps)
        style: dict[str, Any] = {"color": colour, "linewidth": 1.8, "label": label(model)}
        axis.step(range(steps + 1), 100 * reached, dashes, where="post", **style)
    axis.set(xlabel="steps taken", ylim=(0, 103), xlim=(0, max(1, steps)))
    axis.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axis.grid()


def line_styles(models: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and dashes of every model, all different; models in the order of the tables."""
    ordered = in_table_order(models)
    others = [model for model in ordered if model not in LINES]
    return {m: LINES[m] if m in LINES else OTHER_LINES[others.index(m) % len(OTHER_LINES)] for m in ordered}
