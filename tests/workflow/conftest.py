"""A toy pipeline in a temporary git and DVC repository, driven by the real commands."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
sys.path.insert(0, str(ROOT / "workflow"))


class Toy:
    """The repository at `path`. Stages that ran since one last asked are in `ran()`."""

    def __init__(self, path: Path, home: Path) -> None:
        self.path = path
        self.env = {
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
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

    def start(self, *command: str, screen: str) -> subprocess.Popen[str]:
        """The command in a session of its own, under way; its output goes to the file `screen` in logs/."""
        (self.path / "logs").mkdir(exist_ok=True)
        with open(self.path / "logs" / screen, "w") as file:
            return subprocess.Popen(
                command, cwd=self.path, env=self.env, text=True, stdout=file, stderr=file, start_new_session=True
            )

    def processes(self) -> list[psutil.Process]:
        """All that are at work in the repository, and in the copies below it that DVC makes for experiments."""
        return [
            process
            for process in psutil.process_iter(["name", "cmdline", "cwd"])
            if process.info["cwd"] and Path(process.info["cwd"]).is_relative_to(self.path)
        ]

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
        """Time stamp and content of all files, less the logs and locks of Snakemake and DVC."""
        return {
            str(file.relative_to(self.path)): (file.stat().st_mtime_ns, file.read_bytes())
            for file in self.path.rglob("*")
            if file.is_file()
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


@pytest.fixture(scope="session")
def fresh_toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Committed to git, never run."""
    toy = Toy(tmp_path_factory.mktemp("fresh") / "toy", tmp_path_factory.mktemp("home"))
    shutil.copytree(HERE / "toy", toy.path)
    (toy.path / "pipeline.yaml").rename(toy.path / "dvc.yaml")
    shutil.copy(ROOT / "Snakefile", toy.path)
    shutil.copytree(ROOT / "profiles", toy.path / "profiles")
    (toy.path / "workflow").mkdir()
    for module in (ROOT / "workflow").glob("dvc_*.py"):
        shutil.copy(module, toy.path / "workflow")
    (toy.path / ".gitignore").write_text("/.snakemake/\n/logs/\n/runs.log\n/block-*\n/fail-*\n__pycache__/\n")
    toy.run("git", "init", "--quiet")
    toy.run("dvc", "init", "--quiet")
    toy.run("git", "add", "--all")
    toy.run("git", "commit", "--quiet", "--message", "toy")
    return toy


@pytest.fixture(scope="session")
def done_toy(fresh_toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Built once by Snakemake with four jobs at a time."""
    toy = Toy(tmp_path_factory.mktemp("done") / "toy", Path(fresh_toy.env["HOME"]))
    shutil.copytree(fresh_toy.path, toy.path)
    toy.log = toy.snakemake()
    return toy


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
    left = copy.processes()
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    assert not left


@pytest.fixture
def toy(done_toy: Toy, tmp_path: Path) -> Iterator[Toy]:
    """A toy that has been built."""
    yield from copy_of(done_toy, tmp_path / "toy")


@pytest.fixture
def unbuilt(fresh_toy: Toy, tmp_path: Path) -> Iterator[Toy]:
    """A toy that never ran."""
    yield from copy_of(fresh_toy, tmp_path / "toy")


@pytest.fixture
def here(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The built toy as the working folder of this process."""
    monkeypatch.chdir(toy.path)
    for key, value in toy.env.items():
        monkeypatch.setenv(key, value)
    return toy
