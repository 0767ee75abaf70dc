"""Two processes train the model that one trains, and one of them writes it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from trl import SFTConfig

from w2sg.contracts import files, processes
from w2sg.contracts.files import read_json
from w2sg.training.trainer_setup import on_one_device, trainer_arguments

from . import side_by_side
from .side_by_side import CASES

# PEFT 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """Folder of all cases, of this process alone."""
    one = tmp_path_factory.mktemp("one")
    side_by_side.main(one)
    return one


@pytest.fixture(scope="module", params=["whole", "split"])
def trained(request, alone: Path, tmp_path_factory) -> tuple[Path, Path]:
    """Folders of all cases: of this process alone, and of two that have all weights each, or half of them."""
    two = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "tests.training.side_by_side", str(two)]
    command += ["--split"] if request.param == "split" else []
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}, capture_output=True,
        text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr.count("sft: step 3 of 3, loss") == 1, "one process speaks"
    return alone, two


@pytest.mark.slow
@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda case: f"{CASES[case][0]} {case}")
def test_two_processes_give_the_weights_of_one(trained, case: int) -> None:
    one, two = (torch.load(folder / str(case) / "weights.pt") for folder in trained)
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-5, rtol=0.0)
    logs = [read_json(folder / str(case) / "log.json") for folder in trained]
    assert len(logs[0]) >= 2
    for row, other in zip(*logs, strict=True):
        assert other == pytest.approx(row, abs=1e-5)


def test_a_process_is_alone_unless_a_launcher_says_otherwise(monkeypatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RANK", "3")  # some cluster's own
    assert (processes.count(), processes.number(), processes.first()) == (1, 0, True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert (processes.count(), processes.number(), processes.first()) == (4, 3, False)


def test_only_the_first_process_writes(monkeypatch, tmp_path) -> None:
    files.write_text(tmp_path / "told", "before")
    for name, value in {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    files.write_text(tmp_path / "told", "after")
    files.write_text(tmp_path / "new", "after")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_a_batch_is_not_spread_over_the_gpus_in_sight(optimization, tmp_path) -> None:
    settings = SFTConfig(**trainer_arguments(optimization, rows=4, folder=str(tmp_path), seed=0))
    assert settings.n_gpu <= 1
    settings._n_gpu = 4
    assert on_one_device(settings).n_gpu == 1
