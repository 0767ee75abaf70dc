"""The published bases: what is trained once and kept in git, as LLaMA is published once and used by everybody.

`data/published` holds the outputs of the stages play, tokenizer and pretrain and the records of their runs, laid out as
DVC's cache is, so it is a DVC remote too (`dvc fetch --remote published pretrain`). Once they are in the cache, DVC and
Snakemake restore them wherever these stages are asked for with the same code, parameters and inputs; where anything of
that differs, they run.

    python workflow/studies/published.py fetch            # into the cache: what `make run` does first
    python workflow/studies/published.py publish          # what this project has trained, in place of what is there
    python workflow/studies/published.py compare FOLDER   # did the project in FOLDER train the same bytes?
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.errors import UserError

STORE, LOCK = Path("data/published"), Path("dvc.lock")
STAGES = ("play", "tokenizer", "pretrain")
OBJECTS, RECORDS = Path("files/md5"), Path("runs")  # in the store as in a cache
RUN = ("cmd", "deps", "params", "outs")  # of a record or of an entry of the lock file
READ_ONLY = 0o444  # as DVC keeps what it caches


def main() -> int:
    """Do as told; 1 where what is compared differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="from the store into the cache")
    commands.add_parser("publish", help="from the cache into the store")
    commands.add_parser("compare", help="with what another project has trained").add_argument("folder", type=Path)
    options = parser.parse_args()
    try:
        if options.command == "compare":
            return compare(options.folder)
        (fetch if options.command == "fetch" else publish)(cache())
    except UserError as error:
        print(f"published: {error}", file=sys.stderr)
        return 2
    return 0


def cache() -> Path:
    """The folder of this project's DVC cache."""
    from dvc.repo import Repo

    with Repo() as repo:
        return Path(repo.cache.local_cache_dir)


def fetch(cache: Path) -> None:
    """Copy into the cache what it lacks.

    Raises:
        UserError: an object of the store is not what its name says.
    """
    copied = [_copy(STORE / file, cache / file) for file in held(STORE)]
    print(f"{STORE}: {sum(copied)} of {len(copied)} files copied into the cache")


def publish(cache: Path) -> None:
    """Replace the store by what dvc.lock says that this project has trained.

    Raises:
        UserError: the lock has no such stage, or the cache lacks an output or the record of a run.
    """
    files = wanted(cache)
    for file in held(STORE):
        if file not in files:
            (STORE / file).unlink()
    for file in sorted(files):
        _copy(cache / file, STORE / file)
    size = sum((STORE / file).stat().st_size for file in files)
    print(f"{STORE}: {len(files)} files, {size / 1e6:.1f} MB; commit them together with {LOCK}")


def compare(folder: Path) -> int:
    """Say output by output whether another project has the hashes of this one; 1 if not all are the same.

    Raises:
        UserError: the other project has not trained them.
    """
    ours, theirs = (
        {out["path"]: out["md5"] for entry in trained(project).values() for out in entry["outs"]}
        for project in (Path(), folder)
    )
    if missing := sorted(set(ours) - set(theirs)):
        raise UserError(f"{folder / LOCK}: nothing of {', '.join(missing)}")
    for path, value in ours.items():
        print(f"{path}: {'the same bytes' if theirs[path] == value else f'differs: {theirs[path]}, here {value}'}")
    return int(any(theirs[path] != value for path, value in ours.items()))


def trained(folder: Path = Path()) -> dict[str, Any]:
    """What the lock file of a project says of the stages in STAGES, by name; stages that are no more are left out."""
    from dvc.repo import Repo

    with Repo(folder) as repo:
        there = {stage.name for stage in repo.index.stages}
    recorded = read_yaml(folder / LOCK).get("stages") or {}
    return {name: recorded[name] for name in recorded if name in there and name.partition("@")[0] in STAGES}


def wanted(cache: Path) -> set[Path]:
    """The files of a cache that dvc.lock's entries of STAGES need: outputs and the records of their runs."""
    entries = trained()
    if missing := [name for name in STAGES if not any(entry.partition("@")[0] == name for entry in entries)]:
        raise UserError(f"{LOCK}: nothing of {', '.join(missing)}; run `snakemake --cores all pretrain` first")
    files = {file for entry in entries.values() for file in _objects(entry, cache)}
    records = {file: read_yaml(cache / file) for file in held(cache, RECORDS)}
    for name, entry in entries.items():
        found = {file for file, run in records.items() if all(run.get(part) == entry.get(part) for part in RUN)}
        if not found:
            raise UserError(f"{cache / RECORDS}: no record of {name}; it was not run with this cache")
        files |= found
    return files


def held(folder: Path, *parts: Path) -> Iterator[Path]:
    """The files of a store or a cache, each relative to it."""
    for part in parts or (OBJECTS, RECORDS):
        yield from sorted(path.relative_to(folder) for path in (folder / part).rglob("*") if path.is_file())


def _objects(entry: dict[str, Any], cache: Path) -> Iterator[Path]:
    """The cached files of a stage's outputs, those of a folder included."""
    for out in entry["outs"]:
        own = _object(out["md5"])
        if not (cache / own).is_file():
            raise UserError(f"{cache / own}: missing, which is {out['path']}; `dvc commit` or run it again")
        yield own
        if own.suffix == ".dir":
            for each in json.loads((cache / own).read_text(encoding="utf-8")):
                yield _object(each["md5"])


def md5(content: bytes) -> str:
    """DVC's name of a content."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _object(name: str) -> Path:
    return OBJECTS / name[:2] / name[2:]


def _copy(source: Path, target: Path) -> bool:
    """Copy a file that is not there yet, whole or not at all; an object is checked against its name."""
    if target.is_file():
        return False
    content = source.read_bytes()
    if source.parent.parent.name == OBJECTS.name:
        name, found = source.parent.name + source.stem, md5(content)
        if name != found:
            raise UserError(f"{source}: damaged, its content has the hash {found}; `git checkout {source}`")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".tmp", delete=False) as file:
        file.write(content)
    shutil.copymode(source, file.name)
    if source.parent.parent.name == OBJECTS.name:
        os.chmod(file.name, READ_ONLY)
    os.replace(file.name, target)
    return True


if __name__ == "__main__":
    sys.exit(main())
