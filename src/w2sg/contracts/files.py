"""Files that are either whole or absent: write to a temporary name, then rename. What cannot be read is one line."""

import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from w2sg.contracts import processes
from w2sg.contracts.errors import UserError, named, of_library, of_system, reason, shown

STAGE = "run the stage that writes it"


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
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a disk that is full does not say for which file
            error.filename = str(path)
        raise
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


@contextmanager
def reading(path: Path, what: str, *, remedy: str = STAGE) -> Iterator[None]:
    """Turn whatever a library raises at a file inside the block into one line.

    Args:
        what: the file is to be, for example "a JSON file".
        remedy: where there is no such file, or another one.

    Raises:
        UserError: the file cannot be read as what it is to be.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {remedy}") from None
    except BaseException as error:  # readers of damaged files may raise anything
        if not of_library(error):
            raise
        if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
            raise UserError(of_system(error)) from None
        raise UserError(f"{path}: not {what} ({reason(error)}); {remedy}") from None


def parsed(content: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is no JSON, is nested too deeply, or has half of a character (a lone surrogate), which no file
            of ours can hold.
    """
    value = loaded(content)
    try:
        if b"\\u" in content:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"half of a character, \\u{ord(error.object[error.start]):04x}, in a text") from None
    return value


def loaded(content: bytes) -> Any:
    """The value of a JSON text, in which a text may have half of a character.

    Raises:
        ValueError: it is no JSON, or is nested too deeply.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_lenient(path: Path, *, remedy: str = STAGE) -> Any:
    """As read_json, but a text may have half of a character: for files whose parts are checked one by one."""
    with reading(path, "a JSON file", remedy=remedy):
        return loaded(content_of(path))


def content_of(path: Path) -> bytes:
    """The content of a file, unpacked where its name ends with .gz."""
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def read_json(path: Path, *, remedy: str = STAGE) -> Any:
    """Read a JSON file, unpacked where its name ends with .gz.

    Raises:
        UserError: `path` is missing or is not JSON.
    """
    with reading(path, "a JSON file", remedy=remedy):
        return parsed(content_of(path))


def read_object(path: Path, *, remedy: str = STAGE) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        UserError: as read_json, or it holds something else.
    """
    value = read_json(path, remedy=remedy)
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object, found {shown(value)}; {remedy}")
    return value


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write an Arrow table to `path` atomically; the same table gives the same bytes."""
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def write_rows(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    """Write rows as a Parquet table atomically.

    Raises:
        UserError: a text has half of a character (a lone surrogate), which the table cannot hold.
    """
    try:
        table = pa.Table.from_pylist(rows, schema=schema)
    except UnicodeEncodeError as error:
        half = f"half of a character, \\u{ord(error.object[error.start]):04x}"
        raise UserError(f"{path}: {half}, in the text {shown(error.object)}; mend it where it comes from") from None
    write_parquet(path, table)


def read_parquet(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a Parquet table and check it against `schema` (names, order and types); no value is missing.

    Types of another width count as the same, as pandas and polars write them, if nothing is lost.

    Raises:
        UserError: `path` is missing, truncated, or has other columns or empty cells.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; {STAGE}")
    with reading(path, "a readable Parquet file", remedy="rebuild it"):
        table = pq.read_table(path)
        table.validate(full=True)
    if table.schema.names != schema.names:
        raise UserError(f"{path}: wrong columns ({_other_names(table.schema.names, schema.names)}); rebuild it")
    if wrong := [
        f"{field.name} is {named(str(found.type))}, expected {field.type}"
        for found, field in zip(table.schema, schema, strict=True)
        if not _alike(found.type, field.type)
    ]:
        raise UserError(f"{path}: wrong columns ({'; '.join(wrong)}); rebuild it")
    with reading(path, "a table of these types", remedy="rebuild it"):
        table = table.cast(schema)
    if empty := [name for name in schema.names if any(map(_has_nulls, table.column(name).chunks))]:
        raise UserError(f"{path}: empty cells in {', '.join(empty)}; rebuild it")
    return table


def _other_names(found: Sequence[str], wanted: Sequence[str]) -> str:
    """What is wrong with the names of a table's columns."""
    missing, unknown = [name for name in wanted if name not in found], [name for name in found if name not in wanted]
    parts = [f"missing {', '.join(missing)}"] if missing else []
    parts += [f"unknown {named(', '.join(unknown))}"] if unknown else []
    return "; ".join(parts) or f"in another order than {', '.join(wanted)}"


_LISTS = (
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
)


def _alike(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether every value of one type may be one of the other, by what it means, not by how many bytes it takes."""
    is_a = pa.types
    if is_a.is_dictionary(found):
        found = found.value_type
    alike: bool = found == wanted
    if is_a.is_struct(wanted) and is_a.is_struct(found):
        same = [field.name for field in found] == [field.name for field in wanted]
        alike = same and all(_alike(one.type, other.type) for one, other in zip(found, wanted, strict=True))
    elif is_a.is_list(wanted) and any(kind(found) for kind in _LISTS):
        alike = _alike(found.value_type, wanted.value_type)
    elif is_a.is_string(wanted):
        alike = is_a.is_string(found) or is_a.is_large_string(found) or is_a.is_string_view(found)
    elif is_a.is_integer(wanted):
        alike = is_a.is_integer(found)
    elif is_a.is_floating(wanted):
        alike = is_a.is_floating(found) and found.bit_width <= wanted.bit_width
    return alike


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
