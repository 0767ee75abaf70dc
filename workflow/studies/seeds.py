"""The seeds of a study that are kept: docs/NAME/seeds/2.tar.xz, what seed 2 has played, and 2.json, its record."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from w2sg.config.params import validated
from w2sg.contracts import files
from w2sg.contracts.errors import UserError, named

ARCHIVE, RECORD = ".tar.xz", ".json"
APART = ("seeds", "report")  # sections in which seeds of one study may differ
AGAIN = "restore it from git, or play the seed again with --seeds"


def _cell(text: str) -> str:
    """A text that can stand in a table of a page."""
    if not text or not text.isprintable() or "|" in text:
        raise ValueError("must be a text of one line without |")
    return text


Cell = Annotated[str, AfterValidator(_cell)]
MOST = 10**6  # cores or hours: more are a mistake


@dataclass(frozen=True, slots=True)
class Record:
    """How a seed was played.

    Attributes:
        commit: short name, with a note where files differed from it; all of them where calls were stopped and went on.
        hours: of wall time of the calls that played it, divided by the seeds that they played.
        cores: that these calls had.
        machine: system and processor.
        params: a digest of every section of the parameters but APART.
        sha256: of the archive.
    """

    seed: int
    commit: Cell
    hours: Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]
    cores: Annotated[int, Field(ge=1, le=MOST)]
    machine: Cell
    params: dict[str, str]
    sha256: str


def sections(values: Mapping[str, Any], *, source: Path) -> dict[str, str]:
    """A digest of every section of the parameters in `source` but APART; 1 and 1.0 are the same.

    Raises:
        UserError: they are no parameters.
    """
    plain = validated(dict(values), source=source).model_dump(mode="json")
    whole = {name: each for name, each in plain.items() if name not in APART}
    return {name: sha256(json.dumps(each, sort_keys=True).encode())[:16] for name, each in whole.items()}


def sha256(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()


def write(archive: Path, record: Record) -> None:
    """Write the record of an archive beside it."""
    files.write_json(record_of(archive), asdict(record))


def read(archive: Path) -> Record:
    """The record of an archive.

    Raises:
        UserError: it is missing or none, or of another seed.
    """
    path = record_of(archive)
    try:
        text = json.dumps(files.read_object(path, remedy=AGAIN))
        found = TypeAdapter(Record).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: {named(key)}: {named(first['msg'])}; {AGAIN}") from None
    if path.name != f"{found.seed}{RECORD}":
        raise UserError(f"{path}: is of seed {found.seed}; {AGAIN}")
    return found


def kept(folder: Path, *, but: Iterable[int] = ()) -> dict[int, Record]:
    """The records of all seeds that a folder keeps, ascending.

    Args:
        but: seeds that are not looked at, as they are to be replaced.

    Raises:
        UserError: a file is neither an archive nor its record, one of the two is missing, or a record is none.
    """
    names = {path.name for path in folder.glob("[!.]*")}  # a dot: what a killed call had begun to write
    seeds = sorted({_seed(folder / name) for name in names} - {*but})
    for archive in (archive_of(folder, seed) for seed in seeds):
        if missing := {archive.name, record_of(archive).name} - names:
            raise UserError(f"{folder / missing.pop()}: missing, and what belongs to it is there; {AGAIN}")
    return {seed: read(archive_of(folder, seed)) for seed in seeds}


def archive_of(folder: Path, seed: int) -> Path:
    """Where the archive of a seed lies."""
    return folder / f"{seed}{ARCHIVE}"


def record_of(archive: Path) -> Path:
    """Where its record does."""
    return archive.with_name(archive.name.removesuffix(ARCHIVE) + RECORD)


def _seed(path: Path) -> int:
    name = path.name.partition(".")[0]
    if path.name not in (f"{name}{ARCHIVE}", f"{name}{RECORD}") or not name.isdecimal() or str(int(name)) != name:
        raise UserError(f"{path}: neither the archive of a seed nor its record; move it elsewhere")
    return int(name)


def check(folder: Path, records: Iterable[Record], now: Mapping[str, str], *, source: Path) -> None:
    """Refuse seeds that were played with other parameters.

    Args:
        now: `sections` of those in `source`.

    Raises:
        UserError: one was; the section in which it differs is named.
    """
    for record in records:
        names = dict.fromkeys([*now, *record.params])
        if differing := [name for name in names if now.get(name) != record.params.get(name)]:
            where = f"{archive_of(folder, record.seed)}: played with other parameters than {source}"
            remedy = f"play it again (--seeds {record.seed}), or remove it with its record"
            raise UserError(f"{where} ({named(', '.join(differing))}); {remedy}")
