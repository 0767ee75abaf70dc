"""An environment whose settings.py is broken: its own section is refused in one line, the others work."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The sources with another environment's folder, and the parameters."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (tmp_path / "src/w2sg/environments/tictactoe").mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def stage(work: Path) -> subprocess.CompletedProcess[str]:
    """Run a stage up to where it reads its options, which lack one."""
    command = [sys.executable, "-m", "w2sg.stages", "tasks"]
    environment = os.environ | {"PYTHONPATH": str(work / "src")}
    return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Setting = 1\n", "no class Settings(EnvironmentSettings)"),
        ("class Settings:\n    pass\n", "no class Settings(EnvironmentSettings)"),
        ("import nothing_of_this_name\n", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        (
            "from w2sg.config.fields import EnvironmentSettings as Base\n\n\nclass Settings(Base):\n    size: int\n",
            "TypeError: a key must not be named size: DVC's run cache does not see a change of it",
        ),
        ("class Settings(:\n", "SyntaxError: invalid syntax (settings.py, line 1)"),
    ],
)
def test_its_section_is_refused_in_one_line(work: Path, text: str, problem: str) -> None:
    (work / "src/w2sg/environments/tictactoe/settings.py").write_text(text)
    without = stage(work)
    assert (without.returncode, without.stderr) == (
        2,
        "tasks: dvc.yaml: meta.threads is 2; the command must end with --threads 2\n",
    )
    values = yaml.safe_load((work / "params.yaml").read_text())
    values["environments"]["tictactoe"] = {"prompt": "plain"}
    (work / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    found = stage(work)
    expected = (
        f"params.yaml: environments.tictactoe: cannot be used: w2sg/environments/tictactoe/settings.py: {problem}"
    )
    assert (found.returncode, found.stderr.strip().removeprefix("tasks: ")) == (2, expected)
