"""A pipeline in a temporary git and DVC repository, driven by the real commands."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil


class Toy:
    """The repository at `path`. Stages that ran since one last asked are in `ran()`."""

    def __init__(self, path: Path, home: Path) -> None:
        self.path = path
        self.env = {
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            # The commands beside the interpreter of the tests, whether or not its environment is activated.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(path / "src"),  # for the copy of snakemake_dvc that a toy brings
            "RUNS": str(path / "runs.log"),  # of stages that run elsewhere, too
            "SHELL": "/bin/sh",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(home / "dvc"),
            "XDG_CACHE_HOME": str(home / "cache"),
            **{f"GIT_{who}_{what}": "toy@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }

    def run(self, *command: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Standard error is part of the output, as on a screen."""
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.env | env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=240,
        )
        assert not check or done.returncode == 0, done.stdout
        return done

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        return self.run("snakemake", *(arguments or ("--cores", "4")), check=check).stdout

    def start(self, *command: str, screen: str, **env: str) -> subprocess.Popen[str]:
        """The command in a session of its own, under way; its output goes to the file `screen` in logs/."""
        (self.path / "logs").mkdir(exist_ok=True)
        with open(self.path / "logs" / screen, "w") as file:
            return subprocess.Popen(
                command,
                cwd=self.path,
                env=self.env | env,
                text=True,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def processes(self) -> list[psutil.Process]:
        """All that are at work in the repository, and in the copies below it that DVC makes for experiments."""
        return [
            process
            for process in psutil.process_iter(["name", "cmdline", "cwd"])
            if process.info["cwd"] and Path(process.info["cwd"]).is_relative_to(self.path)
        ]

    def left(self) -> list[psutil.Process]:
        """What is at work though no command is under way; a warm parent ends a moment after the one that it was for."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.processes(), seconds=20)
        return self.processes()

    def ran(self) -> list[str]:
        log = self.path / "runs.log"
        names = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return sorted(names)

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.path / file).read_text()
        assert old in text
        (self.path / file).write_text(text.replace(old, new))

    def snapshot(self) -> dict[str, tuple[int, bytes]]:
        """Time stamp and content of all files, less the logs and locks of Snakemake and DVC and Python's bytecode."""
        return {
            str(file.relative_to(self.path)): (file.stat().st_mtime_ns, file.read_bytes())
            for file in self.path.rglob("*")
            if file.is_file()
            and "__pycache__" not in file.parts
            and not file.is_relative_to(self.path / ".snakemake")
            and (
                file.is_relative_to(self.path / ".dvc/tmp/snakemake") or not file.is_relative_to(self.path / ".dvc/tmp")
            )
        }

    @property
    def clean(self) -> bool:
        return "up to date" in self.run("dvc", "status").stdout

    @property
    def nothing_to_do(self) -> bool:
        return "Nothing to be done" in self.snakemake("-n")


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def copy_of(original: Toy, path: Path) -> Iterator[Toy]:
    """A copy of its own, in which nothing may be at work at the end of the test."""
    shutil.copytree(original.path, path)
    copy = Toy(path, Path(original.env["HOME"]))
    copy.ran()
    yield copy
    left = copy.left()
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    assert not left, [process.info["cmdline"] for process in left]
