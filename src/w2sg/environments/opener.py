"""How each environment is opened on the tasks that the tasks stage made."""

from collections.abc import Callable

from w2sg import layout
from w2sg.environments.base import Environment
from w2sg.errors import UserError
from w2sg.params import Params


def opener(name: str, params: Params) -> Callable[[], Environment]:
    """A function that opens a new instance of the environment.

    Raises:
        UserError: there is no such environment.
    """
    match name:
        case "alfworld":
            from w2sg.environments.alfworld.environment import AlfworldEnvironment

            return lambda: AlfworldEnvironment(layout.games(name))
    raise UserError(
        f"--environment {name}: unknown; params.yaml has {', '.join(n for n, _ in params.environments.items())}"
    )
