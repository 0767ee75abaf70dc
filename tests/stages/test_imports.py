"""Heavy libraries are loaded only where they are needed: torch takes seconds, trl and sentence-transformers more."""

import os
import subprocess
import sys

from w2sg.config.environments import NAMES
from w2sg.stages.__main__ import STAGES

TORCH_FREE = ("tasks", "experts", "play", "trees", "merging", "pairs", "paths", "report")
TRAINING = ("sft", "diversify", "preference", "imitation")


def loaded(root, *modules: str) -> set[str]:
    """The top-level packages that are loaded after the modules are imported in a fresh process."""
    script = f"import sys\nimport {', '.join(modules)}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    return set(subprocess.check_output([sys.executable, "-c", script], env=environment, text=True, timeout=300).split())


def stages(*names: str) -> list[str]:
    return [f"w2sg.stages.{name}" for name in names]


def test_stages_without_a_model_need_no_torch(root):
    parts = ("settings", "prompt", "world", "experts", "tasks")
    environments = [f"w2sg.environments.{name}.{part}" for name in NAMES for part in parts]
    found = loaded(root, *stages(*TORCH_FREE), *environments, "w2sg.trees.embeddings", "w2sg.contracts.turns")
    assert not found & {"torch", "transformers", "trl", "sentence_transformers", "dvc", "snakemake"}


def test_stages_that_do_not_train_need_no_trl(root):
    others = set(STAGES) - set(TORCH_FREE) - set(TRAINING) - {"embed"}
    found = loaded(root, *stages(*sorted(others)))
    assert "torch" in found
    assert not found & {"trl", "sentence_transformers", "dvc", "snakemake"}


def test_training_and_embedding_keep_apart(root):
    assert "sentence_transformers" not in loaded(root, *stages(*TRAINING))
    assert "trl" not in loaded(root, *stages("embed"))


def test_the_runner_sets_the_threads_before_any_numeric_library(root):
    assert not loaded(root, "w2sg.stages.__main__") & {"numpy", "pyarrow", "torch", "pandas"}


def test_a_run_imports_nothing_that_only_tests_install(root):
    found = loaded(root, *stages(*sorted(STAGES)), "w2sg.commands.doctor", "w2sg.commands.play", *everything(root))
    assert {"alfworld", "py4j"} <= found
    assert not found & {"textworld", "fast_downward", "jericho", "tatsu", "spacy", "pytest", "moto"}


def everything(root) -> list[str]:
    """All modules of the environments."""
    paths = sorted((root / "src/w2sg/environments").rglob("*.py"))
    return [".".join(path.relative_to(root / "src").with_suffix("").parts).removesuffix(".__init__") for path in paths]
