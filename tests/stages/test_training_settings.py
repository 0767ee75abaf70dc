"""With which settings the training stages train: a method's own before the section's, and how much of the experts."""

from collections.abc import Callable
from typing import Any

import pytest

from w2sg.config import params
from w2sg.stages import imitation, preference, pretrain
from w2sg.training import bases, copying, tokenizer
from w2sg.training import sft as training

from .conftest import RUN, Project

METHOD: dict[str, Any] = {"environment": "alfworld", "seed": 0, "method": "student"}


class Asked(Exception):
    """What a stage was about to train with."""


@pytest.fixture
def asked(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """A function: the named arguments that a stage hands to training, with models that nobody loads."""
    monkeypatch.chdir(project.path)
    monkeypatch.setattr(bases, "load", lambda *_, **__: (None, None))

    def train(*given: Any, **named: Any) -> None:
        raise Asked({"data": given[2], **named})

    for module, name in ((imitation, "train_sft"), (preference, "train_dpo"), (training, "train_sft")):
        monkeypatch.setattr(module, name, train)
    monkeypatch.setattr(preference.ReferenceTurn, "read", lambda path: [])

    def ask(main: Callable[..., object], settings: params.Params, **of: Any) -> dict[str, Any]:
        with pytest.raises(Asked) as stopped:
            main(settings, **of)
        return dict(stopped.value.args[0])

    return ask


def student(share: float, imitate: dict[str, Any] | None = None) -> dict[str, Any]:
    entry = {"init": "sft_strong", "data": "best_of_m", "expert_share": share, "mcts": None, "imitate": imitate}
    return {"student": entry}


def test_a_preference_method_s_own_training_comes_before_the_section_s(
    project: Project, asked: Callable[..., dict[str, Any]]
) -> None:
    settings = params.load()
    own = settings.dpo.model_dump() | {"beta": 0.5, "likelihood": 0.25}
    entry = {"init": "sft_strong", "data": "tree", "reference": "sft_weak", "pairs": None, "dpo": None}
    project.edit(preference={"student": entry})
    assert project.run("pairs", *RUN, "--method", "student") == (0, [])
    assert asked(preference.main, params.load(), **METHOD)["dpo"] == settings.dpo
    project.edit(preference={"student": entry | {"dpo": own}})
    found = asked(preference.main, params.load(), **METHOD)["dpo"]
    assert (found.beta, found.likelihood) == (0.5, 0.25)


def test_an_imitation_method_s_own_training_comes_before_the_section_s(
    project: Project, asked: Callable[..., dict[str, Any]]
) -> None:
    settings = params.load()
    lora = {"r": 3, "alpha": 6, "dropout": 0.0, "targets": ["q_proj"]}
    optimization = settings.imitate.optimization.model_dump() | {"epochs": 7.0}
    own = {"confidence": 0.3, "optimization": optimization, "lora": lora}
    project.edit(imitation=student(0.0), mcts={"minimum_score": 0.0})
    assert project.run("paths", *RUN, "--method", "student") == (0, [])
    found = asked(imitation.main, params.load(), **METHOD)
    assert (found["optimization"], found["lora"], found["confidence"]) == (
        settings.imitate.optimization,
        settings.imitate.lora,
        settings.imitate.confidence,
    )
    project.edit(imitation=student(0.0, own))
    found = asked(imitation.main, params.load(), **METHOD)
    assert (found["optimization"].epochs, found["lora"].r, found["confidence"]) == (7.0, 3, 0.3)
    assert found["assistant_only"]


@pytest.mark.parametrize(("share", "experts"), [(0.0, 0), (0.25, 1), (0.5, 3), (0.9, 3)])
def test_experts_are_a_share_of_all_conversations_as_far_as_there_are_some(
    project: Project, asked: Callable[..., dict[str, Any]], share: float, experts: int
) -> None:
    """Three paths, three demonstrations: a quarter of four, half of six, and no more than there are."""
    project.edit(imitation=student(share), mcts={"minimum_score": 0.0})
    assert project.run("paths", *RUN, "--method", "student") == (0, [])
    assert len(asked(imitation.main, params.load(), **METHOD)["data"]) == 3 + experts


def test_a_base_learns_every_token_of_play(
    asked: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = params.load()
    others = {name: None for name in settings.environments.names if name != "alfworld"}
    alone = settings.model_copy(update={"environments": settings.environments.model_copy(update=others)})
    known = tokenizer.train_tokenizer(["a"], vocabulary=300, context=128)
    monkeypatch.setattr(tokenizer, "read_tokenizer", lambda path: known)
    monkeypatch.setattr(bases, "create", lambda *_, **__: None)
    monkeypatch.setattr(copying, "copying_rows", lambda *_, **__: [])
    monkeypatch.setattr(training, "fit", lambda *_, **__: (None, [{"loss": 1.0}]))
    found = asked(pretrain.main, alone, role="weak", seed=0)
    assert found["assistant_only"] is False
    assert found["optimization"] == settings.pretrain.weak.play
