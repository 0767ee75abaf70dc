"""Episodes, Table 1 and the comparisons as plain values for the explorer."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from w2sg.contracts import layout
from w2sg.contracts.episodes import Episode
from w2sg.contracts.tasks import Task
from w2sg.evaluation.measures import csv_files
from w2sg.evaluation.measures.comparisons import Comparison, TableCell
from w2sg.evaluation.measures.models import in_table_order
from w2sg.evaluation.report import csv_rows
from w2sg.evaluation.report.explorer.packing import Texts, rounded
from w2sg.evaluation.report.explorer.tree_data import steps_data

Runs = Mapping[tuple[str, int], Sequence[Episode]]


def by_run(episodes: Sequence[Episode]) -> dict[tuple[str, int], list[Episode]]:
    """Episodes by environment and seed, in that order."""
    runs: dict[tuple[str, int], list[Episode]] = {}
    for episode in sorted(episodes, key=lambda e: (e.trajectory.environment, e.seed)):
        runs.setdefault((episode.trajectory.environment, episode.seed), []).append(episode)
    return runs


def episode_summaries(runs: Runs, *, tasks: Mapping[tuple[str, str], Task]) -> list[dict[str, Any]]:
    """What the lists of episodes show: every task with every model's score and number of steps.

    Args:
        tasks: by environment and id; a task may be missing.
    """
    found = []
    for (environment, seed), episodes in runs.items():
        models = in_table_order(sorted({episode.model for episode in episodes}))
        played: dict[tuple[str, str], dict[str, list[float]]] = {}
        for episode in episodes:
            own = episode.trajectory
            place = played.setdefault((episode.split, own.task_id), {})
            place[episode.model] = [rounded(own.score), len(own.steps)]
        rows = []
        for (split, task_id), by_model in sorted(played.items()):
            task = tasks.get((environment, task_id))
            about = {"type": task.task_type, "goal": task.instruction} if task else {"type": "", "goal": ""}
            rows.append({"task": task_id, "split": split, **about, "played": [by_model.get(m) for m in models]})
        name = layout.run_name(environment, seed)
        found.append({"name": name, "environment": environment, "seed": seed, "models": models, "tasks": rows})
    return found


def episode_data(episodes: Sequence[Episode]) -> dict[str, Any]:
    """All episodes of an environment and seed: texts, and episodes by task id and model."""
    texts = Texts()
    played: dict[str, dict[str, Any]] = {}
    for episode in sorted(episodes, key=lambda e: (e.split, e.trajectory.task_id, e.model)):
        own = episode.trajectory
        played.setdefault(own.task_id, {})[episode.model] = {
            "score": rounded(own.score),
            "completed": own.completed,
            "steps": steps_data(own, texts),
        }
    return {"texts": texts.all, "episodes": played}


def cells_data(cells: Sequence[TableCell]) -> list[dict[str, Any]]:
    """The cells of Table 1, in fractions."""
    return [_rounded(asdict(cell)) for cell in cells]


def comparisons_data(compared: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The lines of comparisons.csv, each with its verdict in words."""
    return [_rounded(csv_rows.comparison(each)) | {"wording": each.wording} for each in compared]


def _rounded(value: Any) -> Any:
    """As in the CSV files; JSON has no infinity, which a share's bounds may be."""
    if isinstance(value, float):
        return float(f"{value:.{csv_files.DIGITS}g}") if isfinite(value) else None
    return {name: _rounded(each) for name, each in value.items()} if isinstance(value, dict) else value
