"""DVC's verdict on which stages are stale, on content hashes, asked in-process.

`judge` only looks; `restore` is the one function that changes the working folder.
"""

import copy
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, TypeAlias

from snakemake_dvc.patches import (
    DvcOutput,
    DvcStage,
    Repo,
    as_in_run_cache,
    as_recorded,
    forget_stages,
    give_hash,
    keeps_runs_of,
)
from snakemake_dvc.stages import BridgeError, Stage, one_line, overlap


class Verdict(Enum):
    """What DVC would do with a stage now."""

    FRESH = "nothing, it is up to date"
    RESTORE = "restore it from the run cache"
    FIRST = "run it before the others are judged; what it makes is known from a rehearsal"
    RUN = "run it"
    WAIT = "run it if an input changes"


Verdicts: TypeAlias = dict[str, tuple[Verdict, str]]
# Makes the outputs of a stage elsewhere, given those that are yet to come to the workspace; raises BridgeError.
Rehearse: TypeAlias = Callable[[DvcStage, Mapping[str, DvcOutput]], list[DvcOutput]]


def judge(
    repo: Repo,
    stages: Mapping[str, Stage],
    *,
    busy: Collection[str] = (),
    done: Collection[str] = (),
    rehearse: Rehearse | None = None,
) -> Verdicts:
    """DVC's verdict on each stage and the reason for it, without changing anything on disk. DVC's lock must be held.

    A stage that the run cache holds counts as made: its descendants are judged by the hashes of the cached outputs. So
    does a stale stage that is `first`, by those of a rehearsal, if one is given; one that is `done` has just run.
    Outputs of `busy` stages are being written; what to do about those is for a job to decide that has waited.
    Raises BridgeError when an input is missing that no stage makes.
    """
    by_name = {stage.addressing: stage for stage in repo.index.stages}
    made = {out.fs_path for stage in repo.index.stages if stage.cmd for out in stage.outs}
    coming: dict[str, DvcOutput] = {}
    verdicts: Verdicts = {}
    for name, entry in stages.items():
        stage = by_name[name]
        late = [] if stage.frozen else [up for up in entry.upstream if verdicts[up][0] in (Verdict.RUN, Verdict.WAIT)]
        _check_inputs(stage, made)
        pending = [os.path.abspath(out) for up in late for out in stages[up].outs]
        changes = list(_changes(stage, coming, pending))
        if name in done:
            verdicts[name] = (Verdict.FRESH, "it has just run")
        elif name in busy:
            verdicts[name] = (Verdict.RUN, "an earlier run of it is under way")
        elif late and not changes:
            verdicts[name] = (Verdict.WAIT, f"if its inputs change, after {_some(late)}")
        elif not changes:
            verdicts[name] = (Verdict.FRESH, "up to date")
        elif not late and (outs := _cached_outs(stage, coming)):
            coming.update((out.fs_path, out) for out in outs)
            verdicts[name] = (Verdict.RESTORE, _some(changes))
        elif not late and entry.first and rehearse:
            try:
                coming.update((out.fs_path, out) for out in rehearse(stage, coming))
                verdicts[name] = (Verdict.FIRST, _some(changes))
            except BridgeError as error:
                verdicts[name] = (Verdict.RUN, f"{_some(changes)}; what it makes cannot be foreseen: {error}")
        else:
            verdicts[name] = (Verdict.RUN, _some(changes))
    return verdicts


def _changes(stage: DvcStage, coming: Mapping[str, DvcOutput], pending: Iterable[str]) -> Iterator[str]:
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
        if any(overlap(dep.fs_path, path) for path in pending):
            continue
        if source := _source(dep, coming):
            if _coming_hash(dep, source) != dep.hash_info:
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
        if not dep.exists and not any(overlap(dep.fs_path, out) for out in made):
            raise BridgeError(
                f"{dep} is missing; stage {stage.addressing} needs it and none makes it; put it there, or name another"
            )
        if isinstance(dep, ParamsDependency) and dep.exists:
            try:
                dep.get_hash()
            except MissingParamsError as error:
                raise BridgeError(f"stage {stage.addressing}: {one_line(error)}") from error


def _source(dep: DvcOutput, coming: Mapping[str, DvcOutput]) -> DvcOutput | None:
    """The output that will change under `dep` when it comes to the workspace."""
    return next((out for path, out in coming.items() if overlap(dep.fs_path, path)), None)


def _coming_hash(dep: DvcOutput, out: DvcOutput) -> Any:
    """The hash `dep` will have once `out` is there; None if that cannot be known (dep is a folder around it)."""
    if dep.fs_path == out.fs_path:
        return out.hash_info
    if dep.fs_path.startswith(out.fs_path + os.sep) and (part := out.get_obj(filter_info=dep.fs_path)):
        return part.hash_info
    return None


def _cached_outs(stage: DvcStage, coming: Mapping[str, DvcOutput]) -> list[DvcOutput] | None:
    """The outputs the stage had when it ran with these very inputs, if the cache still holds all of them.

    inputs on disk ──────────────► hashed ─────────────────► probe ──► dvc.lock, if it has these very hashes
    inputs that come before ─────► hashes known already ──►    └────► otherwise the run cache ──► outputs
    """
    from dvc.exceptions import DvcException
    from dvc.output import Meta

    probe = copy.copy(stage)
    probe.deps = [copy.copy(dep) for dep in stage.deps]
    try:
        for dep in probe.deps:
            if source := _source(dep, coming):
                give_hash(dep, _coming_hash(dep, source))
                dep.meta = source.meta if dep.fs_path == source.fs_path else Meta()  # it repeats the hash
            else:
                dep.save()  # in memory; only dump() writes
    except DvcException:
        return None
    if not all(dep.hash_info for dep in probe.deps) or not keeps_runs_of(probe):
        return None
    same = not stage.changed_stage() and [dep.hash_info for dep in probe.deps] == [dep.hash_info for dep in stage.deps]
    recorded = same and all(out.hash_info for out in stage.outs)
    cached = as_recorded(stage) if recorded else as_in_run_cache(probe)
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

    forget_stages(repo)  # stages as dvc.lock has them, not as judge() left them
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
    forget_stages(repo)
    return [stage.addressing for stages in done.values() for stage in stages]
