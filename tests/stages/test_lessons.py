"""Whose turns each model has read, counted in the tables that the stages have written."""

import contextlib

import pandas

from w2sg.config import params
from w2sg.contracts import layout
from w2sg.evaluation.report.lessons import lessons

from .conftest import Project


def test_turns_are_counted_by_whose_they_are(built: Project) -> None:
    def said(messages: list) -> int:
        return sum(message["role"] == "assistant" for message in messages)

    with contextlib.chdir(built.path):
        found = lessons(params.load(), environment="alfworld", seed=0)
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
    assert (found["ceiling"].expert, found["ceiling"].models) == (
        ceiling.chosen.map(said).sum(),
        ceiling.rejected.map(said).sum(),
    )
    assert (found["more_sft"].expert, found["more_sft"].models) == (0, 0), "it reads again what it knows"
