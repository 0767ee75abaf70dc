"""The toy pipeline, as it is and as it has been built, for the tests to copy."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from toys import Toy, copy_of

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


def shared(name: str, factory: pytest.TempPathFactory, make: Callable[[Path], object]) -> Path:
    """A folder that the first worker to ask for it makes, for all workers of this run of pytest."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder.with_suffix(".made")
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            made.touch()
    return folder


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toys' home."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def fresh_toy(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Committed to git, never run."""

    def make(folder: Path) -> None:
        toy = Toy(folder, home)
        shutil.copytree(HERE / "toy", folder)
        (folder / "pipeline.yaml").rename(folder / "dvc.yaml")
        shutil.copy(ROOT / "Snakefile", folder)
        shutil.copytree(ROOT / "profiles", folder / "profiles")
        package = "src/snakemake_dvc"
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / ".gitignore").write_text("/.snakemake/\n/logs/\n/runs.log\n/block-*\n/fail-*\n__pycache__/\n")
        toy.run("git", "init", "--quiet")
        toy.run("dvc", "init", "--quiet")
        toy.run("git", "add", "--all")
        toy.run("git", "commit", "--quiet", "--message", "toy")

    return Toy(shared("fresh-toy", tmp_path_factory, make), home)


@pytest.fixture(scope="session")
def done_toy(fresh_toy: Toy, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Built once by Snakemake with four jobs at a time."""

    def make(folder: Path) -> None:
        shutil.copytree(fresh_toy.path, folder)
        said = Toy(folder, home).snakemake()
        folder.with_suffix(".log").write_text(said)

    folder = shared("done-toy", tmp_path_factory, make)
    toy = Toy(folder, home)
    toy.log = folder.with_suffix(".log").read_text()
    return toy


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
