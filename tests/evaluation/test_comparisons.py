"""Comparisons, verdicts and their words."""

from dataclasses import replace
from itertools import product

import pytest

from w2sg.contracts.episodes import Episode
from w2sg.evaluation.measures import comparisons, shares, statistics
from w2sg.evaluation.measures.comparisons import Comparison
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.models import Origin, origins
from w2sg.evaluation.measures.multiplicity import holm
from w2sg.evaluation.measures.statistics import Interval, PairedDifference, Resampling

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
    assert comparisons.contrasts(["base_strong", "sft_weak", "sft_strong"])[1:] == [("base_strong", "sft_weak")]


def test_a_method_is_held_against_its_start_and_ours_against_the_chosen_sides_alone() -> None:
    known = {
        "w2s_dpo": Origin("sft_strong", "tree"),
        "no_losers": Origin("sft_strong", "tree_chosen", "of imitation"),
        "elsewhere": Origin("base_strong", "tree_chosen"),
        "other_pairs": Origin("sft_strong", "tree_chosen", "of imitation", pairs="whole suffixes"),
        "paper_mcts": Origin("base_strong", "mcts"),
    }
    found = comparisons.contrasts(["sft_strong", "base_strong", "ceiling", *known], known)
    assert ("elsewhere", "base_strong") in found and ("w2s_dpo", "base_strong") not in found
    assert [pair for pair in found if pair[0] == "w2s_dpo"] == [
        ("w2s_dpo", "sft_strong"),
        ("w2s_dpo", "ceiling"),
        ("w2s_dpo", "no_losers"),
    ]
    assert ("elsewhere", "w2s_dpo") not in found
    assert ("paper_mcts", "ceiling") in found, "as the paper's sentences are judged by it"
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("left", "right", "wording"),
    [
        ([1.0] * 20, [0.0] * 10 + [1.0] * 10, "higher"),
        ([0.0] * 20, [0.0] * 10 + [1.0] * 10, "lower"),
        ([1.0] * 20, [0.0] * 4 + [1.0] * 16, "higher, doubtful"),
        ([0.0] + [1.0] * 399, [1.0] * 399 + [0.0], "level within 3 points"),
        ([1.0, 0.0] * 10, [0.0, 1.0] * 10, "not decided"),
        ([1.0, 0.0], [1.0, 0.0], "no task differs"),
    ],
)
def test_verdicts(left: list[float], right: list[float], wording: str) -> None:
    assert compared(left, right).wording == wording


def test_more_tasks_lost_than_won_do_not_bear_out_a_higher_mean() -> None:
    left, right = [1.0] * 40 + [0.0] * 80, [0.0] * 40 + [0.02] * 80
    found = statistics.paired_difference(
        dict(zip(map(str, range(120)), left, strict=True)), dict(zip(map(str, range(120)), right, strict=True)),
        resampling=RESAMPLING,
    )  # fmt: skip
    assert found.p_value < 0.001, "the sign test speaks, for the other side"
    assert Comparison("webshop", "unseen", "average_reward", "w2s_dpo", "sft_weak", found).wording == "higher, doubtful"


def test_an_interval_that_touches_zero_decides_nothing() -> None:
    result = PairedDifference(10, Interval(0.2, 0.0, 0.4), wins=2, losses=0, p_value=0.01, detectable=0.3)
    comparison = Comparison("alfworld", "unseen", "average_reward", "w2s_dpo", "sft_weak", result)
    assert comparison.verdict == "undecided"
    assert not comparison.holds


def test_a_method_that_somebody_adds_is_held_against_the_one_that_it_varies() -> None:
    rosters = {
        "preference": {
            "w2s_dpo": {"init": "sft_strong", "data": "tree", "dpo": None},
            "softer": {"init": "sft_strong", "data": "tree", "dpo": {"beta": 0.5}},
            "winners": {"init": "base_strong", "data": "tree", "dpo": {"beta": 0.0}},
            "of_pairs": {"init": "sft_strong", "data": "random", "dpo": None},
            "paper_dpo": {"init": "sft_strong", "data": "tree", "dpo": {"beta": 0.1}},
        },
        "imitation": {name: {"init": "sft_strong", "data": "mcts"} for name in ("w2s_mcts", "wider")},
    }
    known = origins(rosters)
    found = comparisons.contrasts(list(known), known)
    assert {("softer", "w2s_dpo"), ("wider", "w2s_mcts")} <= set(found)
    assert not {("of_pairs", "w2s_dpo"), ("winners", "w2s_dpo"), ("softer", "w2s_mcts")} & set(found)
    assert ("paper_dpo", "w2s_dpo") not in found, "the study's own rows have their own contrasts"


def test_what_learns_from_trees_is_held_against_the_same_training_on_other_data() -> None:
    rosters = {
        "preference": {
            "w2s_dpo": {"init": "sft_strong", "data": "tree", "dpo": None},
            "shuffled": {"init": "sft_strong", "data": "shuffled", "dpo": None},
            "tree_40": {"init": "sft_strong", "data": "tree", "dpo": {"beta": 0.1}},
            "shuffled_40": {"init": "sft_strong", "data": "shuffled", "dpo": {"beta": 0.1}},
        },
        "imitation": {"w2s_mcts": {"init": "base_strong", "data": "mcts", "expert_share": 0.0}},
        "inference": {"best_of_n": {"model": "sft_strong", "samples": 8}},
    }
    known = origins(rosters)
    assert known["best_of_n"] == Origin("sft_strong")
    found = comparisons.contrasts(["base_strong", *known], known)
    assert [pair for pair in found if pair[1].startswith("shuffled")] == [
        ("w2s_dpo", "shuffled"),
        ("tree_40", "shuffled_40"),
    ]
    assert ("w2s_mcts", "base_strong") in found


def test_the_families_are_corrected_each_by_itself() -> None:
    """Two contrasts of the headline in two environments are a family of four; those of another method are no part."""
    episodes = []
    for environment, won in (("alfworld", 8), ("webshop", 10)):
        for model, scores in {
            "w2s_dpo": [1.0] * 20,
            "sft_strong": [0.0] * won + [1.0] * (20 - won),
            "sft_weak": [0.0] * 20,
            "eto": [0.0] * 9 + [1.0] * 11,
        }.items():
            episodes += outcomes(model, scores, environment=environment)
    found = comparisons.comparisons(GroupedEpisodes(episodes), resampling=RESAMPLING)
    headline = {(c.environment, c.baseline): c for c in found if c.family == "headline"}
    assert {(c.model, c.measure) for c in headline.values()} == {("w2s_dpo", "average_reward")}
    assert len(headline) == 4
    p = {key: c.result.p_value for key, c in headline.items()}
    assert p["alfworld", "sft_strong"] == 2 / 2**8 and p["webshop", "sft_strong"] == 2 / 2**10
    # 20 tasks against SFT weak in both, the smallest two; then two left, then one.
    assert headline["webshop", "sft_strong"].adjusted == pytest.approx(2 * 2 / 2**10)
    assert headline["alfworld", "sft_strong"].adjusted == pytest.approx(2 / 2**8)
    others = [c for c in found if c.family == "other"]
    assert ("w2s_dpo", "eto") in {(c.model, c.baseline) for c in others}
    assert [c.adjusted for c in others] == holm([c.result.strict_p for c in others])


def test_what_does_not_survive_the_correction_is_named_so() -> None:
    result = PairedDifference(50, Interval(0.2, 0.1, 0.3), wins=9, losses=1, p_value=0.02, detectable=0.1)
    found = Comparison("alfworld", "unseen", "average_reward", "w2s_dpo", "sft_strong", result, adjusted=0.02)
    assert (found.wording, found.holds) == ("higher", True)
    corrected = replace(found, adjusted=0.06)
    assert (corrected.wording, corrected.confirmed, corrected.holds) == ("higher, before correction", True, False)


def test_with_several_seeds_the_mixed_model_must_agree() -> None:
    """Three seeds that disagree: every task is won in the mean, and yet another seed could turn it round."""
    gains = {0: 0.9, 1: 0.1, 2: -0.2}
    episodes = []
    for seed, gain in gains.items():
        episodes += [episode("sft_weak", task=f"t{n}", score=0.3, seed=seed) for n in range(40)]
        episodes += [episode("w2s_dpo", task=f"t{n}", score=round(0.3 + gain * 0.7, 3), seed=seed) for n in range(40)]
    (found, _) = comparisons.comparisons(GroupedEpisodes(episodes), resampling=RESAMPLING)
    assert (found.result.wins, found.result.p_value) == (40, 2 / 2**40)
    assert found.result.mixed is not None and found.result.mixed.df == 2
    assert found.result.strict_p == found.result.mixed.p_value > 0.05
    assert not found.confirmed


def test_intervals_do_not_depend_on_which_other_models_there_are() -> None:
    episodes = evaluation(tasks=12)
    some = [e for e in episodes if e.model in ("sft_weak", "sft_strong")]
    everything = comparisons.comparisons(GroupedEpisodes(episodes), resampling=RESAMPLING)
    # The correction does: it counts the comparisons that there are.
    uncorrected = [replace(each, adjusted=None) for each in everything]
    alone = comparisons.comparisons(GroupedEpisodes(some), resampling=RESAMPLING)
    assert alone and all(replace(each, adjusted=None) in uncorrected for each in alone)
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


def test_both_recovered_shares_by_hand() -> None:
    scores = {"base_strong": 25, "sft_weak": 20, "sft_strong": 40, "w2s_dpo": 50, "ceiling": 60}
    episodes = [e for model, won in scores.items() for e in outcomes(model, [1.0] * won + [0.0] * (100 - won))]
    recovered = shares.recovered(GroupedEpisodes(episodes), resampling=RESAMPLING)
    values = {(r.model, r.name): r.result.value.mean for r in recovered if r.result.value}
    assert values == {
        ("w2s_dpo", "recovered ceiling"): pytest.approx((50 - 40) / (60 - 40)),
        ("w2s_dpo", "performance gap recovered"): pytest.approx((50 - 20) / (40 - 20)),
        ("ceiling", "performance gap recovered"): pytest.approx((60 - 20) / (40 - 20)),
        ("base_strong", "recovered ceiling"): pytest.approx((25 - 40) / (60 - 40)),
        ("base_strong", "performance gap recovered"): pytest.approx((25 - 20) / (40 - 20)),
    }
    assert {(r.name, r.start, r.end) for r in recovered} == {
        ("recovered ceiling", "sft_strong", "ceiling"),
        ("performance gap recovered", "sft_weak", "sft_strong"),
    }


def test_a_share_of_no_way_is_undefined() -> None:
    scores = {"sft_weak": 20, "sft_strong": 58, "w2s_dpo": 59, "ceiling": 60}
    episodes = [e for model, won in scores.items() for e in outcomes(model, [1.0] * won + [0.0] * (100 - won))]
    recovered = shares.recovered(GroupedEpisodes(episodes), resampling=RESAMPLING)
    found = {(r.model, r.name): r.result for r in recovered}
    share = found["w2s_dpo", "recovered ceiling"]
    assert share.value is None
    assert share.denominator.mean == pytest.approx(0.02)
    assert found["w2s_dpo", "performance gap recovered"].value is not None


def test_a_way_without_an_end_has_no_share() -> None:
    episodes = outcomes("w2s_dpo", [1.0]) + outcomes("sft_strong", [0.0])
    assert shares.recovered(GroupedEpisodes(episodes), resampling=RESAMPLING) == []
    episodes += outcomes("sft_weak", [0.0])
    assert [r.name for r in shares.recovered(GroupedEpisodes(episodes), resampling=RESAMPLING)] == [
        "performance gap recovered"
    ], "of Burns et al., which needs no ceiling"


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


def test_a_family_is_of_one_split_and_one_measure() -> None:
    places = list(product(("seen", "unseen"), ("average_reward", "success_rate")))
    scores = {"w2s_dpo": [1.0] * 12, "sft_strong": [0.5] * 9 + [1.0] * 3, "sft_weak": [0.5] * 10 + [1.0] * 2}
    episodes = [
        episode(model, task=f"{split}{n}", score=score * factor, split=split, environment="webshop")
        for split, factor in (("seen", 0.5), ("unseen", 1.0))
        for model, own in scores.items()
        for n, score in enumerate(own)
    ]
    found = comparisons.comparisons(GroupedEpisodes(episodes), resampling=Resampling(200, 0.95, 0))
    assert {(c.split, c.measure) for c in found} == {*places}
    for split, measure in places:
        own = [c for c in found if (c.split, c.measure, c.family) == (split, measure, "headline")]
        assert len(own) == 2
        assert [c.adjusted for c in own] == holm([c.result.strict_p for c in own])


def test_the_methods_to_the_letter_are_of_the_headline() -> None:
    episodes = [
        episode(m, task=f"t{n}", score=s) for m, s in (("paper_dpo", 1.0), ("sft_strong", 0.0)) for n in range(5)
    ]
    found = comparisons.comparisons(GroupedEpisodes(episodes), resampling=Resampling(200, 0.95, 0))
    assert [c.family for c in found if c.model == "paper_dpo"] == ["headline"]
