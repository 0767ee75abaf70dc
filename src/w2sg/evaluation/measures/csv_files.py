"""Tables that git keeps and the report reads: whole, or refused with the place where they are not."""

import csv
import math
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from w2sg.contracts.errors import UserError, reason, shown


def read(path: Path, kinds: Mapping[str, Any], *, table: str, remedy: str) -> Iterator[dict[str, Any]]:
    """The rows of a CSV file, by column.

    Args:
        kinds: str, int, float or float | None of each column; an empty cell is None where that may be.
        table: what the file is to be, such as "a grid".

    Raises:
        UserError: the file is missing or not whole, its columns are others, or a cell is no finite number.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; {remedy}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; {remedy}") from None
    lines = csv.reader(StringIO(text), strict=True)
    try:
        if next(lines, None) != list(kinds):
            raise UserError(f"{path}: other columns than {table} has; {remedy}")
        if not text.endswith("\n"):
            raise UserError(f"{path}: ends within a line; {remedy}")
        for line in lines:
            where = f"{path}: line {lines.line_num}"
            if len(line) != len(kinds):
                raise UserError(f"{where}: {len(line)} cells, and {table} has {len(kinds)} columns; {remedy}")
            cells = zip(kinds.items(), line, strict=True)
            yield {name: _cell(kind, cell, f"{where}: {name}", remedy) for (name, kind), cell in cells}
    except csv.Error as error:
        raise UserError(f"{path}: line {lines.line_num}: {reason(error)}; {remedy}") from None


def _cell(kind: Any, text: str, where: str, remedy: str) -> Any:
    if kind is str:
        return text
    if not text and kind not in (int, float):
        return None
    try:
        value = int(text) if kind is int else float(text)
        if math.isfinite(value):
            return value
    except (ValueError, OverflowError):
        pass
    raise UserError(f"{where}: {shown(text)} is no number; {remedy}")
