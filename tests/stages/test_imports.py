"""Heavy libraries are loaded only where they are needed: torch takes seconds, trl and sentence-transformers more."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable

import pytest

from w2sg.config.environments import NAMES
from w2sg.stages.__main__ import STAGES

TORCH_FREE = ("tasks", "experts", "play", "trees", "merging", "pairs", "paths", "report")
TRAINING = ("sft", "diversify", "preference", "imitation")
TORCH_USERS = tuple(sorted(set(STAGES) - set(TORCH_FREE) - set(TRAINING) - {"embed"}))


# Prints the top-level packages that are loaded after each step, in which some modules are imported; `fork` is a step of
# a child alone.
SCRIPT = """
import json, os, sys
from importlib import import_module

def take(names):
    for name in names:
        import_module(name)
    print(*sorted({name.split(".")[0] for name in sys.modules}), flush=True)

for kind, names in json.loads(sys.argv[1]):
    if kind == "go on":
        take(names)
    elif os.fork() == 0:
        take(names)
        os._exit(0)
    elif os.wait()[1]:
        sys.exit(1)
"""


def loaded(root, *steps: tuple[str, Iterable[str]]) -> list[set[str]]:
    """What a fresh process has loaded after each step."""
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    command = [sys.executable, "-c", SCRIPT, json.dumps(steps)]
    lines = subprocess.check_output(command, env=environment, text=True, timeout=300).splitlines()
    return [set(line.split()) for line in lines]


def stages(*names: str) -> list[str]:
    return [f"w2sg.stages.{name}" for name in names]


@pytest.fixture(scope="module")
def light(root) -> list[set[str]]:
    """What is loaded after the runner, and then what needs no torch."""
    parts = ("settings", "prompt", "world", "experts", "tasks")
    environments = [f"w2sg.environments.{name}.{part}" for name in NAMES for part in parts]
    free = [*stages(*TORCH_FREE), *environments, "w2sg.trees.embeddings", "w2sg.contracts.turns"]
    return loaded(root, ("go on", ["w2sg.stages.__main__"]), ("go on", free))


@pytest.fixture(scope="module")
def heavy(root) -> dict[str, set[str]]:
    """What is loaded after what needs no adapters, what needs no trl, what trains (apart), what embeds, and all."""
    everywhere = [*stages(*sorted(STAGES)), "w2sg.commands.doctor", "w2sg.commands.play", *everything(root)]
    steps = {
        "models": ("go on", ["w2sg.training.bases", "w2sg.training.reference"]),
        "users": ("go on", stages(*TORCH_USERS)),
        "training": ("fork", stages(*TRAINING)),
        "embedding": ("go on", stages("embed")),
        "all": ("go on", everywhere),
    }
    return dict(zip(steps, loaded(root, *steps.values()), strict=True))


def test_the_runner_sets_the_threads_before_any_numeric_library(light):
    assert not light[0] & {"numpy", "pyarrow", "torch", "pandas"}


def test_stages_without_a_model_need_no_torch(light):
    assert not light[1] & {"torch", "transformers", "trl", "sentence_transformers", "dvc", "snakemake"}


@pytest.mark.slow
def test_a_model_without_adapters_needs_no_peft(heavy):
    assert "torch" in heavy["models"]
    assert not heavy["models"] & {"trl", "peft"}


@pytest.mark.slow
def test_stages_that_do_not_train_need_no_trl(heavy):
    assert not heavy["users"] & {"trl", "sentence_transformers", "dvc", "snakemake"}


@pytest.mark.slow
def test_training_and_embedding_keep_apart(heavy):
    assert "trl" in heavy["training"] and "sentence_transformers" not in heavy["training"]
    assert "trl" not in heavy["embedding"]


@pytest.mark.slow
def test_a_run_imports_nothing_that_only_tests_install(heavy):
    assert {"alfworld", "py4j"} <= heavy["all"]
    assert not heavy["all"] & {"textworld", "fast_downward", "jericho", "tatsu", "spacy", "pytest", "moto"}


def everything(root) -> list[str]:
    """All modules of the environments."""
    paths = sorted((root / "src/w2sg/environments").rglob("*.py"))
    return [".".join(path.relative_to(root / "src").with_suffix("").parts).removesuffix(".__init__") for path in paths]
