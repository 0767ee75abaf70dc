"""The parts of an environment, found by folder convention: docs/add_an_environment.md.

Four modules here open one part each, `prompts`, `opener`, `tasks` and `demonstrations`, so that a stage depends only on
the parts that it opens. Each names its part in a text such as f"w2sg.environments.{name}.world", which is what is read
to find out what a stage imports.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from w2sg.contracts.errors import UserError


def provided(module: str, what: str) -> Any:
    """`what` from a part of an environment, say `open` from w2sg.environments.alfworld.world.

    Raises:
        UserError: the environment lacks the part, or the part lacks that.
    """
    *_, name, part = module.split(".")
    found = getattr(import_module(module), what, None) if find_spec(module) else None
    if found is None:
        raise UserError(f"environments/{name}: {part} is missing or has no {what}")
    return found
