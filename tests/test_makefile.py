"""What make runs for what it is given, and what it refuses: `make -n`, which runs nothing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with this project's Makefile."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("requirements.lock", "requirements-cuda.lock", "requirements-test.lock", "pyproject.toml"):
        (folder / name).touch()
    return folder


def make(project: Path, *words: str, **given: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--dry-run", *words]
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | given
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)


STUDY, MAP = "workflow/studies/study.py", "workflow/studies/regime_map.py"


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        (["study"], f"{STUDY} study --cores all"),
        (["study", "SEEDS=2 3", "POOL=0"], f"{STUDY} study --seeds 2 3 --cores all"),
        (["study", "STUDY=dose", "POOL=1"], f"{STUDY} dose --pool --cores all"),
        (["map", "SEEDS=2", "POOL=no"], f'{MAP} --run "." --seeds 2 --cores all'),
        (["map", "POOL=1", "RUN=.study"], f'{MAP} --run ".study" --pool --cores all'),
        (["iterate", "SEEDS=0"], 'workflow/studies/iterate.py --run "." --seeds 0 --cores all'),
        (["run"], "published.py fetch"),
        (["run", "SCRATCH=0"], "published.py fetch"),
        (["run", "SCRATCH="], "published.py fetch"),
        (["run", "SCRATCH=1"], "published.py compare .scratch"),
        (["twin"], "cd .twin && snakemake --cores 2"),
        (["twin", "TWIN=twin_smoke", "CORES=1"], "cd .twin_smoke && snakemake --cores 1"),
        (["fuzz", "SEED=2"], "-m fuzz 2000 --seed 2"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_given_is_handed_on(project: Path, words: list[str], runs: str) -> None:
    done = make(project, *words)
    assert done.returncode == 0, done.stderr
    assert any(" ".join(line.split()).endswith(runs) for line in done.stdout.splitlines()), done.stdout
    assert ("workspace.py params.yaml .scratch" in done.stdout) == ("SCRATCH=1" in words)


def test_what_is_played_without_it_is_refused(project: Path) -> None:
    """On the command line; a shell may have a variable of that name for something else."""
    for words, why in (
        (["run", "SEEDS=1"], "SEEDS=1: make run does not take it; it is of make study iterate map"),
        (["credit", "POOL=1"], "POOL=1: make credit does not take it; it is of make study map"),
        (["grid", "RUN=.study"], "RUN=.study: make grid does not take it; it is of make iterate map credit"),
        (["study", "SCRATCH=1"], "SCRATCH=1: make study does not take it; it is of make run"),
        (["check", "N=3"], "N=3: make check does not take it; it is of make fuzz"),
        (["STUDY=dose"], "STUDY=dose: make install does not take it; it is of make study"),
    ):
        done = make(project, *words)
        assert done.returncode == 2 and why in done.stderr, done.stderr
        given = dict(word.split("=") for word in words if "=" in word)
        assert make(project, *(word for word in words if "=" not in word), **given).returncode == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["study", "SEED=2"], 'SEED=2: make study takes SEEDS="2 3"; SEED is of make fuzz'),
        (["iterate", "SEED=2"], 'SEED=2: make iterate takes SEEDS="2 3"'),
        (["map", "SEED="], 'SEED=: make map takes SEEDS="2 3"'),
        (["study", "SEEDS= "], "SEEDS= is empty: give it a value, or leave it out"),
        (["map", "SEEDS="], "SEEDS= is empty"),
        (["study", "STUDY="], "STUDY= is empty"),
        (["iterate", "RUN="], "RUN= is empty"),
        (["map", "POOL=1", "SEEDS=2"], "POOL=1 plays nothing and SEEDS=2 is what to play: give one of the two"),
        (["study", "POOL=1", "SEEDS=2"], "POOL=1 plays nothing"),
        (["iterate", "POOL=1"], "POOL=1 is of make study and make map"),
        (["run", "CORES=0"], "CORES=0: give a number from 1, or all"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_would_play_something_else_is_refused(project: Path, words: list[str], why: str) -> None:
    for done in (make(project, *words), make(project, words[0], **dict(word.split("=") for word in words[1:]))):
        (line,) = done.stderr.splitlines()
        assert done.returncode == 2 and why in line, line
