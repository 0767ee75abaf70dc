"""All that reaches into DVC: what it has no interface for, and what it does too slowly for many short processes.

One function for each; nothing else in this package uses a private name of DVC's. DVC is pinned, and test_patches.py
names everything used here, so that an upgrade says what is gone. The slow parts: benchmarks/pipeline_overhead.py.
"""

import contextlib
import copy
import functools
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, NoReturn, TypeAlias

from snakemake_dvc.files import replacing

# DVC publishes no types.
Repo: TypeAlias = Any
DvcStage: TypeAlias = Any
DvcOutput: TypeAlias = Any


# For the rest of the process


def patch_process() -> None:
    """All that holds for the rest of the process; a second call changes nothing."""
    look_often_for_the_lock()
    read_yaml_once()
    ignore_zombies()
    replace_whole_files()
    replace_rwlock()
    ignore_unfinished_runs()
    fail_where_the_cache_is_full()


@functools.cache
def look_often_for_the_lock() -> None:
    """Wait for DVC's lock in steps of 50 ms; its own 500 ms would idle short stages."""
    import dvc.lock

    dvc.lock.DEFAULT_TIMEOUT = 0.3


@functools.cache
def read_yaml_once() -> None:
    """Read no YAML text twice: half of a plan went into reading params.yaml, half of a job into reading dvc.lock."""
    from dvc.utils import strictyaml
    from dvc.utils.serialize import _yaml

    parse = functools.lru_cache(maxsize=8)(_yaml.parse_yaml)

    def parse_once(text: str, path: str, typ: str = "safe") -> Any:
        return copy.deepcopy(parse(text, path, typ))

    _yaml.parse_yaml = strictyaml.parse_yaml = parse_once
    # What is updated is dvc.lock, with no comments that the slow way of reading would keep.
    _yaml.parse_yaml_for_update = parse_once


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


@functools.cache
def replace_whole_files() -> None:
    """Write dvc.lock, dvc.yaml, parameters and run-cache entries beside their place, then move them into it.

    DVC opens them with "w+" and writes for up to seconds; killed meanwhile, or with the disk full, it leaves a cut
    file, at which every later call of DVC stops. Upstream: `dump` in the place of _dump_data in
    dvc/utils/serialize/_common.py, through which all of them pass.
    """
    from dvc.utils.serialize import _common, _json, _py, _toml, _yaml

    dump_in_place = _common._dump_data

    def dump(path: Any, data: Any, dumper: Callable[..., Any], fs: Any = None, **options: Any) -> Any:
        if fs is not None and fs.protocol != "local":
            return dump_in_place(path, data, dumper, fs=fs, **options)
        with replacing(os.fspath(path)) as file:
            dumper(data, file, **options)
            file.flush()
            os.fsync(file.fileno())  # or a power cut leaves the new name with nothing in it

    for module in (_common, _json, _py, _toml, _yaml):
        module._dump_data = dump


@functools.cache
def replace_rwlock() -> None:
    """Write DVC's note of who uses an output likewise, and take one that cannot be read for empty.

    Whoever reads it holds its guard, so a cut one was left by the dead or by a full disk. What it said of a living
    process is lost, which that process then need not withdraw. Upstream: dvc/rwlock.py:_edit_rwlock, which opens it
    with "w", and raises RWLockFileCorruptedError for good.
    """
    from dvc import rwlock
    from voluptuous import Invalid

    edit, withdraw_write, withdraw_read = rwlock._edit_rwlock, rwlock._release_write, rwlock._release_read

    def edit_replacing(lock_dir: str, fs: Any, hardlink: bool) -> Any:
        def open_whole(path: str, mode: str = "r", encoding: str | None = None) -> Any:
            if mode == "w":
                return replacing(path)
            try:
                with fs.open(path, mode, encoding=encoding) as file:
                    text = file.read()
                rwlock.SCHEMA(json.loads(text))
            except (ValueError, RecursionError, Invalid):
                raise FileNotFoundError(path) from None  # what DVC takes for an empty one
            return io.StringIO(text)

        return edit(lock_dir, SimpleNamespace(join=fs.join, open=open_whole), hardlink)

    def release_write(lock: dict[str, Any], info: dict[str, Any], paths: list[str]) -> None:
        noted = lock.get("write", {})
        withdraw_write(lock, info, [path for path in paths if path in noted and noted[path] == info])

    def release_read(lock: dict[str, Any], info: dict[str, Any], paths: list[str]) -> None:
        noted = lock.get("read", {})
        withdraw_read(lock, info, [path for path in paths if path in noted and info in noted[path]])

    rwlock._edit_rwlock, rwlock._release_write, rwlock._release_read = edit_replacing, release_write, release_read


@functools.cache
def ignore_unfinished_runs() -> None:
    """Take no half-written entry of the run cache for a run.

    DVC writes an entry beside the others and then moves it, but reads whatever is newest there; one cut at the end of
    a line lacks outputs. Upstream: the same condition in dvc/stage/cache.py:StageCache._load.
    """
    import dvc.stage.cache as run_cache

    def load(cache: Any, stage: DvcStage) -> Any:
        key = run_cache._get_stage_hash(stage)
        folder = cache._get_cache_dir(key)
        names = [name for name in os.listdir(folder) if not name.startswith(".")] if os.path.isdir(folder) else []
        newest = max(names, default=None, key=lambda name: os.path.getmtime(os.path.join(folder, name)))
        return newest and cache._load_cache(key, newest)

    run_cache.StageCache._load = load


@functools.cache
def fail_where_the_cache_is_full() -> None:
    """Record no output that the cache could not take, and leave no part of one there.

    DVC prints an error for each file, and records the stage as if all were well. Upstream: Output.commit in
    dvc/output.py would look at `failed` of what `transfer` returns, and copyfile in dvc_objects remove what it began.
    """
    import dvc_objects.fs.local
    from dvc.exceptions import DvcException
    from dvc_data.hashfile import transfer

    def fail(oid: str, error: BaseException) -> NoReturn:
        raise DvcException("DVC's cache cannot take an output, so nothing is recorded; mend that") from error

    local: Any = dvc_objects.fs.local
    copy_file = local.copyfile

    def copy_whole_file(source: str, target: str, **options: Any) -> None:
        try:
            copy_file(source, target, **options)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(target)
            raise

    transfer._log_exception, local.copyfile = fail, copy_whole_file


# While a stage runs


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
def hashing_unlocked() -> Iterator[None]:
    """Within it, DVC hashes what a command made before it takes its lock again, and under the lock only looks it up."""
    import dvc.stage.run

    run_command = dvc.stage.run.cmd_run

    def run_and_hash(stage: DvcStage, **options: Any) -> None:
        run_command(stage, **options)
        for out in stage.outs:
            if out.exists:
                out.get_hash()

    dvc.stage.run.cmd_run = run_and_hash
    try:
        yield
    finally:
        dvc.stage.run.cmd_run = run_command


@contextlib.contextmanager
def commands_started_by(popen_for: Callable[[Mapping[str, Any]], Any]) -> Iterator[None]:
    """Within it, DVC starts a stage's command by what this function makes of the stage's meta, not by Popen."""
    import dvc.stage.run

    run_command, starter = dvc.stage.run.cmd_run, dvc.stage.run.subprocess

    def run(stage: DvcStage, **options: Any) -> None:
        dvc.stage.run.subprocess = SimpleNamespace(Popen=popen_for(stage.meta or {}), check_output=starter.check_output)
        try:
            run_command(stage, **options)
        finally:
            dvc.stage.run.subprocess = starter

    dvc.stage.run.cmd_run = run
    try:
        yield
    finally:
        dvc.stage.run.cmd_run = run_command


# Names that DVC keeps to itself


def open_waiting_repo(folder: str) -> Repo:
    """The repository at `folder`, which waits for DVC's lock where another process has it."""
    from dvc.repo import Repo as DvcRepo

    return DvcRepo(folder, _wait_for_lock=True)


def forget_stages(repo: Repo) -> None:
    """Let the repository read dvc.yaml and dvc.lock anew when it is next asked."""
    repo._reset()


def run_command_of(stage: DvcStage, *, root: str, wdir: str) -> None:
    """Run a stage's command as DVC does, in a folder of our own choice. Raises DvcException when it fails."""
    from dvc.stage.run import cmd_run

    cmd_run(SimpleNamespace(addressing=stage.addressing, cmd=stage.cmd, wdir=wdir, repo=SimpleNamespace(root_dir=root)))


def give_hash(dep: DvcOutput, hash_info: Any) -> None:
    """Let an input have this hash, whatever is on disk; it must be a copy of DVC's object, and stays as it is."""
    dep.hash_info = hash_info
    dep.get_hash = lambda: hash_info


def keeps_runs_of(stage: DvcStage) -> bool:
    """Whether DVC's run cache can hold a run of this stage; asks for the hashes of its inputs."""
    from dvc.stage.cache import _can_hash

    return bool(_can_hash(stage))


def as_recorded(stage: DvcStage) -> DvcStage:
    """A stage with the hashed outputs that dvc.lock has for this one."""
    from dvc.stage.serialize import to_single_stage_lockfile

    return stage.repo.stage_cache._create_stage(to_single_stage_lockfile(stage), wdir=stage.wdir)


def as_in_run_cache(stage: DvcStage) -> DvcStage | None:
    """A stage with the hashed outputs of the newest run of this command on inputs with these hashes."""
    cache = stage.repo.stage_cache
    entry = cache._load(stage)
    return cache._create_stage(entry, wdir=stage.wdir) if entry else None
