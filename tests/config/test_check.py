"""`python -m w2sg.config`, which Snakemake's plan and `w2sg run` ask, says what a stage would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .keys import ROOT


def asked(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "w2sg.config"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_what_is_right_is_passed_in_silence() -> None:
    done = asked(ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_stage_table_asks_it() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert [entry["meta"]["check"] for entry in stages.values() if "check" in entry.get("meta", {})] == [
        "PYTHONPATH=src python -m w2sg.config"
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seeds: [0]", "seeds: &s [0]\nx: *s", "has aliases (*name), whose values `dvc exp run -S` cannot set;"),
        ("seeds: [0]", "seeds: []", "seeds: is empty; give at least one"),
        ("breadth: 6", "breadth: six", "tree.breadth: input should be a valid integer (found 'six')"),
        ("breadth: 6", "breadth: 6\n  broad: 6", "tree.broad: unknown key; allowed here: breadth, "),
    ],
)  # fmt: skip
def test_what_a_stage_refuses_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    (tmp_path / "params.yaml").write_text(text.replace(old, new))
    done = asked(tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"params.yaml: {said}")
