"""Whose turns each model has read, counted in the tables that the stages have written."""

import contextlib

import pandas
import pytest

from w2sg.config import params
from w2sg.contracts import layout
from w2sg.evaluation.report.lessons import lessons

from .conftest import Project


def _alone(whole: params.Params) -> params.Params:
    """With ALFWorld, which has been built, as the only environment."""
    others = {name: None for name in whole.environments.names if name != "alfworld"}
    return whole.model_copy(update={"environments": whole.environments.model_copy(update=others)})


def test_turns_are_counted_by_whose_they_are(built: Project) -> None:
    def said(messages: list) -> int:
        return sum(message["role"] == "assistant" for message in messages)

    with contextlib.chdir(built.path):
        known = _alone(params.load())
        found = lessons(known, environment="alfworld", seed=0)
        chosen_alone = known.dpo.model_copy(update={"beta": 0.0})
        method = known.preference["w2s_dpo"].model_copy(update={"dpo": chosen_alone})
        winners = lessons(known.model_copy(update={"preference": {"w2s_dpo": method}}), environment="alfworld", seed=0)
        play, shown = (len(pandas.read_parquet(path)) for path in (layout.play("alfworld"), layout.experts("alfworld")))
        paths = pandas.read_parquet(layout.paths("alfworld", 0, "w2s_mcts"))
        pairs = {name: pandas.read_parquet(layout.pairs("alfworld", 0, name)) for name in ("w2s_dpo", "ceiling")}
    assert play > 0 and shown > 0 and len(paths) > 0
    assert (found["base_weak"].play, found["base_weak"].expert) == (play, 0)
    assert (found["sft_strong"].init, found["sft_strong"].play, found["sft_strong"].expert) == ("base_strong", 0, shown)
    assert (found["w2s_mcts"].expert, found["w2s_mcts"].models) == (0, paths.messages.map(said).sum())
    tree, ceiling = pairs["w2s_dpo"], pairs["ceiling"]
    assert (found["w2s_dpo"].expert, found["w2s_dpo"].models) == (
        0,
        tree.chosen.map(said).sum() + tree.rejected.map(said).sum(),
    )
    assert winners["w2s_dpo"].models == tree.chosen.map(said).sum(), "a beta of 0 learns nothing from rejected sides"
    assert (found["ceiling"].expert, found["ceiling"].models) == (
        ceiling.chosen.map(said).sum(),
        ceiling.rejected.map(said).sum(),
    )
    assert (found["more_sft"].expert, found["more_sft"].models) == (0, 0), "it reads again what it knows"


def test_a_base_has_read_the_play_of_every_environment(built: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.chdir(built.path):
        known = _alone(params.load())
        once = lessons(known, environment="alfworld", seed=0)["base_weak"].play
        monkeypatch.setattr(type(known.environments), "items", lambda self: [("alfworld", None), ("alfworld", None)])
        assert lessons(known, environment="alfworld", seed=0)["base_weak"].play == 2 * once
