"""What an environment may have besides its parts: needs.py for `w2sg doctor`, replay.py for `w2sg replay`."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any


def optional(module: str) -> Any | None:
    """A module of an environment, None where there is none."""
    return import_module(module) if find_spec(module) else None
