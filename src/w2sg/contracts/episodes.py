"""Evaluation episodes: trajectories with the model, seed and split they belong to, one row per step."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from w2sg.contracts import files
from w2sg.contracts.errors import UserError, named, shown
from w2sg.contracts.tasks import SPLITS
from w2sg.contracts.trajectories import TRAJECTORIES, Trajectory, grouped, step_rows


@dataclass(frozen=True, slots=True)
class Episode:
    """One evaluation episode: a trajectory with the model, seed and split it belongs to."""

    model: str
    seed: int
    split: str
    trajectory: Trajectory


EPISODES = pa.schema([("model", pa.string()), ("seed", pa.int64()), ("split", pa.string()), *TRAJECTORIES])


def write_episodes(path: Path, episodes: Iterable[Episode]) -> None:
    """Write evaluation episodes to a Parquet file, one row per step, atomically."""
    rows: list[dict[str, Any]] = []
    for episode in episodes:
        rows += step_rows(episode.trajectory, model=episode.model, seed=episode.seed, split=episode.split)
    files.write_rows(path, rows, EPISODES)


def read_episodes(path: Path) -> list[Episode]:
    """Read and validate evaluation episodes in the order in which they were written.

    Raises:
        UserError: as read_trajectories, or the split is unknown.
    """
    episodes = []
    for (model, seed, split), trajectory in grouped(path, EPISODES, before=("model", "seed", "split")):
        if split not in SPLITS:
            raise UserError(
                f"{path}: task {named(trajectory.task_id)}: split is {shown(split)}, allowed are {', '.join(SPLITS)}"
            )
        episodes.append(Episode(model, seed, split, trajectory))
    return episodes
