"""docs/add_an_environment.md, followed to the letter."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/add_an_environment.md").read_text(encoding="utf-8")


def new_files() -> dict[str, str]:
    """Path and text of the files that the page shows."""
    return {
        path: text for path, text in re.findall(r"^`(src/\S+)`\n```python\n(.*?)```$", PAGE, re.MULTILINE | re.DOTALL)
    }


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


@pytest.fixture
def followed(tmp_path: Path) -> Path:
    """A copy of the project with everything done that the page says."""
    folder = tmp_path / "project"
    command = [sys.executable, "workflow/studies/workspace.py", "params.yaml", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    for path, text in new_files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    for path, old, new in changes():
        text = (folder / path).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path} has other lines than the page shows:\n{old}"
        (folder / path).write_text(text.replace(old, new), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_the_page(followed: Path) -> None:
    (commands,) = re.findall(r"^```\n(.*?)```$", PAGE.partition("\n## 5. ")[2], re.MULTILINE | re.DOTALL)
    assert len(new_files()) == 7 and "snakemake" in commands
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(followed / "src")}
    printed = ""
    for command in commands.splitlines():
        program = (
            [sys.executable, "-m", "w2sg.commands", *command.split()[1:]]
            if command.startswith("w2sg ")
            else command.split()
        )
        done = subprocess.run(program, cwd=followed, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        printed += done.stdout
    assert re.search(r"\b\d+ passed", printed), "the contract was tested"
    assert printed.rstrip().endswith("score 1"), "the expert of the page has played"
    play = pd.read_parquet(followed / "data/play/corridor.parquet")
    assert 0 < play.groupby(["task_id", "sample"]).score.last().mean() < 1


@pytest.mark.slow
def test_the_code_of_the_page_is_as_tidy_as_the_rest(followed: Path) -> None:
    for check in ("ruff check src", "ruff format --check src/w2sg/environments/corridor"):
        done = subprocess.run([sys.executable, "-m", *check.split()], cwd=followed, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
