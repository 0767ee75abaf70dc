"""How each environment is opened on the tasks that the tasks stage made."""

from collections.abc import Callable
from pathlib import Path

from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.environment import Environment
from w2sg.environments.parts import provided


def opener(name: str, params: Params, *, folder: Path | None = None) -> Callable[[], Environment]:
    """A function that opens a new instance of the environment.

    Args:
        folder: what make_tasks wrote for the resets; that of the pipeline unless given.

    Raises:
        UserError: there is no such environment.
    """
    settings = params.environment(name)
    opened: Callable[[], Environment] = provided(f"w2sg.environments.{name}.world", "open")(
        settings, folder or layout.games(name)
    )
    return opened
