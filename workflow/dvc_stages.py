"""A DVC pipeline as Snakemake needs it: its resolved stages, and DVC's verdict on which of them are stale.

Everything is asked of DVC in-process, on content hashes. `judge` only looks; `restore` is the one function that
changes the working folder.
"""

import contextlib
import copy
import difflib
import functools
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace
from typing import Any, TypeAlias

import dvc_speed

RESOURCES = ("mem_mb", "runtime", "gpu")

# DVC publishes no types.
Repo: TypeAlias = Any
DvcStage: TypeAlias = Any
DvcOutput: TypeAlias = Any


class BridgeError(ValueError):
    """A user's mistake; the message is one line that names the file or stage and what is wrong with it."""


class Verdict(Enum):
    """What DVC would do with a stage now."""

    FRESH = "nothing, it is up to date"
    RESTORE = "restore it from the run cache"
    RUN = "run it"
    WAIT = "run it if an input changes"


@dataclass(frozen=True)
class Stage:
    """One resolved stage of the table: `upstream` are names of stages, `outs` paths relative to the working folder."""

    name: str
    upstream: tuple[str, ...]
    outs: tuple[str, ...]
    threads: int
    resources: Mapping[str, int]
    report: tuple[str, ...]


def open_repo() -> Repo:
    if not os.path.exists("dvc.yaml"):
        raise BridgeError("dvc.yaml is not in this folder: call snakemake from the root of the repository")
    from dvc.repo import Repo as DvcRepo

    logging.getLogger("dvc").setLevel(logging.ERROR)
    dvc_speed.hurry()
    ignore_zombies()
    repo = DvcRepo(".", _wait_for_lock=True)
    repo.scm_context.quiet = True  # no `git add` hint from every job
    return repo


@functools.cache
def ignore_zombies() -> None:
    """Let DVC's note of who uses an output end with the process, also where nobody collects the dead (containers)."""
    import dvc.rwlock
    import psutil

    def lives(pid: int) -> bool:
        try:
            return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False

    dvc.rwlock.psutil = SimpleNamespace(pid_exists=lives)


@contextlib.contextmanager
def inputs_as_at_the_start() -> Iterator[None]:
    """Within it, DVC records the inputs a command started with, not what they have become when it ends.

    Otherwise a parameter edited meanwhile would be recorded as the one that made the outputs.
    """
    import dvc.stage.run

    run_command = dvc.stage.run.cmd_run

    def run(stage: DvcStage, **options: Any) -> None:
        run_command(stage, **options)
        stage.save_deps = lambda **_: None  # they were saved before

    dvc.stage.run.cmd_run = run
    try:
        yield
    finally:
        dvc.stage.run.cmd_run = run_command


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what DVC says about a user's mistake into a BridgeError."""
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.scm import SCMError

    try:
        yield
    except NotDvcRepoError as error:
        raise BridgeError("this is not a DVC repository: .dvc/ is missing (`dvc init` makes it)") from error
    except SCMError as error:
        raise BridgeError("this is not a git repository: `git init`, or `dvc config core.no_scm true`") from error
    except DvcException as error:
        raise BridgeError(_one_line(error)) from error


def _one_line(error: BaseException) -> str:
    """What an error and those behind it say, nothing twice."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        text = " ".join(str(cause).split())
        if text and not any(text in part for part in parts):
            parts.append(text)
        cause = getattr(cause, "exc", None) or cause.__cause__
    return ": ".join(parts)


def read_stages(repo: Repo) -> dict[str, Stage]:
    """All stages with a command, by name, every stage after those it depends on."""
    import networkx as nx

    graph = repo.index.graph
    return {
        stage.addressing: Stage(
            name=stage.addressing,
            upstream=tuple(sorted(up.addressing for up in graph.successors(stage) if up.cmd)),
            outs=tuple(os.path.relpath(out.fs_path) for out in stage.outs),
            **_read_meta(stage.addressing, stage.meta or {}),
        )
        for stage in nx.dfs_postorder_nodes(graph)
        if stage.cmd
    }


def _read_meta(name: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    known = ("threads", *RESOURCES, "report")
    for key, value in meta.items():
        if key not in known:
            raise BridgeError(f"dvc.yaml: stage {name}: meta.{key} is unknown; known are {', '.join(known)}")
        if key == "report":
            if not isinstance(value, list) or not all(isinstance(pattern, str) for pattern in value):
                raise BridgeError(f"dvc.yaml: stage {name}: meta.report must be a list of file patterns, not {value!r}")
        elif type(value) is not int or value < (key != "gpu"):
            raise BridgeError(f"dvc.yaml: stage {name}: meta.{key} must be a positive whole number, not {value!r}")
    # `gpu: 0` is left out: an executor takes the mere presence of the resource for a request.
    resources = {key: meta[key] for key in RESOURCES if meta.get(key)}
    return {"threads": meta.get("threads", 1), "resources": resources, "report": tuple(meta.get("report", ()))}


def find_stages(target: str, stages: Mapping[str, Stage]) -> tuple[str, ...]:
    """The stages behind a target: a stage, a whole matrix, an output, a file in an output, or a folder of outputs.

    Raises BridgeError, naming close matches, when there are none.
    """
    if target in stages:
        return (target,)
    if matrix := tuple(name for name in stages if name.startswith(f"{target}@")):
        return matrix
    path = os.path.relpath(target)
    if makers := tuple(name for name, stage in stages.items() if any(_overlap(path, out) for out in stage.outs)):
        return makers
    known = {*stages, *(name.partition("@")[0] for name in stages), *(out for s in stages.values() for out in s.outs)}
    close = difflib.get_close_matches(target, sorted(known), n=4, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else "`snakemake --list` names all stages"
    raise BridgeError(f"no stage or output is called {target!r}; {hint}")


def closure(names: Iterable[str], stages: Mapping[str, Stage]) -> dict[str, Stage]:
    """The named stages and all they depend on, in the table's order."""
    wanted, todo = set[str](), list(names)
    while todo:
        if (name := todo.pop()) not in wanted:
            wanted.add(name)
            todo.extend(stages[name].upstream)
    return {name: stage for name, stage in stages.items() if name in wanted}


def _overlap(one: str, other: str) -> bool:
    """Whether two paths are the same or one lies in the other."""
    return one == other or one.startswith(other + os.sep) or other.startswith(one + os.sep)


def judge(repo: Repo, stages: Mapping[str, Stage], *, busy: Iterable[str] = ()) -> dict[str, tuple[Verdict, str]]:
    """DVC's verdict on each stage and the reason for it, without changing anything on disk. DVC's lock must be held.

    A stage that the run cache holds counts as made: its descendants are judged by the hashes of the cached outputs.
    Outputs of `busy` stages are being written; what to do about those is for a job to decide that has waited.
    Raises BridgeError when an input is missing that no stage makes.
    """
    by_name = {stage.addressing: stage for stage in repo.index.stages}
    made = {out.fs_path for stage in repo.index.stages if stage.cmd for out in stage.outs}
    restored: dict[str, DvcOutput] = {}
    verdicts: dict[str, tuple[Verdict, str]] = {}
    for name, entry in stages.items():
        stage = by_name[name]
        late = [] if stage.frozen else [up for up in entry.upstream if verdicts[up][0] in (Verdict.RUN, Verdict.WAIT)]
        _check_inputs(stage, made)
        pending = [os.path.abspath(out) for up in late for out in stages[up].outs]
        changes = list(_changes(stage, restored, pending))
        if name in busy:
            verdicts[name] = (Verdict.RUN, "an earlier run of it is under way")
        elif late and not changes:
            verdicts[name] = (Verdict.WAIT, f"if its inputs change, after {_some(late)}")
        elif not changes:
            verdicts[name] = (Verdict.FRESH, "up to date")
        elif not late and (outs := _cached_outs(stage, restored)):
            restored.update((out.fs_path, out) for out in outs)
            verdicts[name] = (Verdict.RESTORE, _some(changes))
        else:
            verdicts[name] = (Verdict.RUN, _some(changes))
    return verdicts


def _changes(stage: DvcStage, restored: Mapping[str, DvcOutput], pending: Iterable[str]) -> Iterator[str]:
    """Why the stage is stale, leaving aside inputs that are `pending` (some stage that must run makes them)."""
    if stage.is_callback or stage.always_changed:
        yield "it always runs"
        return
    if not any(item.hash_info for item in (*stage.deps, *stage.outs)):
        yield "it has not run before"
        return
    if stage.changed_stage():
        yield "its command changed"
    for dep in [] if stage.frozen else stage.deps:
        if any(_overlap(dep.fs_path, path) for path in pending):
            continue
        if source := _source(dep, restored):
            if _restored_hash(dep, source) != dep.hash_info:
                yield f"{dep} changed"
            continue
        for path, change in dep.status().items():
            if isinstance(change, dict):
                yield from (f"{key} changed" for key in change)
            else:
                yield f"{path} is {change}"
    for out in stage.outs:
        yield from (f"{path} is {change}" for path, change in out.status().items())


def _check_inputs(stage: DvcStage, made: Iterable[str]) -> None:
    """Raise BridgeError if an input or a parameter is missing that no stage makes."""
    from dvc.dependency.param import MissingParamsError, ParamsDependency

    for dep in [] if stage.frozen else stage.deps:
        if not dep.exists and not any(_overlap(dep.fs_path, out) for out in made):
            raise BridgeError(f"{dep} is missing; stage {stage.addressing} needs it and none makes it (`dvc pull`?)")
        if isinstance(dep, ParamsDependency) and dep.exists:
            try:
                dep.get_hash()
            except MissingParamsError as error:
                raise BridgeError(f"stage {stage.addressing}: {_one_line(error)}") from error


def _source(dep: DvcOutput, restored: Mapping[str, DvcOutput]) -> DvcOutput | None:
    """The output that will change under `dep` when it is checked out."""
    return next((out for path, out in restored.items() if _overlap(dep.fs_path, path)), None)


def _restored_hash(dep: DvcOutput, out: DvcOutput) -> Any:
    """The hash `dep` will have once `out` is checked out; None if that cannot be known (dep is a folder around it)."""
    if dep.fs_path == out.fs_path:
        return out.hash_info
    if dep.fs_path.startswith(out.fs_path + os.sep) and (part := out.get_obj(filter_info=dep.fs_path)):
        return part.hash_info
    return None


def _cached_outs(stage: DvcStage, restored: Mapping[str, DvcOutput]) -> list[DvcOutput] | None:
    """The outputs the stage had when it ran with these very inputs, if the cache still holds all of them."""
    from dvc.exceptions import DvcException
    from dvc.output import Meta
    from dvc.stage.cache import _can_hash
    from dvc.stage.serialize import to_single_stage_lockfile

    probe = copy.copy(stage)
    probe.deps = [copy.copy(dep) for dep in stage.deps]
    try:
        for dep in probe.deps:
            if source := _source(dep, restored):
                dep.hash_info = coming = _restored_hash(dep, source)
                dep.get_hash = lambda coming=coming: coming  # or DVC would look for it on disk
                dep.meta = source.meta if dep.fs_path == source.fs_path else Meta()  # it repeats the hash
            else:
                dep.save()  # in memory; only dump() writes
    except DvcException:
        return None
    if not all(dep.hash_info for dep in probe.deps) or not _can_hash(probe):
        return None
    same = not stage.changed_stage() and [dep.hash_info for dep in probe.deps] == [dep.hash_info for dep in stage.deps]
    if same and all(out.hash_info for out in stage.outs):
        entry = to_single_stage_lockfile(stage)
    else:
        entry = stage.repo.stage_cache._load(probe)
    cached = stage.repo.stage_cache._create_stage(entry, wdir=stage.wdir) if entry else None
    return list(cached.outs) if cached and cached.outs_cached() else None


def _some(items: list[str]) -> str:
    shown = items if len(items) <= 3 else [*items[:2], f"and {len(items) - 2} more"]
    return ", ".join(shown)


def restore(repo: Repo, names: Iterable[str]) -> list[str]:
    """Check the outputs of the named stages out of the cache, in order, and record them in dvc.lock.

    DVC's lock must be held. Returns the names that were restored, which lacks those the cache turned out not to hold.
    """
    from dvc.exceptions import CheckoutError
    from dvc.stage.cache import RunCacheNotFoundError

    repo._reset()  # stages as dvc.lock has them, not as judge() left them
    by_name = {stage.addressing: stage for stage in repo.index.stages}
    done: dict[str, list[DvcStage]] = {}
    with repo.scm_context(quiet=True):
        for name in names:
            stage = by_name[name]
            try:
                stage.remove_outs()
                repo.stage_cache.restore(stage)
            except (RunCacheNotFoundError, CheckoutError):
                continue
            stage.save()
            stage.commit()
            done.setdefault(stage.path, []).append(stage)
    for stages in done.values():
        stages[0].dvcfile.dump_stages(stages, update_pipeline=False)
    repo._reset()
    return [stage.addressing for stages in done.values() for stage in stages]
