"""What reaches into DVC: what it has no interface for, and what it does too slowly for many short processes.

One function for each; nothing else in this package but writes.py uses a private name of DVC's. DVC is pinned, and
test_patches.py names everything used, so that an upgrade says what is gone. The slow parts:
benchmarks/pipeline_overhead.py.
"""

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, TypeAlias

from snakemake_dvc.writes import write_whole

# DVC publishes no types.
Repo: TypeAlias = Any
DvcStage: TypeAlias = Any
DvcOutput: TypeAlias = Any


# For the rest of the process


def patch_process() -> None:
    """All that holds for the rest of the process; a second call changes nothing."""
    look_often_for_the_lock()
    read_yaml_once()
    write_whole()


def check_keys(values: Any) -> None:
    """Raise TypeError if keys of one mapping are of several types, as `2020-01-01` and `a` are."""
    if isinstance(values, dict):
        if len(types := {type(key).__name__ for key in values}) > 1:
            raise TypeError(
                f"the keys {', '.join(map(str, values))[:60]} are of several types: {', '.join(sorted(types))}"
            )
        for value in values.values():
            check_keys(value)
    elif isinstance(values, list):
        for value in values:
            check_keys(value)


@functools.cache
def look_often_for_the_lock() -> None:
    """Wait for DVC's lock in steps of 50 ms; its own 500 ms would idle short stages."""
    import dvc.lock

    dvc.lock.DEFAULT_TIMEOUT = 0.3


@functools.cache
def read_yaml_once() -> None:
    """Read no YAML text twice, and have one kind of error: DVC's own.

    Half of a plan went into reading params.yaml, half of a job into reading dvc.lock. Values and nestings that Python
    cannot hold, and keys that DVC cannot sort, would come as whatever error they raise.
    """
    from dvc.utils import strictyaml
    from dvc.utils.serialize import _yaml

    @functools.lru_cache(maxsize=8)
    def parse(text: str, path: str, typ: str) -> Any:
        try:
            check_keys(values := parse_yaml(text, path, typ))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise _yaml.YAMLFileCorruptedError(path) from error
        return values

    parse_yaml = _yaml.parse_yaml

    def parse_once(text: str, path: str, typ: str = "safe") -> Any:
        return copy.deepcopy(parse(text, path, typ))

    _yaml.parse_yaml = strictyaml.parse_yaml = parse_once
    # What is updated is dvc.lock, with no comments that the slow way of reading would keep.
    _yaml.parse_yaml_for_update = parse_once


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
