"""A small project, its torch-free stages run by the real runner, in folders of their own."""

import contextlib
import hashlib
import io
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import yaml

from w2sg.config import params
from w2sg.contracts import layout
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import read_trajectories, write_trajectories
from w2sg.environments.demonstrations import play
from w2sg.environments.opener import opener
from w2sg.stages.__main__ import main
from w2sg.trees import embeddings as embedding
from w2sg.trees.merging import key_text

ROOT = Path(__file__).resolve().parents[2]
RUN = ("--environment", "alfworld", "--seed", "0")
# The default rosters and two controls of the study.
PREFERENCE = ("w2s_dpo", "random_dpo", "eto", "ceiling")
IMITATION = ("w2s_mcts", "best_of_m", "more_sft")


@dataclass(frozen=True)
class Project:
    """A folder with dvc.yaml and params.yaml."""

    path: Path

    def run(self, *words: str) -> tuple[int, list[str]]:
        """Run a stage in this process as the command line does; exit code and lines of standard error."""
        if words[0] == "tasks" and "--threads" not in words:
            words = (*words, "--threads", "2")  # as the stage table has it
        screen = io.StringIO()
        with (
            contextlib.chdir(self.path),
            patch.object(sys, "argv", ["w2sg.stages", *words]),
            patch.dict(os.environ),
            contextlib.redirect_stderr(screen),
        ):
            try:
                code = main()
            except SystemExit as error:
                code = int(str(error.code))
        return code, screen.getvalue().splitlines()

    def edit(self, **sections: dict) -> None:
        """Change values in sections of params.yaml."""
        file = self.path / "params.yaml"
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
        for section, changes in sections.items():
            values[section] |= changes
        file.write_text(yaml.safe_dump(values, sort_keys=False))

    def contents(self) -> dict[str, bytes]:
        """All files, hidden ones too."""
        files = (path for path in self.path.rglob("*") if path.is_file())
        return {str(path.relative_to(self.path)): path.read_bytes() for path in files}

    def copy(self, to: Path, *, only: frozenset[str] | None = None) -> "Project":
        """A copy with all files, or with those of the named files and folders `only`."""
        to.mkdir(parents=True, exist_ok=True)
        names = ["."] if only is None else ["dvc.yaml", "params.yaml", *only]
        for name in names:
            source = self.path / name
            if source.is_dir():
                shutil.copytree(source, to / name, dirs_exist_ok=True)
            elif source.exists():
                (to / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, to / name)
        return Project(to)


@pytest.fixture(scope="session")
def empty_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Eight tasks in the smallest rooms; nothing has run."""
    project = Project(tmp_path_factory.mktemp("empty"))
    shutil.copy(ROOT / "dvc.yaml", project.path)
    shutil.copy(ROOT / "params.yaml", project.path)
    default = yaml.safe_load((ROOT / "params.yaml").read_text())
    small = {"tasks": {"train": 4, "seen": 2, "unseen": 2}, "max_steps": 8, "max_receptacles": 3, "distractors": 1}
    small |= {"task_types": ["pick_and_place_simple"], "rooms": ["bathroom"]}
    project.edit(
        environments={"alfworld": default["environments"]["alfworld"] | small},
        experts={"tasks": 3},
        play={"episodes_per_task": 2},
        models={name: size(16) for name in ("weak", "strong")},
        explore={"samples": 4, "tasks": 3, "cohort": 5, "max_new_tokens": 12},
        tree={"breadth": 3},
        mcts={"iterations": 20},
        evaluate={"seen": 2, "unseen": 1, "cohort": 2},
        preference={"random_dpo": default["preference"]["w2s_dpo"] | {"data": "random"}},
        imitation={"best_of_m": default["imitation"]["w2s_mcts"] | {"data": "best_of_m"}},
    )
    return project


def size(hidden: int) -> dict[str, int]:
    return {"hidden": hidden, "layers": 1, "heads": 2, "feedforward": 2 * hidden}


@pytest.fixture(scope="session")
def built(empty_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """All torch-free stages have run; exploration and embeddings are stand-ins for the models' ones."""
    project = empty_project.copy(tmp_path_factory.mktemp("built"))
    for stage in ("tasks", "experts", "play"):
        assert project.run(stage, "--environment", "alfworld")[0] == 0
    with contextlib.chdir(project.path):
        explore_by_expert(params.load())
    for words in (("trees",), ("merging",), *(("pairs", "--method", method) for method in PREFERENCE)):
        assert project.run(words[0], *RUN, *words[1:]) == (0, [])
    for method in IMITATION:
        assert project.run("paths", *RUN, "--method", method) == (0, [])
    return project


def explore_by_expert(settings: params.Params) -> None:
    """Exploration by an expert that errs more with every sample, and vectors that are alike for equal texts alone."""
    train = [task for task in Task.read(layout.tasks("alfworld")) if task.split == "train"]
    world = opener("alfworld", settings)()
    for number, role in enumerate(settings.explore.roles):
        explored = []
        for task in train[-settings.explore.tasks :]:
            for sample in range(settings.explore.samples):
                rng = np.random.default_rng([100 * number + sample, *task.task_id.encode()])
                episode = play("alfworld", settings, world, task, rng=rng, expert_share=1.0 - 0.3 * sample)
                explored.append(replace(episode, policy=f"sft_{role}", sample=sample, temperature=1.0))
        write_trajectories(layout.explore("alfworld", 0, role), explored)
    world.close()
    path = layout.explore("alfworld", 0, "weak")
    texts = sorted(
        {key_text(step, merge_key=settings.tree.merge_key) for each in read_trajectories(path) for step in each.steps}
    )
    vectors = np.stack([vector(text) for text in texts])
    embedding.write_embeddings(layout.embeddings("alfworld", 0), texts, vectors)


def vector(text: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
    drawn = np.random.default_rng(seed).normal(size=16)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Iterator[Project]:
    """A copy of its own of the project that was built."""
    yield built.copy(tmp_path / "project")


@pytest.fixture
def here(trained, tmp_path, monkeypatch) -> params.Params:
    """The parameters, in a copy of the module's `trained` project that is the working folder."""
    monkeypatch.chdir(trained.copy(tmp_path / "project").path)
    return params.load()
