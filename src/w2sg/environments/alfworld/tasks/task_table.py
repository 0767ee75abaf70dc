"""The tasks of ALFWorld that the parameters ask for."""

from pathlib import Path

from w2sg.contracts.tasks import Task
from w2sg.environments.alfworld.settings import Settings
from w2sg.environments.alfworld.tasks.games import GameSettings, generated_tasks
from w2sg.environments.alfworld.tasks.official import official_tasks

_DRAW = 0
"""Seed of the generated games: the tasks are the same in all seeds of a run."""


def make_tasks(settings: Settings, folder: Path) -> list[Task]:
    """Translate the games of all splits into `folder`: the official ones where `data_dir` is set, else new ones.

    Raises:
        UserError: the official folders lack games, or no game can be drawn with these settings.
    """
    counts = {"train": settings.tasks.train, "seen": settings.tasks.seen, "unseen": settings.tasks.unseen}
    if settings.data_dir is not None:
        return official_tasks(
            Path(settings.data_dir).expanduser(),
            folder,
            counts=counts,
            task_types=settings.task_types,
            max_steps=settings.max_steps,
        )
    games = GameSettings(
        task_types=settings.task_types,
        rooms=settings.rooms,
        max_receptacles=settings.max_receptacles,
        distractors=settings.distractors,
        goal_texts=settings.goal_texts,
    )
    return generated_tasks(games, folder, counts=counts, max_steps=settings.max_steps, seed=_DRAW)
