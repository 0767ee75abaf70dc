"""What `w2sg doctor` says about ALFWorld's surroundings: the packages of the shipped experts, which no run needs."""

from collections.abc import Iterator
from importlib.util import find_spec

from w2sg.environments.alfworld.settings import Settings


def needs(settings: Settings) -> Iterator[tuple[str, bool | None, str, str]]:
    """What, whether it is there (None: nothing needs it by default), where, and the remedy."""
    missing = [package for package in ("textworld", "fast_downward") if find_spec(package) is None]
    found = f"without {' and '.join(missing)}" if missing else "found"
    remedy = "only `w2sg replay alfworld --expert handcoded|planner` needs them: `make install-test`"
    yield "its own experts", None if missing else True, found, remedy
