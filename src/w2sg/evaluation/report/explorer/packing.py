"""Data as text for a page: JSON, deflated, in base 64, which no HTML can break out of; equal values, equal texts."""

import base64
import json
import zlib
from typing import Any

DIGITS = 4  # of a score, after the point


class Texts:
    """Distinct texts, named by their number.

    Attributes:
        all: the texts in the order in which they came.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """The number of a text."""
        return self._numbers.setdefault(text, len(self._numbers))

    @property
    def all(self) -> list[str]:
        return list(self._numbers)


def packed(value: Any) -> str:
    """A value as base 64 of deflated JSON."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode("utf-8"), 9)).decode("ascii")


def unpacked(text: str) -> Any:
    """What `packed` has packed."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


def rounded(value: float) -> float:
    """A score with as many digits as anybody reads."""
    return round(value, DIGITS)
