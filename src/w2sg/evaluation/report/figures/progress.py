"""The charts of score against step, all tasks and by task type (the paper's Figure 3)."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from w2sg.contracts.episodes import Episode
from w2sg.evaluation.measures import metrics
from w2sg.evaluation.measures.episodes import REPORTED, GroupedEpisodes
from w2sg.evaluation.measures.models import environment_label, in_table_order, label
from w2sg.evaluation.paper import paper
from w2sg.evaluation.report.figures.canvas import LINES, OTHER_LINES, Chart, Entry, line_entry, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURE3 = ("sft_strong", "w2s_dpo", "w2s_mcts")
LONGEST_TITLE = 34  # characters of a line over a panel


def progress_chart(episodes: GroupedEpisodes) -> Chart:
    """Mean score reached by each step, a line per model and a panel per environment."""
    panels = []
    for environment in paper.in_order(episodes.environments):
        name = environment_label(environment)
        panels.append(
            panel(
                partial(_progress, episodes.by_model(environment, REPORTED), f"{name}, {REPORTED}"),
                name=f"progress-{environment}",
                title=f"{name}: mean score that every model has reached by each step",
                height=2.9,
            )
        )
    return Chart("Score against step", panels, _legend(episodes.models))


def task_type_chart(episodes: Mapping[str, Sequence[Episode]], *, task_types: Mapping[str, str]) -> Chart:
    """Mean score reached by each step, a panel per task type.

    Args:
        episodes: by model, of one environment and split; at least one of FIGURE3.
        task_types: by task id.
    """
    of_type: dict[str, dict[str, list[Episode]]] = {}
    shown = [model for model in episodes if model in FIGURE3]
    for model in shown:
        for episode in episodes[model]:
            own = of_type.setdefault(task_types[episode.trajectory.task_id], {})
            own.setdefault(model, []).append(episode)
    panels = []
    for number, name in enumerate(sorted(of_type)):
        tasks = len({episode.trajectory.task_id for own in of_type[name].values() for episode in own})
        title = textwrap.fill(f"{name} ({tasks})", LONGEST_TITLE)
        panels.append(
            panel(
                partial(_progress, of_type[name], title),
                name=f"task-types-{number}",
                title=f"{name}: mean score that {' and '.join(map(label, shown))} have reached by each step",
                height=2.3,
            )
        )
    return Chart("Score against step by task type", panels, _legend(shown))


def _progress(episodes: Mapping[str, Sequence[Episode]], title: str, axis: "Axes") -> None:
    """A line per model: the mean score reached by each step."""
    from matplotlib.ticker import MaxNLocator

    steps = max((len(episode.trajectory.steps) for own in episodes.values() for episode in own), default=0)
    for model, (colour, dashes) in line_styles(episodes).items():
        reached = metrics.score_by_step([episode.trajectory for episode in episodes[model]], steps=steps)
        axis.step(range(steps + 1), 100 * reached, dashes, where="post", color=colour, linewidth=1.8)
    axis.set_title(title, fontsize=9 if len(title) <= LONGEST_TITLE else 8)
    axis.set(xlabel="steps taken", ylabel="task score reached", ylim=(0, 103), xlim=(0, max(1, steps)))
    axis.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axis.grid()


def _legend(models: Iterable[str]) -> list[Entry]:
    return [line_entry(label(model), *style) for model, style in line_styles(models).items()]


def line_styles(models: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and dashes of every model, all different; models in the order of the tables."""
    ordered = in_table_order(models)
    others = [model for model in ordered if model not in LINES]
    return {m: LINES[m] if m in LINES else OTHER_LINES[others.index(m) % len(OTHER_LINES)] for m in ordered}
