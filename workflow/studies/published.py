"""The published bases: what is trained once and kept in git, as LLaMA is published once and used by everybody.

`data/published` holds the outputs of the stages play, tokenizer and pretrain and the records of their runs, laid out as
DVC's cache is, so it is a DVC remote too (`dvc fetch --remote published pretrain`). Once they are in the cache, DVC and
Snakemake restore them wherever these stages are asked for with the same code, parameters and inputs; where anything of
that differs, they run. So it is with ScienceWorld's tasks and demonstrations: a Java machine takes more than a minute
to play through them, on which all bases wait. `data/published/dvc.lock` says what is in the store: the project's own
seeds, and those of studies, which are trained from the same code, parameters and inputs.

    python workflow/studies/published.py fetch            # into the cache: what `make run` does first
    python workflow/studies/published.py publish [STUDY]  # what this project and its studies have trained
    python workflow/studies/published.py compare FOLDER   # did the project in FOLDER train the same bytes?
"""

import argparse
import copy
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.command_line import Parser, status
from w2sg.contracts.errors import UserError
from w2sg.contracts.files import write_text

STORE, LOCK = Path("data/published"), Path("dvc.lock")
CONTENTS = STORE / LOCK
# Tasks of the other environments take seconds, and ALFWorld's are 1,500 files.
BASES = ("play", "tokenizer", "pretrain")
STAGES = ("tasks@scienceworld", "experts@scienceworld", *BASES)
OBJECTS, RECORDS = Path("files/md5"), Path("runs")  # in the store as in a cache
RUN = ("cmd", "deps", "params", "outs")  # of a record or of an entry of the lock file
Entries = dict[str, dict[str, Any]]  # of a lock file, by name
_SEED = re.compile(r"@\d+-")
READ_ONLY = 0o444  # as DVC keeps what it caches


def main() -> int:
    """Do as told; 1 where what is compared differs."""
    parser = Parser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="from the store into the cache")
    publishing = commands.add_parser("publish", help="from the cache into the store")
    publishing.add_argument("study", type=Path, nargs="*", help="folder of a study on this cache: bases of other seeds")
    commands.add_parser("compare", help="with what another project has trained").add_argument("folder", type=Path)
    options = parser.parse_args()
    return status("published", lambda: follow(options))


def follow(options: argparse.Namespace) -> int:
    """Fetch, publish or compare; see there for errors."""
    if options.command == "compare":
        return compare(options.folder)
    if options.command == "fetch":
        fetch(cache())
    else:
        publish(cache(), options.study)
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


def publish(cache: Path, studies: Sequence[Path] = ()) -> None:
    """Replace the store by what dvc.lock says that this project has trained, with the other seeds of its studies.

    Other seeds that are in the store stay if they are of the same code, parameters and inputs; and where nothing but
    the code has changed and the project's own seeds came out with the same bytes, as of the code that is now.

    Raises:
        UserError: the lock has no such stage, or the cache lacks an output or the record of a run.
    """
    entries = trained()
    asked = {stage for name in stage_names() for stage in _stages(name)}
    if missing := [each for each in STAGES if each in asked and not any(each in _stages(name) for name in entries)]:
        raise UserError(f"{LOCK}: nothing of {', '.join(missing)}; run `snakemake --cores all pretrain experts` first")
    before = contents()
    found = dict(entries)
    for folder in studies:
        for name, entry in trained(folder, every_seed=True).items():
            if name not in found and (own := _twin(name, entries)) is not None:
                if _alike(entry, own):
                    found[name] = entry
                else:
                    print(f"{folder / LOCK}: {name} is left out, being of other code, parameters or inputs")
    for name in sorted(before.keys() - found.keys()):
        if (own := _twin(name, entries)) is None or not (kept := _as_of_now(before[name], own, before, entries)):
            print(f"{STORE}: {name} goes, being of other code, parameters or inputs")
            continue
        found[name] = kept
        record(kept, cache)
        for file in _objects(kept, STORE):
            _copy(STORE / file, cache / file)
    files = wanted(cache, found)
    for file in held(STORE):
        if file not in files:
            (STORE / file).unlink()
    for file in sorted(files):
        _copy(cache / file, STORE / file)
    write_text(CONTENTS, yaml.safe_dump({"schema": "2.0", "stages": dict(sorted(found.items()))}, sort_keys=False))
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


def trained(folder: Path = Path(), *, every_seed: bool = False) -> Entries:
    """What the lock file of a project says of the stages in STAGES, by name; stages that are no more are left out.

    Args:
        every_seed: those of seeds that its parameters no longer name too: a study may have been played seed by seed.
    """
    there = {_seedless(name) if every_seed else name for name in stage_names(folder)}
    recorded = read_yaml(folder / LOCK).get("stages") or {}
    names = [name for name in recorded if not _stages(name).isdisjoint(STAGES)]
    return {name: recorded[name] for name in names if (_seedless(name) if every_seed else name) in there}


def stage_names(folder: Path = Path()) -> list[str]:
    """The names of a project's stages; an environment that its parameters leave out has none."""
    from dvc.repo import Repo

    with Repo(folder) as repo:
        return [stage.name for stage in repo.index.stages]


def _stages(name: str) -> set[str]:
    """What STAGES may call an entry: "play@webshop" by this name, or "play" with all others."""
    return {name, name.partition("@")[0]}


def contents() -> Entries:
    """What the store holds; nothing where there is none."""
    return read_yaml(CONTENTS)["stages"] if CONTENTS.exists() else {}


def _twin(name: str, entries: Entries) -> dict[str, Any] | None:
    """Of "pretrain@7-weak" the entry of the first seed that there is, say "pretrain@0-weak"."""
    alike = (entry for other, entry in entries.items() if _seedless(other) == _seedless(name))
    return next(alike, None) if _SEED.search(name) else None


def _seedless(name: str) -> str:
    return _SEED.sub("@", name)


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Both are of the same inputs, code included, and parameters."""
    return all(one.get(part) == other.get(part) for part in ("deps", "params"))


def _as_of_now(entry: dict[str, Any], own: dict[str, Any], before: Entries, entries: Entries) -> dict[str, Any] | None:
    """An entry of another seed as this code would leave it, `own` being that of the project's seed; None if unknown."""
    if _alike(entry, own):
        return entry
    made = {name: each["outs"] for name, each in entries.items() if not _stages(name).isdisjoint(BASES)}
    same = all(before.get(name, {}).get("outs") == outs for name, outs in made.items())
    if not same or entry.get("params") != own.get("params"):
        return None
    return {**entry, "deps": copy.deepcopy(own["deps"])}


def record(entry: Mapping[str, Any], cache: Path) -> None:
    """Write the record of a run into a cache, where DVC looks for it."""
    from dvc.stage.cache import _get_cache_hash

    run = {part: entry[part] for part in RUN if part in entry}
    key, value = (_get_cache_hash(copy.deepcopy(run), key=by_name) for by_name in (True, False))
    file = cache / RECORDS / key[:2] / key / value
    if not file.exists():
        write_text(file, yaml.safe_dump(run, sort_keys=False))


def wanted(cache: Path, entries: Entries) -> set[Path]:
    """The files of a cache that some entries need: outputs and the records of their runs.

    Raises:
        UserError: the cache lacks one.
    """
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
