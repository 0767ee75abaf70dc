"""The job of a stage, and the locks that keep two jobs of one stage, and two calls of Snakemake, apart."""

import contextlib
import fcntl
import functools
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from snakemake_dvc import cards, warm
from snakemake_dvc.patches import commands_started_by, hashing_unlocked, inputs_as_at_the_start
from snakemake_dvc.stages import BridgeError, one_line_errors, open_repo
from snakemake_dvc.writes import write_whole

STAMPS = Path(".dvc/tmp/snakemake")
LOCKS = Path(".dvc/tmp/snakemake-locks")
LOGS = Path("logs")


def file_name(stage: str) -> str:
    """A file name that is readable and unlike that of any other stage."""
    return quote(stage, safe="@")


def stamp_of(stage: str) -> str:
    return str(STAMPS / file_name(stage))


def log_of(stage: str) -> str:
    return str(LOGS / f"{file_name(stage)}.log")


def touch(stamp: str) -> None:
    os.makedirs(os.path.dirname(stamp), exist_ok=True)
    Path(stamp).touch()


def run_stage(name: str, stamp: str) -> None:
    """Have DVC bring one stage up to date, then set its stamp. Raises BridgeError, leaving no stamp.

    DVC decides once more: it runs the command, restores the outputs or, when the inputs came out as they were, does
    nothing. The command's output goes where ours goes, and its `python` is the one that runs us.
    """
    logger = logging.getLogger("dvc")
    with (
        environment_of_jobs(),
        _only_run(name),
        one_line_errors(),
        contextlib.ExitStack() as held,
        commands_started_by(functools.partial(_popen_for, held)),
        inputs_as_at_the_start(),
        hashing_unlocked(),
        open_repo() as repo,
    ):
        quiet = logger.level
        logger.setLevel(logging.INFO)
        try:
            repo.reproduce(name, single_item=True)
        finally:
            logger.setLevel(quiet)
    touch(stamp)


def _popen_for(held: contextlib.ExitStack, meta: Mapping[str, Any]) -> Callable[..., Any]:
    """What starts a stage's commands: warm, if the stage is, on cards that are its own until `held` closes.

    A command has the locks as well, so that an orphan keeps its cards.
    """
    start, shares = warm.popen_for(meta), list[cards.Share]()

    def popen(command: list[str], **options: Any) -> Any:
        if not shares:
            share = cards.take(options["env"], count=meta.get("gpu", 1), locks=cards.of_this_machine())
            for lock in share.locks:
                held.callback(os.close, lock)
            shares.append(share)
        return start(command, **options | {"env": options["env"] | shares[0].env, "pass_fds": shares[0].locks})

    return popen


def run_stage_here(name: str) -> None:
    """The same within the plan: what is printed goes to standard error and to the stage's log. Raises BridgeError."""
    with _copied_to(log_of(name)):
        run_stage(name, stamp_of(name))


@contextlib.contextmanager
def environment_of_jobs() -> Iterator[None]:
    """Within it, a command's `python` is the one that runs us, and what it prints is seen at once."""
    before = dict(os.environ)
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def redirected(descriptors: Mapping[int, int]) -> Iterator[None]:
    """Within it, each descriptor (0, 1, 2), which commands inherit, stands for another one; that one is closed."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = {number: os.dup(number) for number in descriptors}
    for number, other in descriptors.items():
        os.dup2(other, number)
    for other in set(descriptors.values()):
        os.close(other)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, original in saved.items():
            os.dup2(original, number)
            os.close(original)


@contextlib.contextmanager
def _copied_to(log: str) -> Iterator[None]:
    """Within it, standard output and standard error go to standard error and to a file."""
    os.makedirs(os.path.dirname(log), exist_ok=True)
    tee = subprocess.Popen(["tee", "-i", log], stdin=subprocess.PIPE, stdout=2)
    assert tee.stdin
    with tee.stdin:
        entrance = os.dup(tee.stdin.fileno())
    try:
        with redirected({1: entrance, 2: entrance}):
            yield
    finally:
        tee.wait()


def _lock(name: str, waiting: str) -> int:
    """A file descriptor with a lock that nobody else has until all copies of it are closed or their processes ended.

    Prints `waiting` if it has to wait. On a file system that knows no such locks, there is none.
    """
    LOCKS.mkdir(parents=True, exist_ok=True)
    lock = os.open(LOCKS / name, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"{waiting} (`fuser {LOCKS / name}` shows who has it)", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:
        pass
    return lock


@functools.cache  # once per process, which holds it until its end
def wait_for_other_calls() -> int:
    """Two calls at once would take each other's stamps away."""
    return _lock("all", "waiting for the snakemake that is at work in this folder")


@contextlib.contextmanager
def _only_run(name: str) -> Iterator[None]:
    """Wait for what is left of an earlier run of the stage, and let a later run wait for what is left of this one.

    The lock is our standard input, as that is what the stage's command inherits: when we are killed, its orphan has it.
    """
    lock = _lock(f"{file_name(name)}.run", f"{name}: waiting for the end of an earlier run of it")
    with redirected({0: lock}):
        yield


def is_busy(name: str) -> bool:
    """Whether something of a run of the stage is still alive."""
    return _is_held(LOCKS / f"{file_name(name)}.run")


def busy_in(folder: Path) -> list[str]:
    """The stages of a workspace of which something is still alive."""
    return sorted(unquote(path.stem) for path in (folder / LOCKS).glob("*.run") if _is_held(path))


def _is_held(lock: Path) -> bool:
    try:
        with open(lock) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no earlier run, or no such locks here
        return False
    return False


def run_dvc(words: list[str]) -> int:
    """DVC's own command line, whose writes are whole."""
    from dvc.cli import main as command_line

    write_whole()
    return int(command_line(words))


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["dvc"]:
        return run_dvc(arguments[1:])
    if len(arguments) != 3 or arguments[0] != "run":
        print("usage: python -m snakemake_dvc run STAGE STAMP, or dvc WORDS", file=sys.stderr)
        return 2
    try:
        run_stage(arguments[1], arguments[2])
    except BridgeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0
