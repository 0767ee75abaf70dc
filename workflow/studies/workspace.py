"""Make a workspace with another configuration: `python workflow/studies/workspace.py params/smoke.yaml .smoke`.

The folder gets the project's files as they are now and, as its params.yaml, the given parameters: those of a complete
file, or what an overlay makes of the file that it lies on. Its outputs and its DVC cache stay its own. Called again, it
refreshes the files and keeps the outputs, so nothing is computed twice. Code that the project has no more goes.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from snakemake_dvc.jobs import busy_in
from w2sg.config.overlays import merged
from w2sg.config.params import validated
from w2sg.contracts import files
from w2sg.contracts.command_line import Parser, status
from w2sg.contracts.errors import LONGEST_PATH, UserError, printable

PARAMS, TABLE, LOCK = Path("params.yaml"), Path("dvc.yaml"), ".lock"
BEGUN = (LOCK, ".pool")  # what may be in a workspace that has no parameters yet
CODE = ("src", "workflow", "params")  # where what lies there counts: environments and presets are found by their files


def main() -> int:
    """Merge, copy, write the parameters, say what they are."""
    parser = Parser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("params", type=Path, metavar="PARAMS.yaml", help="complete, or an overlay")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the workspace, such as .smoke")
    options = parser.parse_args()
    return status("workspace", lambda: follow(options.params, options.folder))


def follow(source: Path, target: Path) -> int:
    """Make or refresh a workspace.

    Raises:
        UserError: the parameters are wrong, or see `claimed` and `make`.
    """
    made = merged(source)
    validated(made.values, source=source)
    listed()
    with claimed(target):
        make(target, made.text())
    print(f"{target / PARAMS}: {made.summary()}")
    return 0


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[int]:
    """Hold a workspace that is there, or is to be made: `held`.

    Raises:
        UserError: the folder is something else, or see `held`.
    """
    check(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder) as lock:
        yield lock


@contextlib.contextmanager
def held(folder: Path) -> Iterator[int]:
    """Hold a workspace against all other calls: each would give it parameters and code of its own.

    Yields a descriptor. What it is handed to (`pass_fds`), such as Snakemake, holds the workspace as well, and so does
    a stage that outlives a killed one: nobody changes what it plays. On a file system without locks, there is none.

    Raises:
        UserError: another call has it, or what is left of one.
    """
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another call is at work here; wait for it") from None
        except OSError:
            pass
        if stages := busy_in(folder):
            raise UserError(f"{folder}: {stages[0]} of a call that was killed is still at work here; wait for it")
        yield lock
    finally:
        os.close(lock)


def check(folder: Path) -> None:
    """Refuse to make a workspace of something else.

    Raises:
        UserError: this is no project, the folder holds it, or has other things than a workspace.
    """
    if not TABLE.is_file():
        raise UserError(f"{TABLE}: no such file; run this in the folder of the project")
    if Path(os.path.realpath(".")).is_relative_to(os.path.realpath(folder)):
        raise UserError(f"{folder}: holds this project; name a folder of its own, such as .smoke")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; name a folder, such as .smoke")
    names = set() if not folder.is_dir() else {each.name for each in folder.iterdir()}
    others = sorted(name for name in names.difference(BEGUN) if not name.endswith(".tmp"))
    if others and PARAMS.name not in names:
        has = printable(others[0])[:LONGEST_PATH]
        raise UserError(f"{folder}: no workspace, as it has {has} and no {PARAMS}; choose another name, or move it")


def make(target: Path, text: str) -> None:
    """Give a workspace, which is claimed, parameters and the project's files.

    Raises:
        UserError: git is not there, or cannot list them.
    """
    found = listed()
    # First, as a folder without them is not taken for a workspace, should this be stopped.
    files.write_text(target / PARAMS, text)
    inside = Path(os.path.relpath(target))  # the project, where git does not ignore the workspace
    folders = {parent for file in found for parent in file.parents}
    for name in CODE:
        _prune(target, Path(name), files=found, folders=folders)
    for file in sorted(found):
        # dvc.lock records this workspace's outputs, the copy writes its own, and its own grid.
        own = file in (PARAMS, Path("dvc.lock"), Path(LOCK)) or file.is_relative_to(inside)
        own |= file.parts[0] == "results" and (target / file).exists()
        if not own:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copy2(file, target / file)
            except OSError as error:
                error.filename = str(target / file)  # not the one that it is read from
                raise
    if not (target / ".git").exists() and (done := _run("git", "init", "--quiet", str(target))).returncode:
        raise UserError(f"{target}: git cannot make a repository of it: {_said(done)}")


def listed() -> set[Path]:
    """The project's files: those that git knows, and those that it would not ignore.

    Raises:
        UserError: git is not there, or there is no repository.
    """
    done = _run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if done.returncode:
        raise UserError(f"{Path.cwd().name}: git cannot list the files of the project: {_said(done)}")
    names = os.fsdecode(done.stdout).split("\0")
    return {Path(name) for name in names if name and Path(name).is_file()}


def _prune(target: Path, folder: Path, *, files: Collection[Path], folders: Collection[Path]) -> None:
    """Remove from a folder of a workspace what the project does not have there."""
    if (target / folder).is_symlink() or not (target / folder).is_dir():
        return
    for path in (target / folder).iterdir():
        name = folder / path.name
        if path.is_symlink() or not path.is_dir():
            if name not in files:
                path.unlink()
        elif name in folders:
            _prune(target, name, files=files, folders=folders)
        elif path.name != "__pycache__":  # beside code that is there
            shutil.rmtree(path)


def seen_from(folder: Path, path: Path) -> str:
    """A relative path as it is to be written in a workspace, which may be a link to a larger disk."""
    return os.path.relpath(os.path.abspath(path), os.path.realpath(folder))


def share_cache(folder: Path) -> None:
    """Let a workspace keep its outputs in this project's cache, its own or shared, and find what others have computed.

    Raises:
        UserError: DVC refuses it.
    """
    found = _run("dvc", "cache", "dir")
    if found.returncode:
        raise UserError(f"{Path.cwd()}: DVC does not say where its cache is: {_said(found)}")
    cache = seen_from(folder, Path(os.fsdecode(found.stdout).strip()))
    done = _run("dvc", "cache", "dir", "--local", cache, folder=folder)
    if done.returncode:
        raise UserError(f"{folder}: cannot use the cache {cache}: {_said(done)}")


def _run(*command: str, folder: Path = Path()) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True)
    except FileNotFoundError:
        raise UserError(f"{command[0]}: not found; install it, or put it on the PATH") from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    """The line in which git or DVC says what is wrong."""
    lines = [line.strip() for line in os.fsdecode(done.stderr).splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return printable((errors or lines or [f"exit code {done.returncode}"])[0])[:LONGEST_PATH]


if __name__ == "__main__":
    sys.exit(main())
