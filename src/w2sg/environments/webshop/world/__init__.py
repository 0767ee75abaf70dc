"""What a reset and a step of WebShop need."""

from collections.abc import Callable
from pathlib import Path

from w2sg.contracts.environment import Environment
from w2sg.environments.webshop.settings import Settings
from w2sg.environments.webshop.world.environment import WebshopEnvironment


def open(settings: Settings, folder: Path) -> Callable[[], Environment]:
    """A function that opens an instance on the catalogue in `folder`."""
    return lambda: WebshopEnvironment(folder)
