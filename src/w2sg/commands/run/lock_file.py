"""dvc.lock in DVC's own format, so that DVC takes over what `w2sg run` has made (`dvc commit --force`)."""

import hashlib
import json
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from w2sg.commands.run.stage_table import PARAMS, Stage
from w2sg.config.yaml_files import needs_quotes, parse
from w2sg.contracts.errors import UserError
from w2sg.contracts.files import reading, write_text

LOCK, IGNORE = Path("dvc.lock"), Path(".dvcignore")
ALWAYS_IGNORED = (".git", ".hg", ".dvc")
Entry = dict[str, Any]


class _Dumper(yaml.SafeDumper):
    """Quotes what DVC, which reads YAML 1.2, would else take for a number."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if needs_quotes(text) else None)


_Dumper.add_representer(str, _text)
_Dumper.ignore_aliases = lambda *_: True  # type: ignore[method-assign]  # each entry is readable by itself


class Contents:
    """Hashes of files and folders as DVC computes them, each computed once until it is forgotten."""

    def __init__(self) -> None:
        self._known: dict[str, Entry | None] = {}
        self._anchored, self._anywhere = _ignored()

    def of(self, path: str) -> Entry | None:
        """The entry of a path in dvc.lock; None if there is nothing."""
        if path not in self._known:
            self._known[path] = self._entry(Path(path))
        return self._known[path]

    def forget(self, paths: tuple[str, ...]) -> None:
        """These have changed."""
        changed = [Path(path) for path in paths]
        for known in [Path(path) for path in self._known]:
            if any(known == path or known in path.parents or path in known.parents for path in changed):
                del self._known[str(known)]

    def _entry(self, path: Path) -> Entry | None:
        if path.is_file():
            return {"path": str(path), "hash": "md5", "md5": _md5(path), "size": path.stat().st_size}
        if not path.is_dir():
            return None
        files = list(self._files(path))
        listing = [{"md5": _md5(file), "relpath": file.relative_to(path).as_posix()} for file in files]
        listing.sort(key=lambda each: each["relpath"])
        whole = hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
        size = sum(file.stat().st_size for file in files)
        return {"path": str(path), "hash": "md5", "md5": f"{whole}.dir", "size": size, "nfiles": len(files)}

    def _files(self, folder: Path) -> Iterator[Path]:
        for each in sorted(folder.iterdir()):
            if str(each) in self._anchored or any(fnmatch(each.name, pattern) for pattern in self._anywhere):
                continue
            if each.is_dir():
                yield from self._files(each)
            else:
                yield each


def _md5(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _ignored() -> tuple[set[str], list[str]]:
    """Paths from the root, and patterns of names, that DVC does not look at."""
    lines: list[str] = []
    if IGNORE.exists():
        with reading(IGNORE, "a text", remedy="restore it from git"):
            lines = IGNORE.read_text(encoding="utf-8").split("\n")
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    anchored = {pattern.strip("/") for pattern in patterns if pattern.startswith("/")}
    anywhere = [pattern.rstrip("/") for pattern in patterns if not pattern.startswith("/")]
    if odd := [pattern for pattern in anywhere if "/" in pattern or pattern.startswith("!")]:
        raise UserError(f"{IGNORE}: {odd[0]}: not known to `w2sg run`; use a name, or a path that begins with /")
    return anchored, [*ALWAYS_IGNORED, *anywhere]


def read() -> dict[str, Entry]:
    """The entries by stage.

    Raises:
        UserError: the file cannot be read, or was cut while it was written.
    """
    if not LOCK.exists():
        return {}
    try:
        text = LOCK.read_text(encoding="utf-8")
        if not text.endswith("\n"):
            raise ValueError("cut off in its last line" if text else "empty")
        stages = parse(text)["stages"]
        if odd := [name for name, found in stages.items() if not _whole(found)]:
            raise ValueError(f"stages.{odd[0]} is no entry")
    except OSError as error:
        raise UserError(f"{LOCK}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        line = " ".join(str(error).split())[:80]
        remedy = f"`git checkout {LOCK}`, or remove it, and every stage runs"
        raise UserError(f"{LOCK}: not a lock file of DVC's ({line}); {remedy}") from None
    return dict(stages)


def _whole(found: Any) -> bool:
    """Whether an entry has the parts that `reason` looks at."""
    files = [*(found.get("deps") or []), *(found.get("outs") or [])]
    params = found.get("params") or {}
    return all(isinstance(each["path"], str) for each in files) and all(
        hasattr(each, "keys") for each in params.values()
    )


def write(entries: dict[str, Entry]) -> None:
    """Write all entries at once."""
    values = {"schema": "2.0", "stages": entries}
    write_text(LOCK, yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6))


def entry(stage: Stage, contents: Contents) -> Entry:
    """What dvc.lock says of a stage that has run.

    Raises:
        UserError: an output is missing.
    """
    outs = {out: contents.of(out) for out in stage.outs}
    if missing := [out for out, found in outs.items() if found is None]:
        raise UserError(f"{stage.name}: has ended without writing {', '.join(missing)}")
    made: Entry = {"cmd": stage.command, "deps": [contents.of(dep) for dep in sorted(stage.deps)]}
    if stage.params:
        made["params"] = {str(PARAMS): stage.params}
    return made | {"outs": [outs[out] for out in sorted(outs)]}


def reason(stage: Stage, known: Entry | None, contents: Contents) -> str | None:
    """Why a stage must run; None if it need not.

    Raises:
        UserError: what it reads is not there.
    """
    for dep in stage.deps:
        if contents.of(dep) is None:
            raise UserError(f"{stage.name}: {dep}, which it reads, is not there")
    if known is None:
        return "has not run"
    if known.get("cmd") != stage.command:
        return "its command has changed"
    recorded = (known.get("params") or {}).get(str(PARAMS), {})
    if changed := sorted(
        key for key in {*recorded, *stage.params} if _value(recorded, key) != _value(stage.params, key)
    ):
        return f"{', '.join(changed)} changed"
    for what, paths in (("deps", stage.deps), ("outs", stage.outs)):
        hashes = {each["path"]: each.get("md5") for each in known.get(what) or []}
        for path in {**dict.fromkeys(paths), **dict.fromkeys(hashes)}:
            found = contents.of(path) if path in paths else None
            if found is None or found["md5"] != hashes.get(path):
                return f"{path} {'is missing' if found is None else 'changed'}"
    return None


_ABSENT = object()


def _value(values: dict[str, Any], key: str) -> Any:
    return values.get(key, _ABSENT)
