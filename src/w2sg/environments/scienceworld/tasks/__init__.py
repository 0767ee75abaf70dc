"""How the task table of ScienceWorld is made."""

from w2sg.environments.scienceworld.tasks.task_table import make_tasks as make

__all__ = ["make"]
