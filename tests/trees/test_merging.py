from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sg.contracts.errors import UserError
from w2sg.contracts.trajectories import Step, Trajectory
from w2sg.trees.merging import Merges, build, count_merges, key_text, similarity
from w2sg.trees.tree import ROOT, TrajectoryTree

from .examples import exact_tree, sample_sets, samples, solved_tree, trajectory

ANGLES = {"kitchen": 0, "the kitchen": 20, "a kitchen": 30, "garden": 90}  # degrees
EMBEDDINGS = {
    text: np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))], np.float32) for text, angle in ANGLES.items()
}


def one_step(observation: str, *, action: str = "go", thought: str = "so", valid: bool = True) -> Trajectory:
    response = f"{thought}: {action}"
    step = Step(observation, thought, action if valid else "", response, "done", 0.5, valid)
    return replace(trajectory("a"), steps=(step,))


def merge(*trajectories: Trajectory, xi: float = 0.9, merge_key: str = "observation") -> TrajectoryTree:
    return build(trajectories, merge_key=merge_key, xi=xi, embeddings=EMBEDDINGS)


def groups(tree: TrajectoryTree) -> list[tuple[int, ...]]:
    """Which samples share each child of the root."""
    return [tree.nodes[child].members for child in tree.nodes[ROOT].children]


def shape(tree: TrajectoryTree) -> set[object]:
    """The tree without its numbering: who passes through which sequence of steps, and what is earned there."""
    rows = set()
    for number, node in enumerate(tree.nodes):
        steps = tuple(
            (tree.step(v).observation, tree.step(v).action) for v in tree.path(number) if v and not tree.nodes[v].stop
        )
        visitors = frozenset(tree.trajectories[sample].sample for sample in node.members)
        rows.add((steps, node.stop, visitors, node.total_reward))
    return rows


def test_golden_tree() -> None:
    tree = solved_tree()
    assert [node.parent for node in tree.nodes] == [-1, 0, 1, 2, 3, 2, 5, 2, 1, 8]
    assert [node.depth for node in tree.nodes] == [0, 1, 2, 3, 3, 3, 3, 2, 2, 2]
    assert [node.visits for node in tree.nodes] == [4, 4, 3, 1, 1, 1, 1, 1, 1, 1]
    assert [node.total_reward for node in tree.nodes] == [0, 0, 0, 0, 1.0, 0, 0.0, 0.5, 0, 0.25]
    assert tree.nodes[2].children == (3, 5, 7)


def test_equal_samples_share_their_stop_leaf() -> None:
    tree = exact_tree(samples(("ab", 1.0), ("ab", 0.0)))
    (stop,) = tree.stops
    assert (tree.nodes[stop].visits, tree.nodes[stop].total_reward, tree.nodes[stop].mean_score) == (2, 1.0, 0.5)


def test_a_success_that_is_the_prefix_of_a_longer_failure_keeps_its_score() -> None:
    tree = exact_tree(samples(("abc", 0.0), ("ab", 1.0)))
    assert [tree.nodes[stop].mean_score for stop in tree.stops] == [0.0, 1.0]


def test_threshold_is_on_the_cosine_of_the_observations() -> None:
    assert groups(merge(one_step("kitchen"), one_step("the kitchen"), one_step("garden"))) == [(0, 1), (2,)]
    assert groups(merge(one_step("kitchen"), one_step("a kitchen"))) == [(0,), (1,)]
    assert groups(merge(one_step("kitchen"), one_step("a kitchen"), xi=0.86)) == [(0, 1)]


def test_actions_merge_only_when_equal() -> None:
    assert groups(merge(one_step("kitchen", action="go north"), one_step("kitchen", action="go  north"))) == [
        (0,),
        (1,),
    ]


def test_the_most_similar_child_wins() -> None:
    assert groups(merge(one_step("kitchen"), one_step("a kitchen"), one_step("the kitchen"))) == [(0,), (1, 2)]


def test_of_equally_similar_children_the_oldest_wins() -> None:
    same = {"left": np.array([-1.0, 0.0]), "right": np.array([1.0, 0.0]), "up": np.array([0.0, 1.0])}
    drawn = [one_step("right"), one_step("left"), one_step("up")]
    tree = build(drawn, merge_key="observation", xi=-0.5, embeddings=same)
    assert groups(tree) == [(0, 2), (1,)]


def test_a_node_keeps_the_texts_of_its_first_sample() -> None:
    tree = merge(one_step("kitchen", thought="first"), one_step("the kitchen", thought="second"))
    assert tree.step(1).thought == "first"


def test_merge_keys() -> None:
    step = one_step("kitchen", thought="hm").steps[0]
    assert key_text(step, merge_key="observation") == "kitchen"
    assert key_text(step, merge_key="exact") == "kitchen"
    assert key_text(step, merge_key="observation+thought") == "kitchen hm"
    drawn = [
        one_step("kitchen", thought="hm"),
        one_step("kitchen", thought="aha"),
        one_step("the kitchen", thought="hm"),
    ]
    assert groups(merge(*drawn)) == [(0, 1, 2)]
    assert groups(merge(*drawn, merge_key="exact")) == [(0, 1), (2,)]
    apart = {
        "kitchen hm": np.array([1.0, 0.0]),
        "kitchen aha": np.array([0.0, 1.0]),
        "the kitchen hm": np.array([0.99, 0.1]),
    }
    assert groups(build(drawn, merge_key="observation+thought", xi=0.9, embeddings=apart)) == [(0, 2), (1,)]


def test_counts_of_merges() -> None:
    drawn = [one_step("kitchen"), one_step("the kitchen"), one_step("kitchen"), one_step("a kitchen")]
    assert [count_merges(merge(*drawn, xi=xi)) for xi in (1.0, 0.9, 0.8)] == [
        Merges(steps=4, merged=1, differing=0),
        Merges(steps=4, merged=2, differing=1),
        Merges(steps=4, merged=3, differing=2),
    ]
    assert count_merges(solved_tree()) == Merges(steps=10, merged=5, differing=0)


@given(sample_sets)
def test_in_a_deterministic_world_the_threshold_decides_nothing(drawn: list[Trajectory]) -> None:
    """Equal actions from the root on have led to equal observations: whatever would be merged is the same text."""
    texts = sorted({step.observation for t in drawn for step in t.steps})
    alike = {text: np.array([1.0, 0.0]) for text in texts}
    tree = build(drawn, merge_key="observation", xi=-1.0, embeddings=alike)
    assert tree == exact_tree(drawn)
    assert count_merges(tree).differing == 0


def test_steps_without_an_action_are_told_apart_by_their_response() -> None:
    drawn = [one_step("kitchen", thought=thought, valid=False) for thought in ("mumble", "grumble", "mumble")]
    assert groups(merge(*drawn)) == [(0, 2), (1,)]


def test_a_response_without_an_action_is_not_an_action_of_the_same_text() -> None:
    acted = one_step("kitchen", action="go")
    silent = replace(acted, steps=(replace(acted.steps[0], action="", response="go", valid=False),))
    assert groups(merge(acted, silent)) == [(0,), (1,)]


def test_a_missing_embedding_is_named_on_one_line() -> None:
    with pytest.raises(UserError, match=r"no vector for the text 'attic\\nstairs'") as raised:
        merge(one_step("kitchen"), one_step("attic\nstairs"))
    assert "\n" not in str(raised.value)


def test_equal_texts_are_similar_whatever_rounding_does() -> None:
    short = {"x": np.array([0.6, 0.79], np.float32), "y": np.array([2.0, 0.0], np.float32)}
    assert similarity("x", "x", merge_key="observation", embeddings=short) == 1.0
    assert similarity("x", "y", merge_key="observation", embeddings=short) == 1.0


@given(sample_sets)
def test_data_visits_and_rewards_add_up(drawn: list[Trajectory]) -> None:
    tree = exact_tree(drawn)
    assert tree.nodes[ROOT].visits == len(drawn)
    for node in tree.nodes:
        if not node.stop:
            below = [sample for child in node.children for sample in tree.nodes[child].members]
            assert sorted(below) == list(node.members)
    assert sum(tree.nodes[stop].total_reward for stop in tree.stops) == sum(t.score for t in drawn)


@given(sample_sets)
def test_every_sample_follows_its_own_actions_to_its_leaf(drawn: list[Trajectory]) -> None:
    tree = exact_tree(drawn)
    for stop in tree.stops:
        actions = [tree.step(number).action for number in tree.path(stop)[1:-1]]
        for sample in tree.nodes[stop].members:
            assert [step.action for step in tree.trajectories[sample].steps] == actions


@given(st.randoms(use_true_random=False), sample_sets)
def test_order_of_the_samples_changes_only_the_order_of_an_exact_tree(random: object, drawn: list[Trajectory]) -> None:
    shuffled = list(drawn)
    random.shuffle(shuffled)
    assert shape(exact_tree(shuffled)) == shape(exact_tree(drawn))


def test_every_order_gives_the_solved_tree() -> None:
    for order in permutations(solved_tree().trajectories):
        assert shape(exact_tree(order)) == shape(solved_tree())


@given(sample_sets)
def test_a_threshold_of_one_over_distinct_embeddings_is_exact_merging(drawn: list[Trajectory]) -> None:
    texts = sorted({step.observation for t in drawn for step in t.steps})
    embeddings = dict(zip(texts, np.eye(len(texts)), strict=True))
    assert build(drawn, merge_key="observation", xi=1.0, embeddings=embeddings) == exact_tree(drawn)
