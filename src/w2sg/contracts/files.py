"""Files that are either whole or absent: write to a temporary name, then rename."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from w2sg.contracts import processes
from w2sg.contracts.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it into place on success, remove it on any failure.

    The body may create a file or a folder. An existing `path` survives a failed body untouched. Of several processes of
    one stage the first moves what it wrote into place; what the others wrote is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    # What a killed process with the same number left.
    _remove(temporary)
    try:
        yield temporary
        if not processes.first():
            return
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with a final newline; keys keep their order."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: `path` is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that writes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a JSON file ({error})") from None


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write an Arrow table to `path` atomically; the same table gives the same bytes."""
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_parquet(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a Parquet table and check it against `schema` (names, order and types); no value is missing.

    Raises:
        UserError: `path` is missing, truncated, or has other columns or empty cells.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; run the stage that writes it")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
    if not table.schema.equals(schema, check_metadata=False):
        missing = sorted(set(schema.names) - set(table.schema.names))
        extra = sorted(set(table.schema.names) - set(schema.names))
        wrong = [f.name for f in schema if f.name in table.schema.names and table.schema.field(f.name).type != f.type]
        raise UserError(f"{path}: wrong columns (missing {missing}, unknown {extra}, wrong type {wrong}); rebuild it")
    if empty := [name for name in schema.names if any(map(_has_nulls, table.column(name).chunks))]:
        raise UserError(f"{path}: empty cells in {', '.join(empty)}; rebuild it")
    return table


def _has_nulls(array: pa.Array) -> bool:
    """Whether a value is missing, at any depth."""
    if array.null_count:
        return True
    if pa.types.is_struct(array.type):
        return any(map(_has_nulls, array.flatten()))
    return pa.types.is_list(array.type) and _has_nulls(array.flatten())


def digest(*paths: Path, text: str = "") -> str:
    """Hex digest (16 characters) of the contents of files and folders, their relative names, and `text`."""
    state = hashlib.blake2b(text.encode(), digest_size=8)
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                state.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode())
                state.update(file.read_bytes())
    return state.hexdigest()
