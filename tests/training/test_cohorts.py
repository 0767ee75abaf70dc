"""Whether a cohort has room: what is refused, what is told, and what is not asked."""

from typing import Any

import pytest
import torch

from w2sg.contracts.errors import UserError
from w2sg.training import cohorts
from w2sg.training.cohorts import check_cohort
from w2sg.training.memory import GIB, SPARE, weight_bytes

from .test_memory import LLAMA_7B, LLAMA_13B, on_paper

KEY = "explore.cohort"


def check(model: Any, *, cohort: int, longest: int | None = None, opening: int = 350, turn: int = 250) -> None:
    """`longest` None: the question is not asked."""

    def asked() -> int:
        assert longest is not None
        return longest

    check_cohort(model, cohort=cohort, opening=opening, turn=turn, longest=asked, key=KEY)


@pytest.fixture(params=[LLAMA_7B, LLAMA_13B], ids=["7B", "13B"])
def model(request, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(cohorts, "available", lambda _: 80 * GIB)
    return on_paper(request.param, torch.bfloat16)


def test_the_papers_cohorts_begin_on_one_card(model) -> None:
    """80 GB; the first turn of 64 conversations of 13B was refused where caches were taken to be held twice."""
    check(model, cohort=64, longest=600)


def test_a_cohort_that_cannot_end_its_first_turn_is_refused(model, capsys) -> None:
    line = rf"^{KEY}: 400 conversations of 600 tokens, .* need some .* GiB .*; lower {KEY} to (\d+) or less$"
    with pytest.raises(UserError, match=line) as refusal:
        check(model, cohort=400)
    advised = int(str(refusal.value).split()[-3])
    check(model, cohort=advised, longest=600)
    with pytest.raises(UserError):
        check(model, cohort=advised + 1)
    assert capsys.readouterr().err == ""


def test_one_that_fits_the_context_is_not_asked_about(model) -> None:
    assert model.config.max_position_embeddings == 2048
    check(model, cohort=8)


def test_one_that_may_run_out_is_told_before_it_plays(model, capsys) -> None:
    check(model, cohort=64, longest=1900)
    told = capsys.readouterr().err
    assert told.startswith(f"{KEY}: warning: 64 conversations that are all lost, of some 1900 tokens, would need")
    safe = int(told.split()[-3])
    assert 8 < safe < 64
    check(model, cohort=safe, longest=1900)
    assert capsys.readouterr().err == ""
    check(model, cohort=safe + 1, longest=1900)
    assert "warning" in capsys.readouterr().err


def test_the_need_is_at_least_the_cache_of_the_whole_conversation(model) -> None:
    """2 x blocks x width x 2 bytes a token, by hand; what may fit beside the weights fits indeed."""
    room = int(80 * GIB * (1 - SPARE)) - weight_bytes(model)
    token = 4 * model.config.num_hidden_layers * model.config.hidden_size
    most = room // (600 * token)
    with pytest.raises(UserError):
        check(model, cohort=most)
