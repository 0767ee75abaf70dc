"""`gpu: 2` in a training stage's meta: two processes, the weights of one, one line for the user."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from w2sg.config import params
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError
from w2sg.contracts.files import read_json
from w2sg.contracts.trajectories import read_trajectories
from w2sg.environments.prompts import prompt
from w2sg.stages import launch
from w2sg.training import bases
from w2sg.training.tokenizer import train_tokenizer

from .conftest import Project

WORDS = ("sft", "--environment", "alfworld", "--seed", "0", "--role", "weak")
MODEL, LOG = layout.sft("alfworld", 0, "weak"), layout.log("sft", "alfworld-0-weak")


@pytest.fixture(scope="module")
def alone(built: Project, tmp_path_factory) -> Project:
    """Experts, a base to start from, and what one process made of it."""
    project = built.copy(tmp_path_factory.mktemp("alone") / "project")
    with contextlib.chdir(project.path):
        settings = params.load()
        text = prompt("alfworld", style=settings.environment("alfworld").prompt)
        experts = [each.messages(prompt=text) for each in read_trajectories(layout.experts("alfworld"))]
        texts = [message["content"] for messages in experts for message in messages]
        tokenizer: PreTrainedTokenizerFast = train_tokenizer(texts, vocabulary=400, context=1024)
        base = bases.create(settings.models.weak, tokenizer=tokenizer, context=1024, seed=0)
        bases.save(base, tokenizer, layout.base(0, "weak"))
    optimization = settings.sft.optimization.model_dump() | {"epochs": 2, "batch": 2, "precision": "fp32"}
    project.edit(sft={"optimization": optimization})
    assert project.run(*WORDS)[0] == 0
    return project


@pytest.fixture
def ready(alone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it as the working folder, without what was made."""
    project = alone.copy(tmp_path / "project")
    monkeypatch.chdir(project.path)
    shutil.rmtree(MODEL)
    LOG.unlink()
    return project


def run(project, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    return subprocess.run(
        [sys.executable, "-m", "w2sg.stages", *words],
        cwd=project.path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def ask_for_two(project) -> None:
    table = yaml.safe_load((project.path / "dvc.yaml").read_text())
    table["stages"]["sft"]["meta"] = {"gpu": 2}
    (project.path / "dvc.yaml").write_text(yaml.safe_dump(table))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [None, "MULTI_GPU", "FSDP"], ids=["torch", "accelerate", "split"])
def test_two_processes_write_the_model_of_one(alone, ready, root, kind: str | None) -> None:
    """Without a GPU accelerate splits nothing; what it does where it would is in tests/training/test_processes.py."""
    one, log = load_file(alone.path / MODEL / "model.safetensors"), read_json(alone.path / LOG)
    ask_for_two(ready)
    if kind:
        settings = {"compute_environment": "LOCAL_MACHINE", "distributed_type": kind, "mixed_precision": "no"}
        settings |= {"fsdp_config": {"fsdp_version": 2}} if kind == "FSDP" else {}
        (ready.path / "accelerate.yaml").write_text(yaml.safe_dump(settings))
    done = run(ready, root, *WORDS, "--gpu", "2")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("sft: step ") == 1, "one process speaks"
    together = load_file(MODEL / "model.safetensors")
    assert together.keys() == one.keys()
    for name, value in together.items():
        torch.testing.assert_close(value, one[name], atol=1e-5, rtol=0.0)
    assert [row["loss"] for row in read_json(LOG)] == pytest.approx([row["loss"] for row in log], abs=1e-5)
    assert not [path for path in MODEL.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_a_users_mistake_is_one_line_from_two_processes(ready, root) -> None:
    ask_for_two(ready)
    (layout.base(0, "weak") / "config.json").unlink()
    before = ready.contents()
    done = run(ready, root, *WORDS, "--gpu", "2")
    assert done.returncode == 2
    device, line = done.stderr.splitlines()
    assert device == "sft: torch sees no GPU; 2 processes share the processor"
    assert line.startswith(f"sft: {layout.base(0, 'weak')}: ")
    assert ready.contents() == before


def test_the_number_of_gpus_is_part_of_the_command(ready, root) -> None:
    assert run(ready, root, *WORDS, "--gpu", "2").stderr == (
        "sft: dvc.yaml: meta.gpu is 1; the command must end with --gpu 1\n"
    )
    ask_for_two(ready)
    done = run(ready, root, *WORDS)
    assert done.returncode == 2
    assert done.stderr == "sft: dvc.yaml: meta.gpu is 2; the command must end with --gpu 2\n"


def test_fewer_gpus_than_asked_for_are_told(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match=r"^dvc\.yaml: meta\.gpu is 4, and this machine has 1 GPUs$"):
        launch.side_by_side(WORDS, count=4)
