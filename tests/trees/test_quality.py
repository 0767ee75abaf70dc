import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given

from w2sg.contracts.trajectories import Trajectory
from w2sg.trees.pairs import tree_pairs
from w2sg.trees.quality import TreeQuality, by_policy, summarize, tree_quality

from .examples import exact_tree, sample_sets, samples, solved_tree, trajectory


def measured(drawn: list[Trajectory], *, minimum_gap: float = 0.0) -> TreeQuality:
    return tree_quality(exact_tree(drawn), minimum_gap=minimum_gap, aggregate="mean")


def test_golden_quality() -> None:
    assert tree_quality(solved_tree(), minimum_gap=0.5, aggregate="mean") == TreeQuality(
        task_id="task",
        samples=4,
        steps=10,
        nodes=5,
        merge_rate=0.5,
        terminals=4,
        branchings=2,
        branchings_possible=3,
        branching_factor=2.5,
        depth_mean=2.5,
        depth_max=3,
        divergences=2,
        informative=1,
        mixed=True,
        best_score=1.0,
        mean_score=0.4375,
    )


def test_a_single_sample_does_not_branch() -> None:
    quality = measured(samples(("abc", 0.5)))
    assert (quality.branchings, quality.branchings_possible, quality.branching_factor) == (0, 0, 0.0)
    assert (quality.merge_rate, quality.depth_mean, quality.mixed) == (0.0, 3.0, False)


def test_stopping_early_is_a_branching_but_no_divergence() -> None:
    quality = measured(samples(("ab", 1.0), ("a", 0.0)))
    assert (quality.branchings, quality.divergences) == (1, 0)


@pytest.mark.parametrize("scores, mixed", [((1.0, 0.75), True), ((1.0, 1.0), False), ((0.75, 0.0), False)])
def test_mixed_is_success_beside_failure(scores: tuple[float, float], mixed: bool) -> None:
    assert measured(samples(*zip("ab", scores, strict=True))).mixed is mixed


@given(sample_sets)
def test_bounds(drawn: list[Trajectory]) -> None:
    quality = measured(drawn, minimum_gap=0.25)
    assert quality.branchings <= quality.branchings_possible
    assert quality.informative <= quality.divergences <= quality.branchings
    assert 1 <= quality.terminals <= quality.samples
    assert quality.depth_max == max(len(t.steps) for t in drawn)
    assert 0.0 <= quality.merge_rate < 1.0
    assert quality.informative == len(tree_pairs([exact_tree(drawn)], minimum_gap=0.25, aggregate="mean"))


def test_summary() -> None:
    tasks = [samples(("ab", 1.0), ("ac", 0.0)), samples(("a", 1.0), ("a", 0.0)), samples(("a", 0.5))]
    summary = summarize(measured(drawn) for drawn in tasks)
    assert summary["tasks"] == 3
    assert summary["mean"]["samples"] == pytest.approx(5 / 3)
    assert summary["mean"]["mixed"] == pytest.approx(2 / 3)
    assert summary["mean"]["merge_rate"] == pytest.approx((0.25 + 0.5 + 0.0) / 3)
    assert (summary["total"]["steps"], summary["total"]["informative"]) == (7, 1)
    assert summary["mixed"] == {"tasks": 2, "informative_mean": 0.5, "informative_max": 1, "informative_share": 0.5}


def test_a_summary_of_nothing_and_everything_is_json() -> None:
    assert json.loads(json.dumps(summarize([]), allow_nan=False))["mixed"]["informative_mean"] == 0.0
    assert json.loads(json.dumps(asdict(measured(samples(("a", 1.0)))), allow_nan=False))["depth_max"] == 1


def test_policies_are_compared_on_as_many_samples() -> None:
    drawn = [
        replace(trajectory(word, sample=number), policy=policy)
        for number, (word, policy) in enumerate(
            [("a", "sft_weak"), ("b", "sft_weak"), ("c", "sft_weak"), ("aa", "diverse_weak"), ("ab", "diverse_weak")]
        )
    ]
    assert by_policy(drawn) == {
        "sft_weak": drawn[:2],
        "diverse_weak": drawn[3:],
        "together": [drawn[0], drawn[3]],
    }
    assert by_policy(drawn[:3]) == {}
    assert by_policy(drawn[:4]) == {}, "one sample does not make a tree to compare"


def test_depth_is_that_of_the_leaves():
    """Two samples end in one leaf of depth 1, one in a leaf of depth 3."""
    quality = measured(samples(("a", 1.0), ("a", 0.0), ("bcd", 0.5)))
    assert (quality.depth_mean, quality.depth_max) == (2.0, 3)


def test_a_summary_of_tasks_with_both_outcomes_by_hand():
    two = measured(samples(("aab", 1.0), ("aac", 0.0), ("b", 0.5), ("ac", 0.25)))
    one, none = measured(samples(("a", 1.0), ("b", 0.0))), measured(samples(("a", 0.75), ("b", 0.0)))
    assert (two.informative, one.informative) == (3, 1)
    expected = {"tasks": 2, "informative_mean": 2.0, "informative_max": 3, "informative_share": 1.0}
    assert summarize([two, one, none])["mixed"] == expected
