"""What a reset and a step of ALFWorld need."""

from collections.abc import Callable
from pathlib import Path

from w2sg.contracts.environment import Environment
from w2sg.environments.alfworld.settings import Settings
from w2sg.environments.alfworld.world.environment import AlfworldEnvironment


def open(settings: Settings, folder: Path) -> Callable[[], Environment]:
    """A function that opens an instance on the games in `folder`."""
    return lambda: AlfworldEnvironment(folder)
