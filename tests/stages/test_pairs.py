"""Stage pairs: what a roster entry asks for is what is written."""

import contextlib

import pytest

from w2sg.config import params
from w2sg.contracts import layout
from w2sg.contracts.pairs import Pair

RUN = ("--environment", "alfworld", "--seed", "0")


@pytest.mark.parametrize("turns", [None, 1])
@pytest.mark.parametrize("kind", ["tree", "shuffled", "expert"])
def test_a_method_may_have_its_own_way_to_make_pairs(built, tmp_path, kind, turns):
    project = built.copy(tmp_path)
    with contextlib.chdir(project.path):
        settings = params.load()
    own = settings.pairs.model_dump() | {"turns": turns, "minimum_gap": 0.1}
    entry = {"init": "sft_strong", "data": kind, "reference": "sft_weak", "pairs": own, "dpo": None}
    project.edit(preference={"student": entry}, pairs={"turns": 2, "minimum_gap": 1.0})
    assert project.run("pairs", *RUN, "--method", "student") == (0, [])
    with contextlib.chdir(project.path):
        pairs = Pair.read(layout.pairs("alfworld", 0, "student"))
    assert {pair.kind for pair in pairs} == {kind}
    longest = max(len(side) for pair in pairs for side in (pair.chosen, pair.rejected))
    assert longest == 1 if turns == 1 else longest > 3
