"""Heavy libraries are loaded only where they are needed: torch takes seconds, trl and sentence-transformers more."""

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


def loaded(root, *steps: Iterable[str]) -> list[set[str]]:
    """The top-level packages that a fresh process has loaded after each step, in which it imports some modules."""
    script = "\n".join(
        f"import {', '.join(modules)}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
        for modules in steps
    )
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    command = [sys.executable, "-c", f"import sys\n{script}"]
    lines = subprocess.check_output(command, env=environment, text=True, timeout=300).splitlines()
    return [set(line.split()) for line in lines]


def stages(*names: str) -> list[str]:
    return [f"w2sg.stages.{name}" for name in names]


@pytest.fixture(scope="module")
def light(root) -> list[set[str]]:
    """What is loaded after the runner, then what needs no torch, no adapters, no trl, and then what trains."""
    parts = ("settings", "prompt", "world", "experts", "tasks")
    environments = [f"w2sg.environments.{name}.{part}" for name in NAMES for part in parts]
    free = [*stages(*TORCH_FREE), *environments, "w2sg.trees.embeddings", "w2sg.contracts.turns"]
    models = ["w2sg.training.bases", "w2sg.training.reference"]
    return loaded(root, ["w2sg.stages.__main__"], free, models, stages(*TORCH_USERS), stages(*TRAINING))


@pytest.fixture(scope="module")
def whole(root) -> list[set[str]]:
    """What is loaded after the stage that embeds, then every stage, every environment and the commands."""
    everywhere = [*stages(*sorted(STAGES)), "w2sg.commands.doctor", "w2sg.commands.play", *everything(root)]
    return loaded(root, stages("embed"), everywhere)


def test_the_runner_sets_the_threads_before_any_numeric_library(light):
    assert not light[0] & {"numpy", "pyarrow", "torch", "pandas"}


def test_stages_without_a_model_need_no_torch(light):
    assert not light[1] & {"torch", "transformers", "trl", "sentence_transformers", "dvc", "snakemake"}


def test_a_model_without_adapters_needs_no_peft(light):
    assert "torch" in light[2]
    assert not light[2] & {"trl", "peft"}


def test_stages_that_do_not_train_need_no_trl(light):
    assert not light[3] & {"trl", "sentence_transformers", "dvc", "snakemake"}


def test_training_and_embedding_keep_apart(light, whole):
    assert "trl" in light[4] and "sentence_transformers" not in light[4]
    assert "trl" not in whole[0]


def test_a_run_imports_nothing_that_only_tests_install(whole):
    assert {"alfworld", "py4j"} <= whole[1]
    assert not whole[1] & {"textworld", "fast_downward", "jericho", "tatsu", "spacy", "pytest", "moto"}


def everything(root) -> list[str]:
    """All modules of the environments."""
    paths = sorted((root / "src/w2sg/environments").rglob("*.py"))
    return [".".join(path.relative_to(root / "src").with_suffix("").parts).removesuffix(".__init__") for path in paths]
