"""What the tables between stages have in common: a row is a dataclass with a Parquet schema."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar, Self

import pyarrow as pa

from w2sg.contracts import files
from w2sg.contracts.errors import UserError, shown
from w2sg.contracts.messages import Message


class Row:
    """A record that is one row of a table: subclasses are frozen dataclasses with a SCHEMA."""

    SCHEMA: ClassVar[pa.Schema]

    def check(self) -> None:
        """Raise ValueError with a short reason when a value is out of its range."""

    @classmethod
    def write(cls, path: Path, rows: Iterable[Self]) -> None:
        """Write rows to a Parquet file atomically.

        Raises:
            UserError: a text has half of a character, which the file cannot hold.
        """
        files.write_rows(path, [asdict(row) for row in rows], cls.SCHEMA)  # type: ignore[call-overload]

    @classmethod
    def read(cls, path: Path) -> list[Self]:
        """Read and validate a Parquet file.

        Raises:
            UserError: the file is missing or truncated, a column is missing, unknown or of another type, or a value is
                empty or out of range.
        """
        rows = [cls(**row) for row in files.read_parquet(path, cls.SCHEMA).to_pylist()]
        for number, row in enumerate(rows):
            try:
                row.check()
            except ValueError as error:
                raise UserError(f"{path}: row {number}: {error}") from None
        return rows


def in_turn(name: str, messages: Sequence[Message], *, first: str = "user") -> None:
    """Raise ValueError with a short reason when the messages are not by the user and the assistant in turn."""
    roles = ("user", "assistant") if first == "user" else ("assistant", "user")
    for number, message in enumerate(messages):
        if message["role"] != roles[number % 2]:
            found = shown(message["role"])
            raise ValueError(f"{name}: turn {number} is of the role {found}, expected {roles[number % 2]}")


def in_unit_interval(name: str, value: float) -> None:
    """Raise ValueError with a short reason when the value is outside [0, 1]."""
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value}, allowed is 0 to 1")
