"""Which tasks the paths are taken of, where there are more than are wanted."""

import contextlib
from pathlib import Path

from played import NAME, project

from credit_paths import chosen
from evaluation.builders import task_table, trajectory
from w2sg.config import params
from w2sg.contracts import layout
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import write_trajectories


def test_tasks_are_cut_in_the_order_of_exploration(tmp_path: Path) -> None:
    """By name all those of one kind would come first."""
    with contextlib.chdir(project(tmp_path / "run")):
        settings = params.load().model_copy(update={"imitation": {}})
        table = task_table(tasks=12)
        Task.write(layout.tasks(NAME), table)
        explored = sorted((task.task_id for task in table), reverse=True)
        for role, score in (("weak", 1.0), ("strong", 0.0)):
            samples = [trajectory(["look"], task=task, score=score) for task in explored]
            write_trajectories(layout.explore(NAME, 0, role), samples)
        for most in (3, 40):
            found = chosen(settings, environment=NAME, seed=0, most=most)
            assert [path.task.task_id for path in found] == explored[:most]
