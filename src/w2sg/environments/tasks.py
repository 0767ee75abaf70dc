"""The tasks of each environment. To add one, give it a branch here, in opener.py and in demonstrations.py."""

from pathlib import Path

from w2sg.config.params import Params
from w2sg.contracts.errors import UserError
from w2sg.contracts.records import Task


def make_tasks(name: str, params: Params, *, folder: Path) -> list[Task]:
    """Make the tasks of all splits; write what resets need into `folder`.

    Raises:
        UserError: there is no such environment, or its settings leave no tasks.
    """
    match name:
        case "alfworld":
            from w2sg.environments.alfworld.tasks import task_table

            assert params.environments.alfworld is not None
            return task_table.make_tasks(params.environments.alfworld, folder)
        case "scienceworld":
            from w2sg.environments.scienceworld.tasks import task_table as experiments

            assert params.environments.scienceworld is not None
            return experiments.make_tasks(params.environments.scienceworld, folder)
        case "webshop":
            from w2sg.environments.webshop.tasks import task_table as goals

            assert params.environments.webshop is not None
            return goals.make_tasks(params.environments.webshop, folder)
    raise UserError(
        f"--environment {name}: unknown; params.yaml has {', '.join(n for n, _ in params.environments.items())}"
    )
