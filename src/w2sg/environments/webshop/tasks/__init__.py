"""How the task table of WebShop is made."""

from w2sg.environments.webshop.tasks.task_table import make_tasks as make

__all__ = ["make"]
