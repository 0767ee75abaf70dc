"""How each environment is opened on the tasks that the tasks stage made."""

from collections.abc import Callable
from pathlib import Path

from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.environment import Environment
from w2sg.contracts.errors import UserError


def opener(name: str, params: Params, *, folder: Path | None = None) -> Callable[[], Environment]:
    """A function that opens a new instance of the environment.

    Args:
        folder: what make_tasks wrote for the resets; that of the pipeline unless given.

    Raises:
        UserError: there is no such environment.
    """
    folder = folder or layout.games(name)
    match name:
        case "alfworld":
            from w2sg.environments.alfworld.world.environment import AlfworldEnvironment

            return lambda: AlfworldEnvironment(folder)
        case "scienceworld":
            from w2sg.environments.scienceworld.world.environment import Memory, ScienceworldEnvironment
            from w2sg.environments.scienceworld.world.simulator import Simulator

            machine = params.environments.scienceworld
            assert machine is not None
            simulator = Simulator(java_home=machine.java_home, heap_mb=machine.heap_mb, timeout=machine.timeout)
            memory = Memory()
            return lambda: ScienceworldEnvironment(simulator, memory)
        case "webshop":
            from w2sg.environments.webshop.world.environment import WebshopEnvironment

            return lambda: WebshopEnvironment(folder)
    raise UserError(
        f"--environment {name}: unknown; params.yaml has {', '.join(n for n, _ in params.environments.items())}"
    )
