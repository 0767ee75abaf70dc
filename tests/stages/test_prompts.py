"""What an agent is told before a task: whoever learns reads it, and whoever plays is told it.

The default's `prompt: short` is no text at all, with which a stage that forgot it would do as well.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from w2sg.config import params
from w2sg.config.data import Diversity
from w2sg.contracts import layout
from w2sg.contracts.messages import Message
from w2sg.contracts.pairs import Pair
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.trajectories import read_trajectories
from w2sg.environments.prompts import prompt
from w2sg.stages import diversify, imitation, pretrain, sft, theorem
from w2sg.training import bases, copying, exploration, tokenizer
from w2sg.training import sft as training

from .conftest import RUN, Project

TEXT = prompt("alfworld", style="paper")


@pytest.fixture
def told(built: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose environment has the paper's prompt, in which the test is."""
    project = built.copy(tmp_path / "project")
    values = yaml.safe_load((project.path / "params.yaml").read_text())
    project.edit(environments={"alfworld": values["environments"]["alfworld"] | {"prompt": "paper"}})
    monkeypatch.chdir(project.path)
    return project


def opens(messages: list[Message]) -> bool:
    return messages[0]["role"] == "user" and messages[0]["content"].startswith(f"{TEXT}\n")


def test_there_is_something_to_forget() -> None:
    assert len(TEXT) > 100


@pytest.mark.parametrize("kind", ["tree", "random", "eto", "ceiling", "expert"])
def test_pairs(told: Project, kind: str) -> None:
    entry = {"init": "sft_strong", "data": kind, "reference": "sft_weak", "pairs": None, "dpo": None}
    told.edit(preference={"student": entry})
    assert told.run("pairs", *RUN, "--method", "student") == (0, [])
    found = Pair.read(layout.pairs("alfworld", 0, "student"))
    assert found and all(opens(pair.history) for pair in found)


@pytest.mark.parametrize("kind", ["mcts", "best_of_m", "first", "wins", "strong", "both", "demonstrations", "expert"])
def test_paths(told: Project, kind: str) -> None:
    entry = {"init": "base_strong", "data": kind, "expert_share": 0.0, "mcts": None, "imitate": None}
    told.edit(imitation={"student": entry}, mcts={"minimum_score": 0.0})
    assert told.run("paths", *RUN, "--method", "student") == (0, [])
    found = DemonstrationPath.read(layout.paths("alfworld", 0, "student"))
    assert found and all(opens(path.messages) for path in found)


class Read(Exception):
    """What a model was about to be trained on, or to score."""

    def __init__(self, conversations: list[list[Message]]) -> None:
        self.conversations = conversations


@pytest.fixture
def reads(told: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[Message]]]:
    """A function: the conversations that a stage hands to training, with models that nobody loads."""

    def train(model: object, tokenizer: object, conversations: list[list[Message]], **_: Any) -> None:
        raise Read(conversations)

    monkeypatch.setattr(bases, "load", lambda *_, **__: (None, None))
    for module, name in ((sft, "train_sft"), (imitation, "train_sft"), (training, "train_sft")):
        monkeypatch.setattr(module, name, train)
    monkeypatch.setattr(exploration, "train_diverse", train)

    def read(main: Callable[..., object], settings: params.Params, **of: Any) -> list[list[Message]]:
        with pytest.raises(Read) as stopped:
            main(settings, **of)
        assert stopped.value.conversations
        return stopped.value.conversations

    return read


def test_demonstrations(reads: Callable[..., list[list[Message]]]) -> None:
    settings = params.load()
    assert all(map(opens, reads(sft.main, settings, environment="alfworld", role="weak", seed=0)))
    diversity = Diversity(weight=1.0, clamp=1.0, optimization=settings.sft.optimization)
    explore = settings.explore.model_copy(update={"diversity": diversity})
    other = settings.model_copy(update={"explore": explore})
    assert all(map(opens, reads(diversify.main, other, environment="alfworld", seed=0)))


def test_paths_and_the_demonstrations_beside_them(told: Project, reads: Callable[..., list[list[Message]]]) -> None:
    entry = {"init": "base_strong", "data": "best_of_m", "expert_share": 0.5, "mcts": None, "imitate": None}
    told.edit(imitation={"student": entry}, mcts={"minimum_score": 0.0})
    assert told.run("paths", *RUN, "--method", "student") == (0, [])
    paths = len(DemonstrationPath.read(layout.paths("alfworld", 0, "student")))
    found = reads(imitation.main, params.load(), environment="alfworld", seed=0, method="student")
    assert len(found) > paths and all(map(opens, found))


def test_play(reads: Callable[..., list[list[Message]]], monkeypatch: pytest.MonkeyPatch) -> None:
    settings = params.load()
    others = {name: None for name in settings.environments.names if name != "alfworld"}
    alone = settings.model_copy(update={"environments": settings.environments.model_copy(update=others)})
    known = tokenizer.train_tokenizer(["a"], vocabulary=300, context=128)
    monkeypatch.setattr(tokenizer, "read_tokenizer", lambda path: known)
    monkeypatch.setattr(bases, "create", lambda *_, **__: None)
    monkeypatch.setattr(copying, "copying_rows", lambda *_, **__: [])
    monkeypatch.setattr(training, "fit", lambda *_, **__: (None, [{"loss": 1.0}]))
    assert all(map(opens, reads(pretrain.main, alone, role="weak", seed=0)))


def test_trajectories_that_are_scored(told: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def score(checkpoint: Path, conversations: list[list[Message]], **_: Any) -> None:
        raise Read(conversations)

    monkeypatch.setattr(theorem.ReferenceTurn, "read", lambda path: [])
    monkeypatch.setattr(theorem, "_ranked", lambda *_, **__: None)
    monkeypatch.setattr(theorem, "_logprobs", score)
    played = read_trajectories(layout.experts("alfworld"))
    with pytest.raises(Read) as stopped:
        theorem._quantities(params.load(), played, environment="alfworld", seed=0)
    assert len(stopped.value.conversations) == len(played) and all(map(opens, stopped.value.conversations))
