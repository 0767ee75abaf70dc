"""docs/add_an_environment.md, followed to the letter."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from w2sg.commands import __main__ as cli
from w2sg.config.environments import FOLDER
from w2sg.config.overlays import merged

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/add_an_environment.md").read_text(encoding="utf-8")

# The tests of what reads every environment: parameters, presets, digests of the source, hostile inputs.
CONCERNED = (
    "tests/config/test_models.py", "tests/config/test_params.py", "tests/environments/test_parts.py",
    "tests/fuzz/test_fuzz.py", "tests/stages/test_digests.py", "tests/upkeep/test_presets.py", "tests/test_twin_gpu.py",
)  # fmt: skip


def changes() -> list[tuple[str, str, str]]:
    """Path, old lines and new lines of every change that the page shows."""
    found = []
    (diff,) = re.findall(r"^```diff\n(.*?)```$", PAGE, re.MULTILINE | re.DOTALL)
    for part in re.split(r"^--- a/\S+\n\+\+\+ b/", diff, flags=re.MULTILINE)[1:]:
        path, _, hunks = part.partition("\n")
        for hunk in hunks.split("@@ @@\n")[1:]:
            lines = hunk.splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if line[0] in " -")
            new = "".join(line[1:] for line in lines if line[0] in " +")
            found.append((path, old, new))
    return found


def commands(section: str) -> list[list[str]]:
    """The command lines in a section of the page, as they are run here."""
    text = PAGE.partition(f"\n## {section}. ")[2]
    (block,) = re.findall(r"^```\n(.*?)```$", text.partition("\n## ")[0], re.MULTILINE | re.DOTALL)
    here = {"w2sg": [sys.executable, "-m", "w2sg.commands"], "python": [sys.executable]}
    return [[*here.get(line.split()[0], line.split()[:1]), *line.split()[1:]] for line in block.splitlines()]


def run(command: list[str], folder: Path) -> str:
    """What it prints; it must succeed."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(folder / "src")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the folder written and the section added, as the page says."""
    folder = tmp_path_factory.mktemp("followed") / "project"
    command = [sys.executable, "workflow/studies/workspace.py", "params.yaml", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    (command,) = commands("1")
    printed = run(command, folder)
    ((path, old, new),) = changes()
    assert path == "params.yaml", "no core file is edited"
    added = "".join(line for line in new.splitlines(keepends=True) if line not in old.splitlines(keepends=True))
    assert added in printed, "the command prints the section that the page shows"
    text = (folder / path).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} has other lines than the page shows:\n{old}"
    (folder / path).write_text(text.replace(old, new), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_the_page(followed: Path) -> None:
    printed = "".join(run(command, followed) for command in commands("4"))
    assert re.search(r"\b\d+ passed", printed), "the contract was tested"
    assert printed.rstrip().endswith("score 1"), "the expert of the page has played"
    play = pd.read_parquet(followed / "data/play/corridor.parquet")
    assert 0 < play.groupby(["task_id", "sample"]).score.last().mean() < 1


@pytest.mark.slow
def test_the_other_tests_pass_as_they_are(followed: Path) -> None:
    run([sys.executable, "-m", "pytest", "-q", "-m", "not slow", *CONCERNED], followed)


@pytest.mark.slow
def test_what_the_run_has_the_study_has_and_no_preset(followed: Path) -> None:
    def environments(name: str) -> set[str]:
        return set(merged(followed / f"params/{name}.yaml").values["environments"])

    assert environments("smoke") == environments("twin") == {"alfworld"}
    assert environments("recommended") == {"alfworld", "scienceworld", "webshop"}
    assert "corridor" in environments("study")


@pytest.mark.slow
def test_the_new_folder_is_as_tidy_as_the_rest(followed: Path) -> None:
    package = "src/w2sg/environments/corridor"
    for check in ("ruff check src", f"ruff format --check {package}", "mypy -p w2sg.environments.corridor"):
        run([sys.executable, "-m", *check.split()], followed)


@pytest.mark.parametrize("name", ["alfworld", "opener", "Corridor", "two-words", "1st", "../there", "class"])
def test_a_name_that_cannot_be_is_refused(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(FOLDER.iterdir())
    monkeypatch.setattr("sys.argv", ["w2sg", "new-environment", name])
    assert cli.main() == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("w2sg new-environment: ") and name in complaint and complaint.count("\n") == 1
    assert sorted(FOLDER.iterdir()) == before
