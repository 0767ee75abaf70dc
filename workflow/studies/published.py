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
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

import store
from store import RECORDS, Entries, held, objects
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.command_line import Parser, status
from w2sg.contracts.errors import UserError
from w2sg.contracts.files import reading, write_text

STORE, LOCK = Path("data/published"), Path("dvc.lock")
CONTENTS = STORE / LOCK
# Tasks of the other environments take seconds, and ALFWorld's are 1,500 files.
BASES = ("play", "tokenizer", "pretrain")
STAGES = ("tasks@scienceworld", "experts@scienceworld", *BASES)
RUN = ("cmd", "deps", "params", "outs")  # of a record or of an entry of the lock file
_SEED = re.compile(r"@\d+-")
RESTORE = "`git checkout data/published`"
AGAIN = "`git checkout dvc.lock`, or remove it and run the pipeline, which restores what the cache holds"
FIRST = "run `snakemake --cores all pretrain experts` first"


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
    for folder in [options.folder] if options.command == "compare" else getattr(options, "study", []):
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; name that of a project or a study")
    if options.command == "compare":
        return compare(options.folder)
    if options.command == "fetch":
        fetch(cache())
    else:
        publish(cache(), options.study)
    return 0


def cache() -> Path:
    """The folder of this project's DVC cache.

    Raises:
        UserError: DVC cannot open the project.
    """
    with _repository(Path()) as repo:
        return Path(repo.cache.local_cache_dir)


def fetch(cache: Path) -> None:
    """Copy into the cache what it lacks; say what will be trained, because the store lacks it, too.

    Raises:
        UserError: an object of the store is not what its name says.
    """
    copied = [store.copy(STORE / file, cache / file) for file in held(STORE)]
    print(f"{STORE}: {sum(copied)} of {len(copied)} files copied into the cache")
    there = contents()
    records = [read_yaml(STORE / file) for file in held(STORE, RECORDS)]
    lacking = [str(CONTENTS)] if not there else []
    for name, entry in there.items():
        if file := store.lacks(entry, cache):
            lacking.append(f"{file} of {name}")
        elif not any(_is_of(run, entry) for run in records):
            lacking.append(f"the record of {name}")
    if lacking:
        more = f" and {len(lacking) - 1} more" if lacking[1:] else ""
        what = f"lacks {lacking[0]}{more}" if STORE.is_dir() else "not there"
        print(
            f"{STORE}: {what}; what is missing is trained, half an hour for all; {RESTORE} brings it", file=sys.stderr
        )


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
        raise UserError(f"{LOCK}: nothing of {', '.join(missing)}; {FIRST}")
    before = contents()
    found = dict(entries)
    for folder in studies:
        if folder.is_dir() and not (folder / LOCK).exists():
            print(f"{folder}: has played nothing")
            continue
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
        for file in objects(kept, STORE):
            store.copy(STORE / file, cache / file)
    files = wanted(cache, found)
    for file in held(STORE):
        if file not in files:
            (STORE / file).unlink()
    for file in sorted(files):
        store.copy(cache / file, STORE / file)
    for path in STORE.rglob("*.tmp"):  # a killed call's, which git would keep
        path.unlink()
    write_text(CONTENTS, yaml.safe_dump({"schema": "2.0", "stages": dict(sorted(found.items()))}, sort_keys=False))
    size = sum((STORE / file).stat().st_size for file in files)
    print(f"{STORE}: {len(files)} files, {size / 1e6:.1f} MB; commit them together with {LOCK}")


def compare(folder: Path) -> int:
    """Say output by output whether another project has the hashes of this one; 1 if not all are the same.

    Raises:
        UserError: the other project has not trained them, or this one has nothing.
    """
    ours, theirs = (
        {out["path"]: out["md5"] for entry in trained(project).values() for out in entry["outs"]}
        for project in (Path(), folder)
    )
    if not ours:
        raise UserError(f"{LOCK}: nothing of {', '.join(STAGES)} to compare with; {FIRST}")
    if missing := sorted(set(ours) - set(theirs)):
        raise UserError(f"{folder / LOCK}: nothing of {', '.join(missing)}")
    for path, value in ours.items():
        print(f"{path}: {'the same bytes' if theirs[path] == value else f'differs: {theirs[path]}, here {value}'}")
    return int(any(theirs[path] != value for path, value in ours.items()))


def trained(folder: Path = Path(), *, every_seed: bool = False) -> Entries:
    """What the lock file of a project says of the stages in STAGES, by name; stages that are no more are left out.

    Args:
        every_seed: those of seeds that its parameters no longer name too: a study may have been played seed by seed.

    Raises:
        UserError: DVC cannot open the project, or its lock file is none.
    """
    recorded = store.entries(folder / LOCK, remedy=AGAIN)  # before DVC reads it, which says less of what is wrong
    found = {name: entry for name, entry in recorded.items() if not _stages(name).isdisjoint(STAGES)}
    store.checked(found, folder / LOCK, remedy=AGAIN)
    there = {_seedless(name) if every_seed else name for name in stage_names(folder)}
    return {name: entry for name, entry in found.items() if (_seedless(name) if every_seed else name) in there}


def stage_names(folder: Path = Path()) -> list[str]:
    """The names of a project's stages; an environment that its parameters leave out has none.

    Raises:
        UserError: DVC cannot open the project.
    """
    with _repository(folder) as repo:
        return [stage.name for stage in repo.index.stages]


@contextmanager
def _repository(folder: Path) -> Iterator[Any]:
    from dvc.repo import Repo
    from dvc.scm import SCMError

    remedy = "`git checkout .dvc dvc.yaml dvc.lock params.yaml` restores what it needs"
    with reading(folder / ".dvc", "a project that DVC can open", remedy=remedy):
        try:
            opened = Repo(folder)
        except SCMError:  # an archive of the files, say
            raise UserError(
                f"{folder.absolute().name}: no git repository, which DVC needs; `git init` makes one"
            ) from None
        with opened as repo:
            yield repo


def _stages(name: str) -> set[str]:
    """What STAGES may call an entry: "play@webshop" by this name, or "play" with all others."""
    return {name, name.partition("@")[0]}


def contents() -> Entries:
    """What the store holds; nothing where there is none.

    Raises:
        UserError: the list is none.
    """
    found = store.entries(CONTENTS, remedy=RESTORE) if CONTENTS.exists() else {}
    return store.checked(found, CONTENTS, remedy=RESTORE)


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
    return {**entry, "deps": copy.deepcopy(own.get("deps"))}


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
    files = {file for entry in entries.values() for file in objects(entry, cache)}
    records = {file: read_yaml(cache / file) for file in held(cache, RECORDS)}
    for name, entry in entries.items():
        found = {file for file, run in records.items() if _is_of(run, entry)}
        if not found:
            raise UserError(f"{cache / RECORDS}: no record of {name}; it was not run with this cache")
        files |= found
    return files


def _is_of(run: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Whether a record is of the run that an entry of a lock file is of."""
    return all(run.get(part) == entry.get(part) for part in RUN)


if __name__ == "__main__":
    sys.exit(main())
