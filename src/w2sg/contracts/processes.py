"""The processes of one stage: one, or as many as a launcher of torch started side by side, each with a number."""

import os


def count() -> int:
    """How many there are."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1


def number() -> int:
    """Which one this is, from 0."""
    return int(os.environ.get("RANK", "0")) if count() > 1 else 0


def first() -> bool:
    """Whether this is the one that writes, and that speaks to the user."""
    return number() == 0
