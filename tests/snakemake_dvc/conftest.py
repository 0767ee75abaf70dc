"""The toy pipeline, as it is and as it has been built, for the tests to copy."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from toys import Toy, copy_of

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def fresh_toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Committed to git, never run."""
    toy = Toy(tmp_path_factory.mktemp("fresh") / "toy", tmp_path_factory.mktemp("home"))
    shutil.copytree(HERE / "toy", toy.path)
    (toy.path / "pipeline.yaml").rename(toy.path / "dvc.yaml")
    shutil.copy(ROOT / "Snakefile", toy.path)
    shutil.copytree(ROOT / "profiles", toy.path / "profiles")
    package = "src/snakemake_dvc"
    shutil.copytree(ROOT / package, toy.path / package, ignore=shutil.ignore_patterns("__pycache__"))
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
