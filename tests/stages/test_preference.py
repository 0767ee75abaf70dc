"""Stages reference and preference on tiny real checkpoints: models of two vocabularies, and eq. 6 to the letter."""

import contextlib

import pytest

from w2sg.config import params
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError
from w2sg.contracts.files import read_json
from w2sg.contracts.pairs import Pair
from w2sg.contracts.trajectories import read_trajectories
from w2sg.stages import preference, reference
from w2sg.training import bases
from w2sg.training.tokenizer import train_tokenizer

RUN = {"environment": "alfworld", "seed": 0}


@pytest.fixture(scope="module")
def trained(built, tmp_path_factory):
    """The project with its pairs, and SFT models that have learned nothing and read other tokens than each other."""
    project = built.copy(tmp_path_factory.mktemp("trained"), only=frozenset({"data/pairs", "data/play"}))
    with contextlib.chdir(project.path):
        settings = params.load()
        played = read_trajectories(layout.play("alfworld"))
        texts = [message["content"] for each in played for message in each.messages()]
        for vocabulary, role in ((300, "weak"), (400, "strong")):
            tokenizer = train_tokenizer(texts, vocabulary=vocabulary, context=2048)
            model = bases.create(getattr(settings.models, role), tokenizer=tokenizer, context=2048, seed=vocabulary)
            bases.save(model, tokenizer, layout.sft("alfworld", 0, role))
    return project


def literally(settings: params.Params) -> params.Params:
    return settings.model_copy(update={"dpo": settings.dpo.model_copy(update={"eq6": "literal"})})


def test_models_of_two_vocabularies(here):
    reference.main(here, method="w2s_dpo", **RUN)
    preference.main(here, method="w2s_dpo", **RUN)
    first, *rows = read_json(layout.log("preference", "alfworld-0-w2s_dpo"))
    assert first["step"] == 0
    assert abs(first["margin"]) > 1e-3
    assert rows
    pairs = Pair.read(layout.pairs("alfworld", 0, "w2s_dpo"))
    card = (layout.preference("alfworld", 0, "w2s_dpo") / "README.md").read_text()
    assert f"{len(pairs)} of kind tree" in card
    with pytest.raises(UserError, match=r"^dpo.eq6: literal needs one vocabulary .*; use dpo.eq6: dpo$"):
        preference.main(literally(here), method="w2s_dpo", **RUN)


def test_eq_6_to_the_letter(here):
    """The strong model's own SFT as the reference has the same vocabulary."""
    reference.main(here, method="eto", **RUN)
    preference.main(literally(here), method="eto", **RUN)
    rows = read_json(layout.log("preference", "alfworld-0-eto"))
    assert rows[0]["kl"] == pytest.approx(0.0, abs=1e-5)
    assert all("kl" in row for row in rows)
    assert "beta * KL" in (layout.preference("alfworld", 0, "eto") / "README.md").read_text()
