"""Tables between stages: every record with a schema, written by ourselves, by pandas, in other types, and damaged."""

import importlib
import pkgutil
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import w2sg.contracts
from w2sg.contracts import files
from w2sg.contracts.episodes import EPISODES, read_episodes, write_episodes
from w2sg.contracts.rows import Row
from w2sg.contracts.tasks import SPLITS
from w2sg.contracts.trajectories import TRAJECTORIES, read_trajectories, write_trajectories
from w2sg.trees import embeddings

from . import hostile
from .outcomes import Case

for _module in pkgutil.iter_modules(w2sg.contracts.__path__):  # so that every record is there
    importlib.import_module(f"w2sg.contracts.{_module.name}")

WIDER = {
    pa.string(): (pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()), pa.binary()),
    pa.int64(): (pa.int32(), pa.uint64(), pa.float64(), pa.string()),
    pa.float64(): (pa.float32(), pa.int64(), pa.string(), pa.decimal128(9, 3)),
    pa.bool_(): (pa.int64(), pa.string()),
}
TURNS = {
    "history": ("user",), "chosen": ("assistant",), "rejected": ("assistant",), "messages": ("user", "assistant"),
}  # fmt: skip
ACTIONS = ("sound", "cell", "cell", "cell", "write", "columns", "types", "pandas", "bytes", "bytes", "other")
OTHERS = (b"", b"PAR1", b"PAR1PAR1", b"\x80\x05", b"a,b\n1,2\n", b"\x00" * 99)
SAID = {"user": "You see a mug.", "assistant": "Thought: a mug\nAction: take mug"}


class Table(NamedTuple):
    """One kind of table; `write` puts what was read into another file."""

    name: str
    schema: pa.Schema
    read: Callable[[Path], Any]
    write: Callable[[Path, Any], None]


def tables() -> list[Table]:
    """All there are: a test holds that no other module reads one."""
    return [
        *(Table(kind.__name__, kind.SCHEMA, kind.read, kind.write) for kind in Row.__subclasses__()),
        Table("trajectories", TRAJECTORIES, read_trajectories, write_trajectories),
        Table("episodes", EPISODES, read_episodes, write_episodes),
        Table("embeddings", embeddings._SCHEMA, embeddings.read_embeddings, _write_vectors),
    ]


def _write_vectors(path: Path, found: dict[str, Any]) -> None:
    embeddings.write_embeddings(path, list(found), np.array(list(found.values()), dtype=np.float32))


def sound_rows(table: Table, count: int) -> list[dict[str, Any]]:
    """Rows that are read, of one task and sample, whatever the columns: by their types, and by names with a meaning."""
    return [{field.name: _sound(field, number) for field in table.schema} for number in range(count)]


def _sound(field: pa.Field, number: int) -> Any:
    turns = {
        "history": ("user",),
        "chosen": ("assistant",),
        "rejected": ("assistant",),
        "messages": ("user", "assistant"),
    }
    if field.name in turns:
        return [{"role": role, "content": SAID[role]} for role in turns[field.name]]
    named = {"split": SPLITS[0], "side": "chosen", "chosen_score": 1.0, "rejected_score": 0.0, "step": number,
             "logprob": -1.5, "sample": 0, "seed": 0, "text": f"text {number}"}  # fmt: skip
    if field.name in named:
        return named[field.name]
    if field.type == pa.string():
        return f"a {field.name}"
    if pa.types.is_list(field.type):
        return [0.6, 0.8]
    return {pa.int64(): 1, pa.float64(): 0.5, pa.bool_(): True}[field.type]


class Kind:
    """See the package."""

    weight = 6

    def __init__(self, folder: Path) -> None:
        self._path, self._again = folder / "table.parquet", folder / "again.parquet"
        self._tables = tables()

    def case(self, rng: random.Random) -> Case:
        table = rng.choice(self._tables)
        rows = sound_rows(table, rng.choice([1, 2, 5]))
        action = rng.choice(
            ["sound", "cell", "cell", "cell", "write", "columns", "types", "pandas", "bytes", "bytes", "other"]
        )
        what = f"{table.name}: {action}"
        self._path.unlink(missing_ok=True)
        if action in ("cell", "write"):
            row = rng.choice(rows)
            name = rng.choice(list(row))
            row[name] = self._cell(rng, table.schema.field(name).type, row[name])
            what += f" {name} {row[name]!r}"
        if action == "write":
            return Case(what, lambda: self._written(rows, table), str(self._path))
        if action == "other":
            self._path.write_bytes(
                rng.choice([b"", b"PAR1", b"PAR1PAR1", b"\x80\x05", b"a,b\n1,2\n", rng.randbytes(99)])
            )
            return Case(what, lambda: self._read(table), str(self._path))
        made = self._table(rows, table.schema)
        if action == "columns":
            made = self._columns(rng, made)
        elif action == "types":
            made = self._types(rng, made)
        if action == "pandas":
            made.to_pandas().sample(frac=1.0, random_state=rng.randrange(99)).to_parquet(
                self._path, index=rng.random() < 0.3
            )
        else:
            try:
                pq.write_table(made, self._path, compression=rng.choice(["zstd", "snappy", "none"]))
            except pa.ArrowNotImplementedError:  # a record without fields, which Parquet has not
                pq.write_table(made.slice(0, 0).select([0]), self._path)
        if action == "bytes":
            self._path.write_bytes(hostile.damaged(rng, self._path.read_bytes()))
        return Case(what, lambda: self._read(table), str(self._path))

    def _read(self, table: Table) -> None:
        """What was read can be written again."""
        table.write(self._again, table.read(self._path))

    def _written(self, rows: list[dict[str, Any]], table: Table) -> None:
        try:
            files.write_rows(self._path, rows, table.schema)
        except (pa.ArrowException, OverflowError):  # a value of another type is a fault of the program's
            return
        self._read(table)

    def _table(self, rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
        """A table of rows, with a column of whatever type where the schema's cannot hold a value."""
        columns = []
        for field in schema:
            values = [row[field.name] for row in rows]
            for kind in (field.type, None):
                try:
                    columns.append(pa.array(values, kind))
                    break
                except (pa.ArrowException, OverflowError, UnicodeEncodeError):
                    continue
            else:
                columns.append(pa.array([str(value).encode(errors="replace") for value in values]))
        return pa.Table.from_arrays(columns, names=schema.names)

    def _cell(self, rng: random.Random, kind: pa.DataType, old: Any) -> Any:
        if kind == pa.string():
            return rng.choice(hostile.TEXTS)
        if isinstance(old, list) and rng.random() < 0.7:
            return hostile.changed(rng, [dict(each) if isinstance(each, dict) else each for each in old])
        return rng.choice([*hostile.NUMBERS, None]) if rng.random() < 0.8 else hostile.value(rng)

    def _columns(self, rng: random.Random, table: pa.Table) -> pa.Table:
        names = list(table.column_names)
        victim = rng.choice(names)
        action = rng.choice(["drop", "rename", "add", "order", "empty", "twice"])
        if action == "drop":
            return table.drop_columns([victim])
        if action == "rename":
            new = rng.choice([text for text in hostile.TEXTS if text.isascii()])
            return table.rename_columns([new if name == victim else name for name in names])
        if action == "order":
            return table.select(rng.sample(names, len(names)))
        if action == "empty":
            return table.slice(0, 0)
        return table.append_column("more" if action == "add" else victim, table[victim])

    def _types(self, rng: random.Random, table: pa.Table) -> pa.Table:
        for name in rng.sample(table.column_names, rng.choice([1, 2, len(table.column_names)])):
            place, column = table.column_names.index(name), table[name]
            kinds = WIDER.get(column.type) or (pa.large_list(column.type.value_type),)
            try:
                table = table.set_column(place, name, column.cast(rng.choice(kinds)))
            except pa.ArrowException:
                continue
        return table
