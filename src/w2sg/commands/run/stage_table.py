"""dvc.yaml with its loops and references filled in, as DVC does it; a test compares both."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.errors import UserError, named, reason, shown

TABLE, PARAMS = Path("dvc.yaml"), Path("params.yaml")
META = ("threads", "mem_mb", "runtime", "gpu", "report", "first", "warm", "check")  # as the bridge knows them
REFERENCE = re.compile(r"\$\{\s*([\w.-]+)\s*\}")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage.

    Attributes:
        name: as DVC names it, for example sft@alfworld-0-weak.
        deps: files and folders that it reads.
        params: values of params.yaml by dotted key; all of them by first key where it reads the whole file.
        outs: files and folders that it writes.
        cards: GPUs that it uses where there are several, `gpu` of `meta`.
        check: the command that says whether the parameters are right, of `meta`.
    """

    name: str
    command: str
    deps: tuple[str, ...]
    params: dict[str, Any]
    outs: tuple[str, ...]
    threads: int
    cards: int = 1
    check: str | None = None


def read() -> list[Stage]:
    """The stages of the folder that this runs in.

    Raises:
        UserError: a file is missing, or the table has what is not known here.
    """
    values = read_yaml(PARAMS)
    stages = read_yaml(TABLE).get("stages") or {}
    if not isinstance(stages, dict):
        raise UserError(f"{TABLE}: stages is {shown(stages)}, expected stages by name")
    found = []
    for base, raw in stages.items():
        try:
            found += [_stage(name, entry, values) for name, entry in _each(str(base), raw, values)]
        except (LookupError, TypeError, AttributeError, RecursionError) as error:
            where = f"{TABLE}: stages.{named(str(base))}"
            raise UserError(
                f"{where}: not a stage as DVC writes it ({type(error).__name__}: {reason(error)})"
            ) from None
    return found


def _each(name: str, raw: dict[str, Any], values: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The names and filled-in entries that one entry of the table stands for."""
    if "foreach" in raw:
        over = _filled(raw["foreach"], values)
        pairs = over.items() if isinstance(over, dict) else ((str(item), item) for item in over)
        for key, item in pairs:
            local = {"item": item} | ({"key": key} if isinstance(over, dict) else {})
            yield f"{name}@{key}", _filled(raw["do"], values | local)
    elif "matrix" in raw:
        axes = {axis: _several(name, over, _filled(over, values)) for axis, over in raw["matrix"].items()}
        for chosen in product(*axes.values()):
            item = dict(zip(axes, chosen, strict=True))
            entry = {key: value for key, value in raw.items() if key != "matrix"}
            yield f"{name}@{'-'.join(map(str, chosen))}", _filled(entry, values | {"item": item})
    else:
        yield name, _filled(raw, values)


def _several(name: str, written: Any, found: Any) -> list[Any]:
    """What a stage is made for each of."""
    if not isinstance(found, list | dict):
        what = REFERENCE.sub(r"\1", written) if isinstance(written, str) else "matrix"
        raise UserError(
            f"{PARAMS}: {what} is {shown(found)}, but stage {named(name)} is made for each of it: a list is needed"
        )
    return list(found)


def _filled(value: Any, values: dict[str, Any]) -> Any:
    """A part of the table with ${references} in the place of which their values stand."""
    if isinstance(value, dict):
        return {_filled(key, values): _filled(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    if not isinstance(value, str):
        return value
    if alone := REFERENCE.fullmatch(value):
        return lookup(values, alone[1], where=TABLE)
    return REFERENCE.sub(lambda found: str(lookup(values, found[1], where=TABLE)), value)


def lookup(values: dict[str, Any], key: str, *, where: Path) -> Any:
    """The value at a dotted key.

    Raises:
        UserError: there is none.
    """
    found: Any = values
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            raise UserError(f"{where}: names {named(key)}, which {PARAMS} does not have")
        found = found[part]
    return found


def _stage(name: str, entry: dict[str, Any], values: dict[str, Any]) -> Stage:
    known = {"cmd", "deps", "params", "outs", "metrics", "meta", "desc"}
    if unknown := sorted(map(str, entry.keys() - known)):
        raise UserError(
            f"{TABLE}: stages.{named(name)}: {named(', '.join(unknown))}: not known to `w2sg run`; use dvc repro"
        )
    params: dict[str, Any] = {}
    for wanted in entry.get("params", []):
        if isinstance(wanted, str):
            params[wanted] = lookup(values, wanted, where=TABLE)
        elif wanted == {str(PARAMS): None}:
            params |= values
        else:
            raise UserError(
                f"{TABLE}: stages.{named(name)}.params: {named(str(wanted))}: not known to `w2sg run`; use dvc repro"
            )
    outs = [*_paths(name, entry.get("outs", [])), *_paths(name, entry.get("metrics", []))]
    for out in map(Path, outs):
        if out.is_absolute() or ".." in out.parts or not out.parts:
            raise UserError(
                f"{TABLE}: stages.{named(name)}: {named(str(out))}: an output, which is removed before its stage runs, "
                "must lie below the project's folder"
            )
    meta = entry.get("meta") or {}
    if odd := [key for key in meta if key not in META]:
        raise UserError(
            f"{TABLE}: stages.{named(name)}.meta.{named(str(odd[0]))}: unknown; allowed here: {', '.join(META)}"
        )
    command, check = entry["cmd"], meta.get("check")
    if not isinstance(command, str) or not isinstance(check, str | None):
        found = f"cmd {shown(command)}, meta.check {shown(check)}"
        raise UserError(f"{TABLE}: stages.{named(name)}: {found}; expected a command, a command or none")
    counts = {}
    for key, least in (("threads", 1), ("gpu", 0)):
        counts[key] = count = meta.get(key, 1)
        if type(count) is not int or count < least:
            raise UserError(f"{TABLE}: stages.{named(name)}.meta.{key}: {shown(count)}; expected a number from {least}")
    return Stage(
        name=name,
        command=command,
        deps=tuple(_paths(name, entry.get("deps", []))),
        params=params,
        outs=tuple(outs),
        threads=counts["threads"],
        cards=counts["gpu"],
        check=check,
    )


def _paths(name: str, entries: Iterable[Any]) -> Iterator[str]:
    for entry in entries:
        if not isinstance(entry, str):
            raise UserError(
                f"{TABLE}: stages.{named(name)}: {named(str(entry))}: options of a path are not known to `w2sg run`"
            )
        if not (entry.strip() and entry.isprintable()):
            raise UserError(f"{TABLE}: stages.{named(name)}: {shown(entry)}: no path; write one on one line")
        yield str(Path(entry))


def before(stages: list[Stage]) -> dict[str, set[str]]:
    """By stage, those whose outputs it reads: the same path, one above or one below.

    Raises:
        UserError: two stages write the same.
    """
    writers = _writers(stages)
    return {stage.name: {name for dep in stage.deps for name in writers(dep)} - {stage.name} for stage in stages}


def given(stages: list[Stage]) -> dict[str, str]:
    """By path, what no stage makes, and a stage that reads it.

    Raises:
        UserError: two stages write the same.
    """
    writers = _writers(stages)
    return {dep: stage.name for stage in reversed(stages) for dep in stage.deps if not writers(dep)}


def _writers(stages: list[Stage]) -> Callable[[str], set[str]]:
    """Of a path: the stages that write it, something below it, or a folder above it."""
    writers: dict[str, str] = {}
    for stage in stages:
        for out in stage.outs:
            if (other := writers.setdefault(out, stage.name)) != stage.name:
                raise UserError(f"{TABLE}: stages {other} and {stage.name} both write {named(out)}")
    below: dict[str, set[str]] = {}
    for out, writer in writers.items():
        for folder in (Path(out), *Path(out).parents):
            below.setdefault(str(folder), set()).add(writer)

    def of(path: str) -> set[str]:
        above = {writers[str(folder)] for folder in Path(path).parents if str(folder) in writers}
        return above | below.get(path, set())

    return of


def needed(stages: list[Stage], targets: Sequence[str]) -> dict[str, Stage]:
    """By name, the stages that are asked for and those that they need; all if nothing is asked for.

    Args:
        targets: names, or what stands before their @.

    Raises:
        UserError: a target names no stage.
    """
    of_name = {stage.name: stage for stage in stages}
    earlier = before(stages)
    waiting: list[str] = []
    for target in targets:
        found = [name for name in of_name if target in (name, name.partition("@")[0])]
        if not found:
            kinds = ", ".join(dict.fromkeys(name.partition("@")[0] for name in of_name))
            raise UserError(f"{named(target)}: no such stage; {TABLE} has {kinds}")
        waiting += found
    wanted: set[str] = set()
    while waiting:
        if (name := waiting.pop()) not in wanted:
            wanted.add(name)
            waiting += earlier[name]
    return {name: stage for name, stage in of_name.items() if name in wanted or not targets}
