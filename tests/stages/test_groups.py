"""The groups of models that are evaluated together."""

import pytest

from w2sg.config import params
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError
from w2sg.contracts.layout import EVALUATION_GROUPS
from w2sg.stages.groups import Contestant, contestants


@pytest.fixture
def settings(root):
    return params.load(root / "params.yaml")


def test_every_model_of_the_run_is_in_one_group(settings):
    found = [contestants(settings, environment="alfworld", seed=3, group=group) for group in EVALUATION_GROUPS]
    names = [name for group in found for name in group]
    given = ["base_weak", "base_strong", "sft_weak", "sft_strong"]
    assert names == [*given, *settings.preference, *settings.imitation, *settings.inference]
    trained = [contestant for group in found[:-1] for contestant in group.values()]
    assert len({contestant.checkpoint for contestant in trained}) == len(trained)
    assert found[1]["sft_weak"].checkpoint == layout.sft("alfworld", 3, "weak")
    assert {(each.samples, each.temperature, each.top_p) for each in trained} == {(1, 0.0, 1.0)}


def test_best_of_n_plays_its_model_n_times(settings):
    (found,) = contestants(settings, environment="alfworld", seed=3, group="inference").items()
    assert found == (
        "best_of_n",
        Contestant(layout.sft("alfworld", 3, "strong"), samples=8, temperature=1.0, top_p=1.0),
    )


def test_unknown_group(settings):
    with pytest.raises(
        UserError, match=r"^--group all: unknown; allowed are base, sft, preference, imitation, inference$"
    ):
        contestants(settings, environment="alfworld", seed=0, group="all")
