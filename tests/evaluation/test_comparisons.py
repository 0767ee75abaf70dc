"""Comparisons, verdicts and their words."""

from dataclasses import replace

import pytest

from w2sg.contracts.episodes import Episode
from w2sg.evaluation.measures import comparisons
from w2sg.evaluation.measures.comparisons import Comparison, Resampling
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.statistics import Interval, PairedDifference
from w2sg.evaluation.report.headline import headline

from .builders import episode, evaluation

RESAMPLING = Resampling(resamples=400, confidence=0.95, seed=0)


def outcomes(model: str, scores: list[float], *, environment: str = "alfworld") -> list[Episode]:
    return [episode(model, task=f"t{n}", score=score, environment=environment) for n, score in enumerate(scores)]


def compared(left: list[float], right: list[float]) -> Comparison:
    episodes = outcomes("w2s_dpo", left) + outcomes("sft_weak", right)
    (found,) = comparisons.comparisons(GroupedEpisodes(episodes), resampling=RESAMPLING)
    return found


def test_contrasts_are_those_of_the_experiment() -> None:
    assert comparisons.contrasts(["sft_strong", "base_weak", "w2s_mcts", "sft_weak", "w2s_dpo"]) == [
        ("sft_strong", "sft_weak"),
        ("w2s_dpo", "sft_weak"),
        ("w2s_dpo", "sft_strong"),
        ("w2s_mcts", "sft_weak"),
        ("w2s_mcts", "sft_strong"),
        ("w2s_mcts", "w2s_dpo"),
    ]
    assert comparisons.contrasts(["best_of_n", "w2s_mcts", "best_of_m"]) == [
        ("w2s_mcts", "best_of_n"),
        ("w2s_mcts", "best_of_m"),
    ]
    assert comparisons.contrasts(["base_weak", "w2s_dpo"]) == []


@pytest.mark.parametrize(
    ("left", "right", "wording"),
    [
        ([1.0] * 20, [0.0] * 10 + [1.0] * 10, "higher"),
        ([0.0] * 20, [0.0] * 10 + [1.0] * 10, "lower"),
        ([1.0] * 20, [0.0] * 4 + [1.0] * 16, "higher, doubtful"),
        ([1.0, 0.0] * 10, [0.0, 1.0] * 10, "not decided"),
        ([1.0, 0.0], [1.0, 0.0], "no task differs"),
    ],
)
def test_verdicts(left: list[float], right: list[float], wording: str) -> None:
    assert compared(left, right).wording == wording


def test_an_interval_that_touches_zero_decides_nothing() -> None:
    result = PairedDifference(10, Interval(0.2, 0.0, 0.4), wins=2, losses=0, p_value=0.5, detectable=0.3)
    comparison = Comparison("alfworld", "unseen", "average_reward", "w2s_dpo", "sft_weak", result, False)
    assert comparison.verdict == "undecided"


def test_intervals_do_not_depend_on_which_other_models_there_are() -> None:
    episodes = evaluation(tasks=12)
    some = [e for e in episodes if e.model in ("sft_weak", "sft_strong")]
    everything = comparisons.comparisons(GroupedEpisodes(episodes), resampling=RESAMPLING)
    assert all(
        comparison in everything for comparison in comparisons.comparisons(GroupedEpisodes(some), resampling=RESAMPLING)
    )
    cells = comparisons.table_cells(GroupedEpisodes(episodes), resampling=RESAMPLING)
    assert all(cell in cells for cell in comparisons.table_cells(GroupedEpisodes(some), resampling=RESAMPLING))


def test_success_is_compared_only_where_it_is_another_number() -> None:
    binary = outcomes("sft_strong", [1.0, 0.0]) + outcomes("sft_weak", [0.0, 0.0])
    graded = outcomes("sft_strong", [0.5, 1.0], environment="webshop")
    graded += outcomes("sft_weak", [0.25, 0.5], environment="webshop")
    found = comparisons.comparisons(GroupedEpisodes(binary + graded), resampling=RESAMPLING)
    assert [(c.environment, c.measure) for c in found] == [
        ("alfworld", "average_reward"),
        ("webshop", "average_reward"),
        ("webshop", "success_rate"),
    ]


def test_headline_names_the_baseline_the_interval_and_the_doubt() -> None:
    models = {"sft_weak": [0.0] * 10 + [1.0] * 10, "sft_strong": [1.0, 0.0] * 10, "w2s_dpo": [1.0] * 19 + [0.0]}
    episodes = [one for model, scores in models.items() for one in outcomes(model, scores)]
    (sentence,) = headline(comparisons.comparisons(GroupedEpisodes(episodes), resampling=RESAMPLING), confidence=0.95)
    assert sentence.startswith("On 20 unseen alfworld tasks, W2S TreeDPO is 45.0 points above SFT weak (95% interval +")
    assert "; it is 45.0 points above SFT strong" in sentence
    same = [replace(e, model="w2s_mcts") for e in outcomes("", [1.0, 0.0])] + outcomes("sft_weak", [0.0, 1.0])
    (sentence,) = headline(comparisons.comparisons(GroupedEpisodes(same), resampling=RESAMPLING), confidence=0.95)
    assert "is level with SFT weak" in sentence
    assert "which includes 0: not decided" in sentence
    equal = outcomes("w2s_mcts", [1.0, 0.0]) + outcomes("sft_weak", [1.0, 0.0])
    (sentence,) = headline(comparisons.comparisons(GroupedEpisodes(equal), resampling=RESAMPLING), confidence=0.95)
    assert sentence.endswith("W2S MCTS scores the same as SFT weak on every task.")


def test_both_recovered_shares_by_hand() -> None:
    scores = {"sft_weak": 20, "sft_strong": 40, "w2s_dpo": 50, "ceiling": 60}
    episodes = [e for model, won in scores.items() for e in outcomes(model, [1.0] * won + [0.0] * (100 - won))]
    found = {
        (r.model, r.name): r.result for r in comparisons.recovered(GroupedEpisodes(episodes), resampling=RESAMPLING)
    }
    assert set(found) == {
        ("w2s_dpo", "recovered ceiling"),
        ("w2s_dpo", "performance gap recovered"),
        ("sft_strong", "performance gap recovered"),
    }
    values = {key: share.value.mean for key, share in found.items() if share.value}
    assert values["w2s_dpo", "recovered ceiling"] == pytest.approx(0.5)
    assert values["w2s_dpo", "performance gap recovered"] == pytest.approx(0.75)
    assert values["sft_strong", "performance gap recovered"] == pytest.approx(0.5)


def test_a_share_of_no_way_is_undefined() -> None:
    scores = {"sft_weak": 20, "sft_strong": 58, "w2s_dpo": 59, "ceiling": 60}
    episodes = [e for model, won in scores.items() for e in outcomes(model, [1.0] * won + [0.0] * (100 - won))]
    found = {
        (r.model, r.name): r.result for r in comparisons.recovered(GroupedEpisodes(episodes), resampling=RESAMPLING)
    }
    share = found["w2s_dpo", "recovered ceiling"]
    assert share.value is None
    assert share.denominator.mean == pytest.approx(0.02)
    assert found["w2s_dpo", "performance gap recovered"].value is not None


def test_without_a_ceiling_no_share() -> None:
    episodes = outcomes("w2s_dpo", [1.0]) + outcomes("sft_strong", [0.0])
    assert comparisons.recovered(GroupedEpisodes(episodes), resampling=RESAMPLING) == []


def test_relative_gain_names_its_denominator() -> None:
    comparison = compared([1.0] * 60 + [0.0] * 40, [1.0] * 50 + [0.0] * 50)
    assert comparison.relative is not None
    assert comparison.relative.value is not None
    assert comparison.relative.value.mean == pytest.approx(0.2)
    assert comparison.relative.denominator.mean == pytest.approx(0.5)


def test_repeats_compare_how_often_a_step_says_the_same() -> None:
    episodes = outcomes("w2s_dpo", [1.0] * 5) + outcomes("sft_strong", [0.0] * 5)
    (found,) = comparisons.repeats(GroupedEpisodes(episodes), resampling=RESAMPLING)
    assert (found.model, found.baseline, found.measure) == ("w2s_dpo", "sft_strong", "repeated")
