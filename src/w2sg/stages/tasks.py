"""Stage tasks: the instructions u of one environment in their splits (Table 4), and what its resets need."""

from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.files import replacing
from w2sg.contracts.tasks import Task
from w2sg.environments.tasks import make_tasks


def main(params: Params, *, environment: str) -> None:
    """Write the task table and the folder of games."""
    with replacing(layout.games(environment)) as folder:
        folder.mkdir()
        tasks = make_tasks(environment, params, folder=folder)
    Task.write(layout.tasks(environment), tasks)
