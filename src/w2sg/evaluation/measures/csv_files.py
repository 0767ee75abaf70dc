"""Tables as CSV: written to six digits; those that git keeps are read whole, or refused with the place of the fault."""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from w2sg.contracts import files
from w2sg.contracts.errors import UserError, reason, shown
from w2sg.evaluation.measures.statistics import Interval

DIGITS = 6  # significant ones


def write(path: Path, rows: Sequence[Mapping[str, Any]], *, columns: Iterable[str] = ()) -> None:
    """Floats to DIGITS, None empty, a missing count 0; columns in the order of their first use where none are given."""
    names = list(columns) or list(dict.fromkeys(name for row in rows for name in row))
    written = StringIO()
    writer = csv.DictWriter(written, names, restval=0, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: float(f"{v:.{DIGITS}g}") if isinstance(v, float) else v for name, v in row.items()})
    files.write_text(path, written.getvalue())


def of_interval(mean: str, value: Interval | None, *, prefix: str = "") -> dict[str, float | None]:
    """The columns `mean`, low and high, the latter two with a prefix; None where there is no interval."""
    names = (mean, f"{prefix}low", f"{prefix}high")
    return dict(zip(names, (value.mean, value.low, value.high) if value else (None, None, None), strict=True))


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
