"""The tasks of each environment."""

from pathlib import Path

from w2sg.config.params import Params
from w2sg.contracts.tasks import Task
from w2sg.environments.parts import provided


def make_tasks(name: str, params: Params, *, folder: Path) -> list[Task]:
    """Make the tasks of all splits; write what resets need into `folder`.

    Raises:
        UserError: there is no such environment, or its settings leave no tasks.
    """
    settings = params.environment(name)
    tasks: list[Task] = provided(f"w2sg.environments.{name}.tasks", "make")(settings, folder)
    return tasks
