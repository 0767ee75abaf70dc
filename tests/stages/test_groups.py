"""The groups of models that are evaluated together."""

import pytest

from w2sg import layout, params
from w2sg.errors import UserError
from w2sg.stages.groups import GROUPS, checkpoints


@pytest.fixture
def settings(root):
    return params.load(root / "params.yaml")


def test_every_model_of_the_run_is_in_one_group(settings):
    found = [checkpoints(settings, environment="alfworld", seed=3, group=group) for group in GROUPS]
    names = [name for group in found for name in group]
    assert names == ["base_weak", "base_strong", "sft_weak", "sft_strong", *settings.preference, *settings.imitation]
    assert len({folder for group in found for folder in group.values()}) == len(names)
    assert found[1]["sft_weak"] == layout.sft("alfworld", 3, "weak")


def test_unknown_group(settings):
    with pytest.raises(UserError, match=r"^--group all: unknown; allowed are base, sft, preference, imitation$"):
        checkpoints(settings, environment="alfworld", seed=0, group="all")
