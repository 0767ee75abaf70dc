"""What ScienceWorld needs of this machine, for `w2sg doctor`."""

from collections.abc import Iterator

from w2sg.contracts.errors import UserError
from w2sg.environments.scienceworld.settings import Settings
from w2sg.environments.scienceworld.world.java import find_java


def needs(settings: Settings) -> Iterator[tuple[str, bool | None, str, str]]:
    """What it is, whether it is there (None: missing, but not needed), what was found, the remedy."""
    try:
        java = find_java(settings.java_home)
    except UserError as error:
        yield "its Java", False, str(error), ""
    else:
        yield "its Java", True, str(java), ""
