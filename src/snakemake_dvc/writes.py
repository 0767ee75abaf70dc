"""What DVC writes is whole, or is not there: whoever is killed while he writes, and on a full disk.

As in patches.py, one function for each thing that reaches into DVC.
"""

import contextlib
import functools
import io
import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NoReturn, TypeAlias

from snakemake_dvc.files import replacing

# DVC publishes no types.
Repo: TypeAlias = Any
DvcStage: TypeAlias = Any

CLOCKS = 60.0  # seconds by which those of two machines may differ
HOST = re.sub(r"[^\w-]", "_", socket.gethostname())
# Of DVC's, and of `replacing` for one of DVC's, as of the run cache's entries.
TEMPORARY = re.compile(rf"\.{HOST}-(\d+)\.[\w-]+\.tmp(\.tmp)?$")


def write_whole() -> None:
    """All that holds for the rest of the process; a second call changes nothing."""
    replace_whole_files()
    replace_rwlock()
    replace_gitignore()
    sign_temporaries()
    clone_beside()
    ignore_unfinished_runs()
    fail_where_the_cache_is_full()


def lives(pid: int, *, at: float) -> bool:
    """Whether the process that had this number at that time is still there, where nobody collects the dead, too."""
    import psutil

    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= at + CLOCKS)
    except psutil.Error:
        return False


def of_the_living(notes: Mapping[str, Mapping[str, Any]], *, at: float) -> dict[str, dict[str, Any]]:
    """DVC's notes of who uses an output, written at this time, less those of the dead."""
    written = {path: note for path, note in notes["write"].items() if lives(note["pid"], at=at)}
    read = {path: [note for note in several if lives(note["pid"], at=at)] for path, several in notes["read"].items()}
    return {"write": written, "read": {path: several for path, several in read.items() if several}}


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
    """Write DVC's notes of who uses an output likewise; take what cannot be read for none, and the dead for nobody.

    Whoever reads them holds their guard, so a cut file was left by the dead or by a full disk. What it said of a living
    process is lost, which that process then need not withdraw. DVC forgets the dead only where they are in its way, and
    stops where their number is another process's by now. Upstream: dvc/rwlock.py:_edit_rwlock, which opens the file
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
                    notes = rwlock.SCHEMA(json.load(file))
                    return io.StringIO(json.dumps(of_the_living(notes, at=os.fstat(file.fileno()).st_mtime)))
            except (ValueError, RecursionError, Invalid):
                raise FileNotFoundError(path) from None  # what DVC takes for an empty one

        return edit(lock_dir, SimpleNamespace(join=fs.join, open=open_whole), hardlink)

    def release_write(lock: dict[str, Any], info: dict[str, Any], paths: list[str]) -> None:
        noted = lock.get("write", {})
        withdraw_write(lock, info, [path for path in paths if path in noted and noted[path] == info])

    def release_read(lock: dict[str, Any], info: dict[str, Any], paths: list[str]) -> None:
        noted = lock.get("read", {})
        withdraw_read(lock, info, [path for path in paths if path in noted and info in noted[path]])

    rwlock._edit_rwlock, rwlock._release_write, rwlock._release_read = edit_replacing, release_write, release_read


@functools.cache
def replace_gitignore() -> None:
    """Write the .gitignore beside an output likewise. Upstream: scmrepo/git/__init__.py:Git._add_entry_to_gitignore."""
    from scmrepo import git as scm

    git: Any = scm

    def add(_git: Any, entry: str, path: str) -> None:
        text = ""
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
            text = file.read()
        if (line := git.GitWildMatchPattern.escape(entry)) not in text.splitlines():
            with replacing(path) as file:
                file.write("\n".join([*text.splitlines(), line, ""]))

    git.Git._add_entry_to_gitignore = add


@functools.cache
def sign_temporaries() -> None:
    """Let the name of a temporary file tell whose it is, so that what the dead leave can be taken away.

    DVC copies into its cache and out of it by way of such files, and never looks for those of killed processes.
    Upstream: dvc_objects/fs/utils.py:tmp_fname.
    """
    import dvc_data.hashfile.db.local
    from dvc_objects.fs import local, utils

    plain = utils.tmp_fname

    def name(prefix: str = "") -> str:
        return plain(f"{prefix}.{HOST}-{os.getpid()}")

    modules: list[Any] = [utils, local, dvc_data.hashfile.db.local]
    for module in modules:
        module.tmp_fname = name


@functools.cache
def clone_beside() -> None:
    """Let DVC try its first way of copying, which shares blocks, on a file beside the target.

    It opens the target before the file system can say that it knows no such thing: killed in between, it left an empty
    file in the cache or for an output. Upstream: dvc_objects/fs/system.py:reflink.
    """
    from dvc_objects.fs import system, utils

    clone: Any = system.reflink

    def reflink(source: str, target: str) -> None:
        temporary = os.path.join(os.path.dirname(target), utils.tmp_fname())
        try:
            clone(source, temporary)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    patched: Any = system
    patched.reflink = reflink


def is_of_the_dead(path: str) -> bool:
    """Whether this is a temporary file of DVC's, from a process of this machine that is there no longer."""
    found = TEMPORARY.search(path)
    try:
        return found is not None and not lives(int(found[1]), at=os.stat(path).st_mtime)
    except FileNotFoundError:  # a living process has moved it to its place
        return False


def cache_folder(repo: Repo) -> str:
    return str(repo.cache.local_cache_dir)


def forget_the_dead(repo: Repo) -> None:
    """Take the notes of the dead out of rwlock, and what a process that was killed in the middle left beside it."""
    from dvc import rwlock

    path = os.path.join(repo.tmp_dir, "rwlock")
    with contextlib.suppress(FileNotFoundError):
        if os.path.getsize(path) > len("{}") or os.path.exists(os.path.join(repo.tmp_dir, ".rwlock.tmp")):
            with rwlock._edit_rwlock(repo.tmp_dir, repo.fs, repo.config["core"].get("hardlink_lock", False)):
                pass


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
