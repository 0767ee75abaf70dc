"""What all tests share: no network, one thread, a hypothesis profile without deadline, the way to the shared data."""

import copy
import gc
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings

from w2sg.contracts import progress_bars

# Before any test imports a numeric library or one that looks for a model hub.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["DVC_NO_ANALYTICS"] = "1"
progress_bars.hide()
# The commands that tests call are those of the environment that runs them, activated or not.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])

ROOT = Path(__file__).resolve().parents[1]

# The files that take longest, the longest first: so that no worker is left with one while the other is idle.
LONGEST = (
    "test_end_to_end.py",
    "upkeep/test_invalidation.py",
    "snakemake_dvc/test_chaos.py",
    "snakemake_dvc/test_races.py",
    "snakemake_dvc/test_first.py",
    "snakemake_dvc/test_pipeline.py",
    "snakemake_dvc/test_slurm.py",
    "snakemake_dvc/test_experiments.py",
    "test_add_an_environment.py",
    "test_install.py",
    "stages/test_launch.py",
    "training/test_processes.py",
    "training/test_real_model.py",
    "test_gpu_benchmark.py",
    "training/test_adapter_folders.py",
    "environments/test_scienceworld_environment.py",
    "environments/test_contract.py",
    "snakemake_dvc/test_conda.py",
    "stages/test_outside.py",
    "studies/test_grid.py",
    "snakemake_dvc/test_remotes.py",
    "test_thread_counts.py",
    "studies/test_sensitivity.py",
    "stages/test_imports.py",
)

# The same examples each time, so that a test that fails does so again; `make fuzz` is what looks for new ones.
settings.register_profile("w2sg", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("w2sg")


@pytest.hookimpl(trylast=True)  # after pytest has put tests that share a fixture side by side
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in their order of LONGEST, the others after them as they were."""
    rank = {ROOT / "tests" / name: number for number, name in enumerate(LONGEST)}
    assert all(file.is_file() for file in rank), "LONGEST names a file that is not there"
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_collection_finish() -> None:
    """No search for garbage looks at what is imported: every training asks for one, which would be most of its time."""
    gc.freeze()


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the project."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Official files of the environments, which are not ours to ship: a test that needs them is skipped without."""
    folder = Path(os.environ.get("W2SG_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data: {folder} is no folder (set W2SG_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def default_values() -> dict:
    """The content of params.yaml, read once; not to be changed."""
    return yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def values(default_values: dict) -> dict:
    """The content of params.yaml, to be changed."""
    return copy.deepcopy(default_values)


@dataclass(frozen=True)
class ResolvedStage:
    """One stage of dvc.yaml after DVC has filled in its matrix; paths are relative to the folder of the project."""

    command: str
    deps: frozenset[str]
    outs: frozenset[str]
    params: frozenset[str]


@pytest.fixture(scope="session")
def stage_table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ResolvedStage]:
    """dvc.yaml as DVC itself resolves it, for two seeds."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return resolved(values | {"seeds": [0, 7]}, folder=tmp_path_factory.mktemp("stages"))


@pytest.fixture(scope="session")
def resolve(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], dict[str, ResolvedStage]]:
    """A function: dvc.yaml as DVC itself resolves it, for these parameters."""
    return lambda values: resolved(values, folder=tmp_path_factory.mktemp("resolved"))


def resolved(values: dict[str, Any], *, folder: Path) -> dict[str, ResolvedStage]:
    """The stages by name; `folder` is empty."""
    from dvc.repo import Repo

    (folder / "params.yaml").write_text(yaml.dump(values, sort_keys=False))
    shutil.copy(ROOT / "dvc.yaml", folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DVC_SITE_CACHE_DIR", str(folder / "site"))
        with Repo.init(str(folder), no_scm=True) as repo:
            return {stage.name: _resolved(stage) for stage in repo.index.stages}


def _resolved(stage: Any) -> ResolvedStage:
    return ResolvedStage(
        command=stage.cmd,
        deps=frozenset(dep.def_path for dep in stage.deps if not hasattr(dep, "params")),
        outs=frozenset(out.def_path for out in stage.outs),
        params=frozenset(name for dep in stage.deps if hasattr(dep, "params") for name in dep.params),
    )
