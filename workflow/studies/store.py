"""Files that lie as they do in a DVC cache: outputs by their hashes, and the records of the runs that wrote them."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from w2sg.config.yaml_files import read_yaml
from w2sg.contracts import files
from w2sg.contracts.errors import UserError, named

OBJECTS, RECORDS = Path("files/md5"), Path("runs")  # in the store as in a cache
READ_ONLY = 0o444  # as DVC keeps what it caches
Entries = dict[str, dict[str, Any]]  # of a lock file, by name
# Other files are a file manager's, or what a killed call had begun to write.
_NAMES = {OBJECTS: r"[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?", RECORDS: r"[0-9a-f]{2}/[0-9a-f]{64}/[0-9a-f]{64}"}
_HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")


def held(folder: Path, *parts: Path) -> Iterator[Path]:
    """The files of a store or a cache, each relative to it."""
    for part in parts or (OBJECTS, RECORDS):
        for path in sorted((folder / part).rglob("*")):
            if path.is_file() and re.fullmatch(_NAMES[part], path.relative_to(folder / part).as_posix()):
                yield path.relative_to(folder)


def entries(lock: Path, *, remedy: str) -> Entries:
    """The stages of a lock file by their names, not looked into yet.

    Raises:
        UserError: there is no such file, or it is none.
    """
    try:
        found = read_yaml(lock).get("stages") or {}
    except UserError as error:
        raise UserError(f"{error}; {remedy}") from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise UserError(f"{lock}: stages: not as DVC writes them; {remedy}")
    return found


def checked(found: Entries, lock: Path, *, remedy: str) -> Entries:
    """Stages of a lock file of which all is there that is asked of them.

    Raises:
        UserError: one has no command, inputs or outputs with their hashes.
    """
    for name, entry in found.items():
        parts = [entry.get(part) for part in ("deps", "outs")] if isinstance(entry, dict) else [None, None]
        deps, outs = ([] if part is None else part for part in parts)
        whole = isinstance(entry, dict) and "cmd" in entry and isinstance(deps, list) and isinstance(outs, list)
        whole = whole and parts[1] is not None and isinstance(entry.get("params") or {}, dict)
        if not whole or not all(map(_hashed, outs)) or not all(isinstance(dep, dict) and "path" in dep for dep in deps):
            raise UserError(f"{lock}: {named(name)}: not as DVC writes it, with outputs and their hashes; {remedy}")
    return found


def _hashed(out: Any) -> bool:
    """Whether an output has a path and a hash."""
    if not isinstance(out, dict) or not isinstance(out.get("path"), str):
        return False
    return isinstance(out.get("md5"), str) and _HASH.fullmatch(out["md5"]) is not None


def objects(entry: Mapping[str, Any], cache: Path) -> Iterator[Path]:
    """The cached files of a stage's outputs, those of a folder included.

    Raises:
        UserError: one is missing.
    """
    for file, out in _of_outputs(entry, cache):
        if not (cache / file).is_file():
            raise UserError(f"{cache / file}: missing, which is {out}; `dvc commit` or run it again")
        yield file


def lacks(entry: Mapping[str, Any], cache: Path) -> Path | None:
    """The first file of its outputs that a cache does not have."""
    return next((file for file, _ in _of_outputs(entry, cache) if not (cache / file).is_file()), None)


def _of_outputs(entry: Mapping[str, Any], cache: Path) -> Iterator[tuple[Path, str]]:
    """Each file with the output that it belongs to; those of a folder, if its list is there."""
    for out in entry["outs"]:
        own = object_of(out["md5"])
        yield own, out["path"]
        if own.suffix == ".dir" and (cache / own).is_file():
            members = files.read_json(cache / own, remedy=(again := f"remove it, and restore {out['path']}"))
            for member in members if isinstance(members, list) else [None]:
                if not isinstance(member, dict) or not _hashed({"path": "", **member}):
                    raise UserError(f"{cache / own}: not the list of a folder that DVC writes; {again}")
                yield object_of(member["md5"]), out["path"]


def object_of(name: str) -> Path:
    """Where the content with a hash lies."""
    return OBJECTS / name[:2] / name[2:]


def md5(content: bytes) -> str:
    """DVC's name of a content."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def copy(source: Path, target: Path) -> bool:
    """Copy a file that is not there yet, whole or not at all; an object is checked against its name.

    Raises:
        UserError: its content has another hash.
    """
    if target.is_file():
        return False
    content = source.read_bytes()
    is_object = source.parent.parent.name == OBJECTS.name
    if is_object:
        name, found = source.parent.name + source.stem, md5(content)
        if name != found:
            raise UserError(f"{source}: damaged, its content has the hash {found}; `git checkout {source}`")
    with files.replacing(target) as temporary:
        temporary.write_bytes(content)
        shutil.copymode(source, temporary)
        if is_object:
            os.chmod(temporary, READ_ONLY)
    return True
