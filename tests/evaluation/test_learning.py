"""Whether there was something to learn: each condition holds and fails where it should."""

from dataclasses import replace

import pytest

from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.learning import Learning, learning, warnings
from w2sg.evaluation.measures.statistics import Resampling
from w2sg.evaluation.report.tables import learning_table

from .builders import episode, evaluation

RESAMPLING = Resampling(resamples=200, confidence=0.95, seed=0)
HALF = (0.0, 0.1, 0.3, 1.0, 0.05, 0.09)  # three of six are 0.1 or more, 0.1 itself among them


def found(**changes: object) -> Learning:
    (each,) = learning(
        GroupedEpisodes(evaluation(tasks=200)),
        experts={"alfworld": 0.9},
        spreads={"alfworld": HALF},
        resampling=RESAMPLING,
    )
    return replace(each, **changes)  # type: ignore[arg-type]


def test_figures_are_of_the_reported_split() -> None:
    episodes = evaluation(tasks=200)
    weak = [e.trajectory.score for e in episodes if (e.model, e.split) == ("sft_weak", "unseen")]
    base = [e.trajectory.score for e in episodes if (e.model, e.split) == ("base_weak", "unseen")]
    each = found()
    assert (each.split, each.weak) == ("unseen", pytest.approx(sum(weak) / 200))
    assert each.of_expert == pytest.approx(each.weak / 0.9)
    assert each.gain is not None
    assert each.gain.result.difference.mean == pytest.approx((sum(weak) - sum(base)) / 200)
    assert each.apart == 0.5


def test_nothing_fails_where_all_is_well() -> None:
    assert found().failed == []
    assert warnings([found()]) == []
    assert learning_table([found()]).rows[0][-1] == "all hold"


@pytest.mark.parametrize("weak", [0.9 * 0.149, 0.9 * 0.851])
def test_sft_weak_may_be_neither_hopeless_nor_done(weak: float) -> None:
    assert "of the expert's reward, not 15 to 85 %" in found(weak=weak).failed[0]
    assert found(weak=0.9 * 0.151).failed == []


def test_an_environment_without_spread_is_named() -> None:
    (line,) = warnings([found(apart=0.29)])
    assert line == (
        "alfworld: little to learn here: in 29 % of the explored tasks, not 30, one trajectory is 0.1 above another"
    )


def test_level_models_are_named() -> None:
    """Bases as good as their fine-tuned models, weak and strong alike."""
    level = [
        episode(model, score=float(number % 2), task=f"t{number}", split="unseen")
        for model in ("base_weak", "sft_weak", "sft_strong")
        for number in range(40)
    ]
    (each,) = learning(
        GroupedEpisodes(level), experts={"alfworld": 1.0}, spreads={"alfworld": HALF}, resampling=RESAMPLING
    )
    assert each.failed == [
        "SFT weak is not shown to be above its base",
        "SFT strong is not shown to be above SFT weak",
    ]


@pytest.mark.parametrize("lacking", ["experts", "spreads"])
def test_no_verdict_without_its_figures(lacking: str) -> None:
    given = {"experts": {"alfworld": 0.9}, "spreads": {"alfworld": HALF}} | {lacking: {}}
    assert learning(GroupedEpisodes(evaluation(tasks=10)), resampling=RESAMPLING, **given) == []  # type: ignore[arg-type]


def test_a_model_that_was_not_evaluated_is_no_condition() -> None:
    episodes = [e for e in evaluation(tasks=200) if e.model != "base_weak"]
    (each,) = learning(
        GroupedEpisodes(episodes), experts={"alfworld": 0.9}, spreads={"alfworld": HALF}, resampling=RESAMPLING
    )
    assert each.gain is None
    assert each.failed == []
    assert learning_table([each]).rows[0][3] == "–"
