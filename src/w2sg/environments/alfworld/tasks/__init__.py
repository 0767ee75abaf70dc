"""How the task table of ALFWorld is made."""

from w2sg.environments.alfworld.tasks.task_table import make_tasks as make

__all__ = ["make"]
