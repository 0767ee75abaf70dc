"""How far paths say what the expert says."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from played import NAME, play, project

import thoughts
from evaluation.builders import path_of, trajectory
from w2sg.contracts import layout
from w2sg.contracts.paths import DemonstrationPath


def test_turns_are_compared_up_to_the_first_other_action() -> None:
    """Four turns: two act as the expert, of which one thinks as it does; the last would, after another one."""
    expert = trajectory(["look", "go", "take", "put"])
    look, go, take, put = (step.response for step in expert.steps)
    said = [look, go.replace(expert.steps[1].thought, "another"), take.replace("take", "open"), put]
    steps = [replace(step, response=turn) for step, turn in zip(expert.steps, said, strict=True)]
    assert thoughts.agreement(path_of(replace(expert, steps=tuple(steps))), expert) == (4, 2, 1)
    assert thoughts.agreement(path_of(expert), expert) == (4, 4, 4)
    garbled = replace(path_of(expert), messages=[*path_of(expert).messages[:3], {"role": "assistant", "content": "?"}])
    assert thoughts.agreement(garbled, expert)[1:] == (1, 1)
    longer = path_of(trajectory(["look", "go", "take", "put", "put"]))
    assert thoughts.agreement(longer, expert) == (5, 4, 4)


def test_the_table_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = play(project(tmp_path / "run"), [0])
    monkeypatch.setattr(sys, "argv", ["thoughts.py", str(folder)])
    assert thoughts.main() == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 3 and out[2].startswith("| ALFWorld | 0 | 1 |")
    monkeypatch.setattr(sys, "argv", ["thoughts.py", str(folder), "--method", "best"])
    assert thoughts.main() == 2
    assert "--method best: params.yaml has w2s_mcts" in capsys.readouterr().err
    DemonstrationPath.write(folder / layout.paths(NAME, 0, "w2s_mcts"), [])
    monkeypatch.setattr(sys, "argv", ["thoughts.py", str(folder)])
    assert thoughts.main() == 0
    assert capsys.readouterr().out.splitlines()[2] == "| ALFWorld | 0 | 0 | 0 | – | – |"


@pytest.mark.parametrize(
    ("where", "code", "said"),
    [
        ("> /dev/full", 2, "thoughts: standard output: no space left on device; make room\n"),
        ("| (exec 0<&-; sleep 2)", 0, ""),
    ],
)
def test_where_the_table_cannot_be_written(tmp_path: Path, where: str, code: int, said: str) -> None:
    folder = play(project(tmp_path / "run"), [0])
    command = f"set -o pipefail; {sys.executable} {thoughts.__file__} {folder} {where}"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)
