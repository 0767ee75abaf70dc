from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sg.contracts.pairs import Pair
from w2sg.contracts.trajectories import Trajectory
from w2sg.trees.merging import build
from w2sg.trees.pairs import (
    ceiling_pairs,
    clears,
    divergences,
    eto_pairs,
    expert_pairs,
    random_pairs,
    shuffled,
    tree_pairs,
    whole_pair,
)

from .examples import exact_tree, sample_sets, samples, solved_tree, trajectory


def said(turns: list) -> str:
    """The actions of a conversation's assistant turns."""
    return "".join(turn["content"][-1] for turn in turns if turn["role"] == "assistant")


def told(pair: Pair) -> tuple[str, str, str, float, float]:
    return said(pair.history), said(pair.chosen), said(pair.rejected), pair.chosen_score, pair.rejected_score


def pairs_of(drawn: list[Trajectory], **settings: object) -> list[Pair]:
    return tree_pairs([exact_tree(drawn)], **{"minimum_gap": 0.0, "aggregate": "mean", **settings})


def draw(trajectories: list[Trajectory], *, count: int, minimum_gap: float = 0.0, seed: int = 0) -> list[Pair]:
    return random_pairs(trajectories, rng=np.random.default_rng(seed), count=count, minimum_gap=minimum_gap)


def test_golden_pairs() -> None:
    """At a: b (mean of 1, 0, 0.5) against e (0.25); at b: c (1) against d (0), while stopping there is no action."""
    first, second = tree_pairs([solved_tree()], minimum_gap=0.0, aggregate="mean")
    assert told(first) == ("a", "bc", "e", 0.5, 0.25)
    assert told(second) == ("ab", "c", "d", 1.0, 0.0)
    assert [(p.pair_id, p.divergence, p.kind, p.environment, p.task_id) for p in (first, second)] == [
        (0, 1, "tree", "letters", "task"),
        (1, 2, "tree", "letters", "task"),
    ]
    assert first.history == [
        {"role": "user", "content": "saw ''"},
        {"role": "assistant", "content": "Thought: so\nAction: a"},
        {"role": "user", "content": "saw 'a'"},
    ]
    assert first.chosen == [
        {"role": "assistant", "content": "Thought: so\nAction: b"},
        {"role": "user", "content": "saw 'ab'"},
        {"role": "assistant", "content": "Thought: so\nAction: c"},
    ]
    assert first.rejected == [{"role": "assistant", "content": "Thought: so\nAction: e"}]


def test_aggregation_by_maximum() -> None:
    first, _ = tree_pairs([solved_tree()], minimum_gap=0.0, aggregate="max")
    assert told(first) == ("a", "bc", "e", 1.0, 0.25)


@pytest.mark.parametrize("minimum_gap, divergence", [(0.25, [1, 2]), (0.26, [2]), (1.0, [2])])
def test_minimum_gap(minimum_gap: float, divergence: list[int]) -> None:
    found = tree_pairs([solved_tree()], minimum_gap=minimum_gap, aggregate="mean")
    assert [pair.divergence for pair in found] == divergence


def test_gaps_are_not_judged_by_their_last_bits() -> None:
    assert 0.6 - 0.5 < 0.1 and clears(0.6 - 0.5, minimum_gap=0.1)
    assert 0.1 + 0.2 - 0.3 > 0.0 and not clears(0.1 + 0.2 - 0.3, minimum_gap=0.0)
    assert not clears(0.099, minimum_gap=0.1)


def test_equal_scores_make_no_pair() -> None:
    """Means of three and of one equal score differ in their last bits only."""
    drawn = samples(("aa", 0.1), ("ab", 0.1), ("ac", 0.1), ("b", 0.1))
    assert pairs_of(drawn) == []
    assert pairs_of(drawn, whole_path=True) == []
    assert draw(drawn, count=9) == []


def test_stopping_is_no_side_of_a_pair() -> None:
    assert pairs_of(samples(("ab", 1.0), ("a", 0.0))) == []
    assert divergences(exact_tree(samples(("ab", 1.0), ("a", 0.0))), aggregate="mean") == []


def test_best_is_paired_with_worst_of_many_and_ties_go_to_the_oldest() -> None:
    (pair,) = pairs_of(samples(("a", 0.5), ("b", 0.0), ("c", 1.0), ("d", 1.0), ("e", 0.0)))
    assert told(pair) == ("", "c", "b", 1.0, 0.0)


def test_sides_follow_the_best_and_the_worst_sample_then_the_shorter_then_the_first() -> None:
    drawn = samples(
        *[("ax", 0.5), ("ayyy", 1.0), ("azz", 1.0), ("aww", 1.0)],
        *[("bvvv", 0.0), ("bxx", 0.0), ("by", 0.25), ("bzz", 0.0)],
    )
    assert told(pairs_of(drawn)[0]) == ("", "azz", "bxx", 0.875, 0.0625)


def test_history_is_that_of_the_chosen_sample() -> None:
    drawn = [
        trajectory("ab", sample=0, score=0.0, thought="dull"),
        trajectory("ac", sample=1, score=1.0, thought="keen"),
    ]
    (pair,) = pairs_of(drawn)
    assert pair.history[1]["content"] == "Thought: keen\nAction: a"
    assert [*pair.history, *pair.chosen] == drawn[1].messages()


def test_prompt_opens_the_history_once() -> None:
    (pair,) = pairs_of(samples(("aab", 1.0), ("aac", 0.0)), prompt="You are in a world of letters.")
    texts = [turn["content"] for turn in (*pair.history, *pair.chosen, *pair.rejected)]
    assert texts[0] == "You are in a world of letters.\nsaw ''"
    assert sum("world of letters" in text for text in texts) == 1


def test_children_of_different_observations_are_no_options_of_one_decision() -> None:
    here, there = samples(("a", 1.0), ("b", 0.0))
    there = replace(there, steps=(replace(there.steps[0], observation="elsewhere"),))
    assert pairs_of([here, there]) == []


def test_the_same_action_with_another_thought_is_no_divergence() -> None:
    drawn = [
        trajectory("a", sample=0, score=1.0, thought="x"),
        trajectory("a", sample=1, score=0.0, thought="y"),
        trajectory("b", sample=2, score=0.5, thought="x"),
    ]
    embeddings = {f"saw '' {thought}": vector for thought, vector in zip("xy", np.eye(2), strict=True)}
    tree = build(drawn, merge_key="observation+thought", xi=0.9, embeddings=embeddings)
    assert len(tree.nodes) == 7
    (pair,) = tree_pairs([tree], minimum_gap=0.0, aggregate="mean")
    assert told(pair) == ("", "a", "b", 1.0, 0.5)
    assert (
        divergences(build(drawn[:2], merge_key="observation+thought", xi=0.9, embeddings=embeddings), aggregate="mean")
        == []
    )


def test_the_sides_may_end_early() -> None:
    """With k turns a side is k answers and the k - 1 observations between them; a shorter side stays as it is."""
    drawn = samples(("abcd", 1.0), ("xy", 0.0))
    (whole,) = tree_pairs([exact_tree(drawn)], minimum_gap=0.5, aggregate="mean")
    for turns, chosen, rejected in ((1, "a", "x"), (2, "ab", "xy"), (3, "abc", "xy"), (9, "abcd", "xy")):
        (pair,) = tree_pairs([exact_tree(drawn)], minimum_gap=0.5, aggregate="mean", turns=turns)
        assert told(pair) == ("", chosen, rejected, 1.0, 0.0)
        assert len(pair.chosen) == 2 * len(chosen) - 1
        assert pair.chosen == whole.chosen[: len(pair.chosen)] and pair.history == whole.history
    (uncut,) = tree_pairs([exact_tree(drawn)], minimum_gap=0.5, aggregate="mean", turns=1, whole_path=True)
    assert told(uncut) == ("", "abcd", "xy", 1.0, 0.0)


def test_whole_paths_instead() -> None:
    (pair,) = tree_pairs([solved_tree()], minimum_gap=0.5, aggregate="mean", whole_path=True)
    assert told(pair) == ("", "abc", "abd", 1.0, 0.0)
    assert (pair.divergence, pair.kind, len(pair.history)) == (0, "tree", 1)


def test_pairs_are_numbered_over_all_trees() -> None:
    other = exact_tree([replace(t, task_id="other") for t in samples(("a", 1.0), ("b", 0.0))])
    found = tree_pairs([solved_tree(), other, solved_tree()], minimum_gap=0.0, aggregate="mean")
    assert [(pair.pair_id, pair.task_id) for pair in found] == [
        (0, "task"),
        (1, "task"),
        (2, "other"),
        (3, "task"),
        (4, "task"),
    ]


def test_random_pairs_contrast_whole_trajectories_of_a_task() -> None:
    other = [replace(t, task_id="other") for t in samples(("x", 1.0), ("y", 0.0))]
    drawn = [*samples(("ab", 1.0), ("ac", 0.5), ("d", 0.0)), *other]
    everything = draw(drawn, count=99)
    assert [(pair.pair_id, pair.task_id, *told(pair)[1:3]) for pair in everything] == [
        (0, "task", "ab", "ac"),
        (1, "task", "ab", "d"),
        (2, "task", "ac", "d"),
        (3, "other", "x", "y"),
    ]
    assert {(pair.kind, pair.divergence, len(pair.history)) for pair in everything} == {("random", 0, 1)}
    assert [told(pair)[1:3] for pair in draw(drawn, count=99, minimum_gap=0.75)] == [("ab", "d"), ("x", "y")]


def test_random_pairs_are_as_many_as_asked_for_and_depend_on_the_seed_alone() -> None:
    drawn = samples(("a", 1.0), ("b", 1.0), ("c", 1.0), ("d", 0.0), ("e", 0.0), ("f", 0.0))
    assert len(draw(drawn, count=4)) == 4
    assert draw(drawn, count=4, seed=3) == draw(drawn, count=4, seed=3)
    assert len({str([told(p) for p in draw(drawn, count=4, seed=seed)]) for seed in range(10)}) > 1
    assert draw(drawn, count=0) == draw([], count=5) == []


def test_the_same_responses_scored_differently_are_no_contrast() -> None:
    drawn = samples(("ab", 1.0), ("ab", 0.0))
    assert draw(drawn, count=9) == pairs_of(drawn) == pairs_of(drawn, whole_path=True) == []


def test_eto_sets_the_best_whole_trajectory_of_a_task_against_the_worst() -> None:
    drawn = samples(("abb", 0.5), ("acc", 1.0), ("ad", 1.0), ("b", 0.25), ("dd", 0.0), ("e", 0.0), ("f", 0.0))
    other = [replace(t, task_id="other") for t in samples(("x", 0.25), ("y", 0.5))]
    alike = [replace(t, task_id="alike") for t in samples(("x", 0.5), ("y", 0.5))]
    first, second = eto_pairs([*drawn, *other, *alike], minimum_gap=0.1, prompt="Rules.")
    assert told(first) == ("", "ad", "e", 1.0, 0.0), "the shorter of the best, the first of the shortest worst"
    assert told(second) == ("", "y", "x", 0.5, 0.25)
    assert [(p.kind, p.divergence, p.pair_id, p.task_id) for p in (first, second)] == [
        ("eto", 0, 0, "task"),
        ("eto", 0, 1, "other"),
    ]
    assert first.history == [{"role": "user", "content": "Rules.\nsaw ''"}]
    assert [pair.task_id for pair in eto_pairs([*drawn, *other], minimum_gap=0.26)] == ["task"]
    assert eto_pairs([], minimum_gap=0.0) == eto_pairs(drawn[:1], minimum_gap=0.0) == []


def test_ceiling_sets_the_expert_against_the_policys_own_worst() -> None:
    drawn = samples(("abb", 0.5), ("acc", 1.0), ("dd", 0.0), ("e", 0.0))
    experts = [replace(trajectory("zz", score=1.0), policy="expert")]
    (pair,) = ceiling_pairs(drawn, experts=experts, minimum_gap=0.1)
    assert told(pair) == ("", "zz", "e", 1.0, 0.0)
    assert (pair.kind, pair.divergence, pair.pair_id) == ("ceiling", 0, 0)


def test_ceiling_leaves_out_what_the_expert_does_no_better() -> None:
    expert = replace(trajectory("zz", score=0.5), policy="expert")
    assert ceiling_pairs(samples(("a", 0.5), ("b", 1.0)), experts=[expert], minimum_gap=0.0) == []
    assert ceiling_pairs(samples(("a", 0.25)), experts=[expert], minimum_gap=0.26) == []
    assert len(ceiling_pairs(samples(("a", 0.25)), experts=[expert], minimum_gap=0.25)) == 1
    assert ceiling_pairs(samples(("a", 0.0)), experts=[], minimum_gap=0.0) == [], "not demonstrated"
    assert ceiling_pairs([], experts=[expert], minimum_gap=0.0) == [], "not explored"
    unlike = replace(expert, steps=tuple(replace(step, observation="elsewhere") for step in expert.steps))
    assert ceiling_pairs(samples(("a", 0.0)), experts=[unlike], minimum_gap=0.0) == [], "no h in common"


def test_expert_pairs_part_where_a_sample_first_acts_otherwise() -> None:
    """Samples part from the expert's abc at once, at its second or third action, or not at all."""
    expert = replace(trajectory("abc", score=1.0), policy="expert")
    drawn = samples(("abd", 0.0), ("abda", 0.0), ("ae", 0.0), ("z", 0.25), ("abx", 1.0), ("ab", 0.0))
    found = expert_pairs(drawn, experts=[expert], minimum_gap=0.5)
    assert [told(pair) for pair in found] == [
        ("ab", "c", "d", 1.0, 0.0),
        ("a", "bc", "e", 1.0, 0.0),
        ("", "abc", "z", 1.0, 0.25),
    ], "an action counts once a place; a sample as good as the expert, or one that stops early, gives no pair"
    assert [(pair.kind, pair.pair_id) for pair in found] == [("expert", 0), ("expert", 1), ("expert", 2)]
    (_, second, third) = expert_pairs(drawn, experts=[expert], minimum_gap=0.5, turns=1)
    assert (told(second)[:3], told(third)[:3]) == (("a", "b", "e"), ("", "a", "z"))
    assert expert_pairs(drawn, experts=[expert], minimum_gap=0.8)[-1].rejected_score == 0.0
    assert expert_pairs(drawn, experts=[], minimum_gap=0.5) == []
    elsewhere = replace(expert, steps=tuple(replace(step, observation="elsewhere") for step in expert.steps))
    assert expert_pairs(drawn, experts=[elsewhere], minimum_gap=0.5) == [], "no h in common"


def test_shuffled_labels_change_sides_of_half_the_pairs_and_nothing_else() -> None:
    pairs = tree_pairs([solved_tree()] * 200, minimum_gap=0.0, aggregate="mean")
    found = shuffled(pairs, rng=np.random.default_rng(0))
    turned = [new.chosen == old.rejected and new.rejected == old.chosen for new, old in zip(found, pairs, strict=True)]
    kept = [new.chosen == old.chosen and new.rejected == old.rejected for new, old in zip(found, pairs, strict=True)]
    assert [a != b for a, b in zip(turned, kept, strict=True)] == [True] * 400
    assert 160 < sum(turned) < 240
    assert all(
        replace(new, kind="tree", chosen=old.chosen, rejected=old.rejected) == old
        for new, old in zip(found, pairs, strict=True)
    )
    assert found == shuffled(pairs, rng=np.random.default_rng(0))


def test_whole_pair_carries_its_kind_and_prompt() -> None:
    pair = whole_pair(*samples(("ab", 1.0), ("c", 0.0)), kind="ceiling", prompt="Rules.")
    assert pair.kind == "ceiling"
    assert pair.history == [{"role": "user", "content": "Rules.\nsaw ''"}]
    assert told(pair) == ("", "ab", "c", 1.0, 0.0)


builders: list[Callable[[list[Trajectory], float], list[Pair]]] = [
    lambda drawn, gap: pairs_of(drawn, minimum_gap=gap),
    lambda drawn, gap: pairs_of(drawn, minimum_gap=gap, aggregate="max"),
    lambda drawn, gap: pairs_of(drawn, minimum_gap=gap, whole_path=True),
    lambda drawn, gap: draw(drawn, count=5, minimum_gap=gap),
    lambda drawn, gap: eto_pairs(drawn, minimum_gap=gap),
    lambda drawn, gap: ceiling_pairs(drawn[1:], experts=drawn[:1], minimum_gap=gap),
    lambda drawn, gap: expert_pairs(drawn[1:], experts=drawn[:1], minimum_gap=gap),
]


@pytest.mark.parametrize("builder", builders, ids=["mean", "max", "whole", "random", "eto", "ceiling", "expert"])
@given(drawn=sample_sets, gap=st.sampled_from([0.0, 0.25, 0.5]))
def test_every_pair_is_a_valid_record_of_recorded_sides(builder: Callable, drawn: list[Trajectory], gap: float) -> None:
    recorded = [t.messages() for t in drawn]
    for pair in builder(drawn, gap):
        pair.check()
        assert pair.chosen_score - pair.rejected_score >= gap - 1e-9
        assert len(pair.history) == 2 * pair.divergence + 1
        assert [*pair.history, *pair.chosen] in recorded
        assert [*pair.history, *pair.rejected] in recorded


@given(sample_sets)
def test_tree_pairs_part_at_their_first_response_from_one_node(drawn: list[Trajectory]) -> None:
    found = pairs_of(drawn)
    assert all(pair.chosen[0] != pair.rejected[0] for pair in found)
    histories = [str(pair.history) for pair in found]
    assert len(set(histories)) == len(histories) <= len(drawn) - 1


@given(sample_sets)
def test_aggregated_scores_lie_within_the_scores_below(drawn: list[Trajectory]) -> None:
    tree = exact_tree(drawn)
    for aggregate in ("mean", "max"):
        for found in divergences(tree, aggregate=aggregate):
            for child, score in ((found.best, found.best_score), (found.worst, found.worst_score)):
                assert min(tree.scores(child)) - 1e-9 <= score <= max(tree.scores(child)) + 1e-9
            assert found.gap >= 0


@pytest.mark.parametrize("make", [ceiling_pairs, expert_pairs])
def test_the_first_expert_of_a_task_counts_and_the_prompt_opens(make: Callable[..., list[Pair]]) -> None:
    experts = [replace(trajectory(word, score=1.0), policy="expert") for word in ("zz", "yy")]
    (pair,) = make(samples(("ab", 0.0)), experts=experts, minimum_gap=0.1, prompt="Rules.")
    assert told(pair) == ("", "zz", "ab", 1.0, 0.0)
    assert pair.history[0]["content"] == "Rules.\nsaw ''"


def test_the_prompt_opens_random_pairs_and_whole_paths() -> None:
    drawn = samples(("ab", 1.0), ("c", 0.0))
    (one,) = random_pairs(drawn, rng=np.random.default_rng(0), count=1, minimum_gap=0.0, prompt="Rules.")
    (two,) = tree_pairs([exact_tree(drawn)], minimum_gap=0.0, aggregate="mean", whole_path=True, prompt="Rules.")
    assert one.history == two.history == [{"role": "user", "content": "Rules.\nsaw ''"}]


def test_one_task_number_in_two_environments_is_two_tasks() -> None:
    drawn = samples(("a", 1.0), ("b", 0.0))
    other = [replace(each, environment="numbers") for each in drawn]
    assert len(eto_pairs([*drawn, *other], minimum_gap=0.0)) == 2


def test_ways_part_where_what_was_seen_differs() -> None:
    """The same first action, and another observation after it: the rejected side never followed that history."""
    expert = replace(trajectory("abc", score=1.0), policy="expert")
    (own,) = samples(("abd", 0.0))
    own = replace(own, steps=(own.steps[0], replace(own.steps[1], observation="elsewhere"), *own.steps[2:]))
    assert expert_pairs([own], experts=[expert], minimum_gap=0.5) == []
