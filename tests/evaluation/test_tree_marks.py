"""What is marked in a tree: what decided it, e*, pairs, the expert's way; and the smaller trees within it."""

from dataclasses import replace
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given

from trees.examples import exact_tree, sample_sets, samples, solved_tree, trajectory
from w2sg.contracts.trajectories import Trajectory, conversation
from w2sg.evaluation.measures.tree_marks import deciding, experts_way, explained, first_samples, followed, parting, ucb
from w2sg.evaluation.report.viewer import path_nodes
from w2sg.trees.mcts import Statistics, extract, search, searches
from w2sg.trees.pairs import divergences, tree_pairs

from .builders import path_of, tree


@given(sample_sets)
def test_the_first_samples_of_a_tree_are_the_tree_of_the_first_samples(drawn: list[Trajectory]) -> None:
    whole = exact_tree(drawn)
    for count in range(1, len(drawn) + 1):
        assert first_samples(whole, count) == exact_tree(drawn[:count])


def test_a_conversation_is_followed_in_the_words_of_whichever_sample_said_them() -> None:
    first, second = trajectory("abc", thought="so"), trajectory("abd", sample=1, thought="but")
    grown = exact_tree([first, second])
    assert followed(grown, conversation(second.steps, prompt="Be helpful.")) == (0, 1, 2, 5)
    mixed = [*conversation(first.steps)[:2], *conversation(second.steps)[2:]]
    assert followed(grown, mixed) == (0, 1, 2, 5), "of several samples"
    assert followed(grown, conversation(trajectory("axc", thought="so").steps)) == (0, 1)
    assert path_nodes(grown, path_of(replace(second, task_id="task"))) == {0, 1, 2, 5, 6}


@pytest.mark.parametrize("whole_path", [False, True])
def test_a_pair_is_found_where_its_sides_part(whole_path: bool) -> None:
    grown = tree()
    found = tree_pairs([grown], minimum_gap=0.0, aggregate="mean", whole_path=whole_path, turns=1, prompt="Be helpful.")
    places = [parting(grown, pair) for pair in found]
    known = {d.parent: d for d in divergences(grown, aggregate="mean")}
    assert places and all(places)
    for parent, chosen, rejected in filter(None, places):
        assert grown.nodes[chosen].parent == grown.nodes[rejected].parent == parent
        assert whole_path or (chosen, rejected) == (known[parent].best, known[parent].worst)
    elsewhere = tree(ways=[(("dance",), 1.0), (("sing",), 0.0)])
    assert parting(elsewhere, found[-1]) is None


def test_the_experts_way_ends_where_no_sample_did_the_same() -> None:
    grown = solved_tree()
    assert experts_way(grown, trajectory("abd")) == (0, 1, 2, 5)
    assert experts_way(grown, trajectory("abx")) == (0, 1, 2)
    assert experts_way(grown, trajectory("x")) == (0,)


def test_what_decided_a_task_explains_most_of_the_variance() -> None:
    grown = exact_tree(samples(*[("abx", 1.0)] * 3, ("aby", 0.0), *[("ac", 0.0)] * 4))
    first, second = divergences(grown, aggregate="mean")
    assert (first.gap, second.gap) == (0.75, 1.0)
    assert explained(grown, first) == pytest.approx(0.75**2 * 4 * 4 / 8)
    assert explained(grown, second) == pytest.approx(1 * 3 * 1 / 4)
    assert deciding(grown, minimum_gap=0.5, aggregate="mean") == first, "of more samples, if of a smaller gap"
    assert deciding(grown, minimum_gap=0.9, aggregate="mean") == second, "the other is not informative then"
    assert deciding(exact_tree(samples(("a", 1.0), ("b", 1.0))), minimum_gap=0.0, aggregate="mean") is None


def test_ucb_is_that_of_equation_7() -> None:
    grown = solved_tree()
    known = search(grown, gamma=1.41, iterations=40, rng=np.random.default_rng(3))
    values = ucb(grown, known, gamma=1.41)
    value, visits = known.reward[3] / known.visits[3], known.visits
    assert values[3] == pytest.approx(value + 1.41 * sqrt(log(visits[3] + visits[5] + visits[7]) / visits[3]))
    assert 0 not in values and len(values) == len(grown.nodes) - 1
    unseen = Statistics(reward=[0.0] * len(grown.nodes), visits=[0] * len(grown.nodes))
    assert ucb(grown, unseen, gamma=1.41) == {}


def test_trees_are_searched_in_their_order_with_one_generator() -> None:
    trees = {"t1": tree(task="t1"), "t2": tree(task="t2")}
    rng = np.random.default_rng(5)
    one_by_one = {name: search(each, gamma=1.0, iterations=30, rng=rng) for name, each in trees.items()}
    found = dict(searches(trees, gamma=1.0, iterations=30, seed=5))
    assert found == one_by_one
    assert extract(trees["t1"], statistics=found["t1"], ties="shortest").value == 1.0
