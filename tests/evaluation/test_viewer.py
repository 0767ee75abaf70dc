"""The drawn tree and the choice of episodes."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from w2sg.config.data import Aggregate
from w2sg.contracts.trajectories import Step
from w2sg.evaluation.report import viewer
from w2sg.trees import merging
from w2sg.trees.pairs import tree_pairs

from .builders import WAYS, episode, path_of, trajectory, tree

NAMESPACE = "{http://www.w3.org/2000/svg}"


def test_every_node_is_drawn_and_hoverable() -> None:
    drawn = tree()
    root = ElementTree.fromstring(viewer.tree_svg(drawn))
    groups = root.findall(f"{NAMESPACE}g")
    assert len(groups) == len(drawn.nodes)
    titles = [group.findtext(f"{NAMESPACE}title") or "" for group in groups]
    assert any(
        "Observation: You go to drawer 1." in text and "Thought: I will open drawer 1." in text for text in titles
    )
    assert len(root.findall(f"{NAMESPACE}path")) == len(drawn.nodes) - 1


def test_places_are_distinct_and_children_lie_below() -> None:
    drawn = tree()
    places = viewer._layout(drawn)
    assert len({(place.x, place.y) for place in places.values()}) == len(drawn.nodes)
    assert all(places[number].y > places[node.parent].y for number, node in enumerate(drawn.nodes) if number)


def test_success_failure_and_partings_look_different() -> None:
    svg = viewer.tree_svg(tree())
    assert svg.count("success ×2") == 1
    assert svg.count("success ×1") == 1
    assert svg.count("failure ×1") == 3
    # after the drawer (open it or not), after taking the mug (sink or cabinet), after the open fridge
    assert svg.count("Here outcomes part") == 3
    assert svg.count("Here outcomes part: the best way scores 1.00 more") == 2
    assert viewer.tree_svg(tree(), minimum_gap=0.9).count("Here outcomes part") == 2


@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_diamonds_are_where_pairs_are_made(aggregate: Aggregate) -> None:
    ways = [(("look", "take mug 1"), 1.0), (("look", "go to drawer 1"), 0.0), (("inventory",), 0.5)]
    drawn = tree(ways=ways)
    pairs = tree_pairs([drawn], minimum_gap=0.1, aggregate=aggregate)
    svg = viewer.tree_svg(drawn, minimum_gap=0.1, aggregate=aggregate)
    assert svg.count("Here outcomes part") == len(pairs) == (1 if aggregate == "mean" else 2)


def test_colours_run_from_red_over_amber_to_green() -> None:
    assert [viewer._colour(score) for score in (0.0, 0.5, 1.0)] == ["#c43c1e", "#d6aa3c", "#008c64"]


def test_the_words_of_a_path_are_found_in_the_tree() -> None:
    drawn = tree()
    path = path_of(drawn.trajectories[4], prompt="Be helpful.")
    nodes = viewer.path_nodes(drawn, path)
    leaf = next(number for number in drawn.stops if 4 in drawn.nodes[number].members)
    assert nodes == frozenset(drawn.path(leaf))
    assert viewer.tree_svg(drawn, path=nodes).count('class="halo"') == len(nodes) - 1
    foreign = path_of(trajectory(["go to drawer 1", "dance"]))
    assert len(viewer.path_nodes(drawn, foreign)) == 2


def test_hostile_texts_stay_texts() -> None:
    said = Step("<script>\x00", "& so", "</text><b>", "r", "o", 1.0)
    one = replace(trajectory(["look"]), task_id="<t>", steps=(said,))
    svg = viewer.tree_svg(merging.build([one], merge_key="exact", xi=0.9, embeddings={}))
    assert "<script>" not in svg
    (action,) = [e.text for e in ElementTree.fromstring(svg).iter(f"{NAMESPACE}tspan") if "b>" in (e.text or "")]
    assert action == "</text><b>"


def test_the_tree_with_most_partings_that_fits_is_chosen() -> None:
    plain = tree(task="plain", ways=[(("look",), 1.0), (("go to drawer 1",), 0.0)])
    rich = tree(task="rich")
    long = tree(task="long", ways=[*WAYS, (("go to fridge 1", *["look"] * 80), 0.0), (("look", "look"), 1.0)])
    lost = tree(task="lost", ways=[(("look",), 0.0), (("go to drawer 1",), 0.0)])
    trees = {t.task_id: t for t in (plain, rich, long, lost)}
    assert viewer.choose_tree(trees, minimum_gap=0.0, aggregate="mean") is rich
    assert viewer.choose_tree({"long": long}, minimum_gap=0.0, aggregate="mean") is long
    assert viewer.choose_tree({"lost": lost}, minimum_gap=0.0, aggregate="mean") is None


def test_episodes_are_of_the_task_where_scores_differ_most() -> None:
    episodes = [
        episode("sft_strong", task="a", score=1.0),
        episode("w2s_dpo", task="a", score=1.0),
        episode("sft_weak", task="a", score=0.0, steps=9),
        episode("sft_strong", task="b", score=0.0),
        episode("w2s_dpo", task="b", score=1.0),
        episode("sft_weak", task="b", score=0.0),
        episode("sft_weak", task="b", score=1.0, seed=1),
        episode("sft_weak", task="c", score=1.0, split="seen"),
    ]
    chosen = viewer.episodes_side_by_side(episodes, split="unseen")
    assert [(e.model, e.trajectory.task_id, e.seed) for e in chosen] == [
        ("sft_weak", "b", 0),
        ("w2s_dpo", "b", 0),
        ("sft_strong", "b", 0),
    ]
    assert viewer.episodes_side_by_side(episodes, split="seen") == []


def test_a_label_shows_what_tells_a_way_from_those_beside_it() -> None:
    wanted = "search[sugar free popcorn with sea salt, price lower than"
    ways = [((f"{wanted} {price}]",), score) for price, score in (("60.00 dollars", 1.0), ("70.00 dollars", 0.0))]
    ways += [(("look",), 0.0)]
    drawn = tree(ways=ways)
    lines = {tuple(viewer.label_lines(drawn, n)) for n in drawn.nodes[0].children}
    assert lines == {
        ("search[su… lower than", "60.00 dollars]"),
        ("search[su… lower than", "70.00 dollars]"),
        ("look",),
    }
    texts = [e.text for e in ElementTree.fromstring(viewer.tree_svg(drawn)).iter(f"{NAMESPACE}tspan")]
    assert {"60.00 dollars]", "70.00 dollars]"} <= set(texts)


def test_labels_of_any_length_fit_beside_their_node() -> None:
    for length in (5, 25, 26, 50, 51, 80, 400):
        for words in ("x" * length, ("word " * length)[:length].strip()):
            drawn = tree(ways=[((words,), 1.0), ((f"{words}y",), 0.0)])
            for number in drawn.nodes[0].children:
                lines = viewer.label_lines(drawn, number)
                assert 1 <= len(lines) <= viewer.LINES and max(map(len, lines)) <= viewer.CHARACTERS


def test_a_page_of_webshop_has_a_line_a_part() -> None:
    assert viewer.parted("WebShop [SEP] Instruction: [SEP]  [SEP] i want") == "WebShop\nInstruction:\ni want"
    assert viewer.parted("You see  a [mug].") == "You see  a [mug]."
