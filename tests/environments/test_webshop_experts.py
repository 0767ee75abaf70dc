"""The scripted shopper: what it reads, how it decides, and how well its demonstrations do."""

import random
import re
from itertools import pairwise
from pathlib import Path
from statistics import mean

import numpy as np
import pytest

from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory
from w2sg.contracts.turns import parse_response
from w2sg.environments.webshop.experts.demonstrations import expert_trajectory
from w2sg.environments.webshop.experts.reading import SEPARATOR, read_instruction, read_page
from w2sg.environments.webshop.experts.shopper import Shopper
from w2sg.environments.webshop.tasks.generator import generate
from w2sg.environments.webshop.world.catalogue import load
from w2sg.environments.webshop.world.environment import WebshopEnvironment, make_task
from w2sg.environments.webshop.world.goals import Goal, draw_goals, draw_prices

from . import webshop_examples
from .webshop_examples import SHIRT, small_session

GOODS = r"[a-z0-9 ]+"
PARTS = r"[a-z0-9]+( [a-z]+)*(, [a-z0-9]+( [a-z]+)*)*"
OFFER = rf"( \[SEP\] [A-Z]{{2}}\d \[SEP\] {GOODS} \[SEP\] \$\d+\.0( to \$\d+\.0)?)"
THOUGHT = re.compile(
    rf"find {GOODS}(, [a-z0-9]+)*, under \d+|need {GOODS} under \d+; (Next >{OFFER}+|none here)"
    rf"|need {PARTS}; [A-Z]{{2}}\d (no )?({PARTS}|\d+)(; buy)?|need {PARTS}; have {PARTS}; (pick [a-z0-9]+|buy)"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalogue")
    generate(path, products=1000, seed=1)
    return path


@pytest.fixture(scope="module")
def goals(folder: Path) -> list[Goal]:
    catalogue, rng = load(folder), random.Random(0)
    return draw_goals(catalogue, draw_prices(catalogue, rng), rng, human=True)


@pytest.fixture(scope="module")
def environment(folder: Path) -> WebshopEnvironment:
    return WebshopEnvironment(folder)


def task(goal: Goal, *, max_steps: int = 10) -> Task:
    return make_task(goal, task_id="t", split="train", task_type=goal.category, seed=0, max_steps=max_steps)


@pytest.fixture(scope="module")
def demonstrations(environment: WebshopEnvironment, goals: list[Goal]) -> list[Trajectory]:
    return [expert_trajectory(environment, task(goal), np.random.default_rng(0)) for goal in goals[:150]]


def test_every_generated_instruction_is_read_as_it_was_meant(goals: list[Goal]) -> None:
    assert len(goals) > 1500
    for goal in goals:
        wish = read_instruction(goal.instruction_text)
        assert (wish.kind, wish.cap, wish.words) == (goal.query, goal.price_upper, ()), goal.instruction_text
        assert sorted(wish.attributes) == sorted(goal.attributes), goal.instruction_text
        assert sorted(wish.options) == sorted(goal.goal_options), goal.instruction_text


@pytest.mark.parametrize(
    ("text", "kind", "attributes", "words", "options"),
    [
        ("i need a cotton shirt in red.", "shirt", ("cotton",), (), ("red",)),
        ("find me chips without gluten, that must be vegan", "chips", ("gluten free", "vegan"), (), ()),
        ("i want a pink 2 pack hair towel", "", (), ("2", "pack", "hair", "towel"), ("pink",)),
        ("show me a mint green cotton dress", "dress", ("cotton",), ("mint",), ("green",)),
    ],
)
def test_instructions_in_other_words_are_read_as_far_as_possible(
    text: str, kind: str, attributes: tuple[str, ...], words: tuple[str, ...], options: tuple[str, ...]
) -> None:
    wish = read_instruction(text)
    assert (wish.kind, wish.attributes, wish.words, wish.options) == (kind, attributes, words, options)
    assert wish.cap == float("inf")


WISH = "i need a cotton shirt in red and size small, and price lower than 40.00 dollars"
HEAD = f"Instruction: [SEP] {WISH} [SEP] Back to Search"
OFFERS = [
    ("A11", "cotton dress", "$25.0"),
    ("B22", "cotton shirt", "$55.0"),
    ("C33", "cotton shirt", "$32.0 to $41.0"),
    ("D44", "linen shirt", "$35.0"),
    ("E55", "cotton shirt", "$31.0"),
]
RESULTS = " [SEP] ".join([HEAD, "Page 1 (Total results: 5)", "Next >", *(part for offer in OFFERS for part in offer)])


def item(title: str, price: str, *options: str) -> str:
    shown = ["< Prev", *options, title, f"Price: {price}", "Rating: N.A."]
    return " [SEP] ".join([HEAD, *shown, "Description", "Features", "Reviews", "Buy Now"])


def clicks(*values: str) -> list[str]:
    return ["click[back to search]", "click[< prev]", "click[features]", *(f"click[{value}]" for value in values)]


def at_results() -> Shopper:
    agent = Shopper(f"WebShop [SEP] Instruction: [SEP] {WISH} [SEP] Search", max_steps=20)
    assert agent.decide(["search[...]"]) == (
        "find cotton shirt, red, small, under 40",
        "search[cotton shirt red small]",
    )
    agent.read("search[cotton shirt red small]", RESULTS, offered=["search[...]"])
    return agent


def test_it_opens_the_first_of_the_kind_below_the_cap() -> None:
    """Its thought reads down the page to what it opens."""
    thought, action = at_results().decide([])
    down = RESULTS[RESULTS.index("Next >") : RESULTS.index("$35.0")] + "$35.0"
    assert thought == f"need cotton shirt under 40; {down}"
    assert action == "click[D44]"


def test_it_looks_up_what_the_title_does_not_tell_then_leaves_and_takes_the_next() -> None:
    agent = at_results()
    page, offered = item("linen shirt", "$35.0", "color", "red", "size", "small"), clicks("red", "small")
    agent.read("click[D44]", page, offered=[])
    assert agent.decide(offered) == ("need cotton; D44 linen shirt", "click[features]")
    agent.read("click[features]", f"{HEAD} [SEP] < Prev [SEP] it is linen [SEP] it is soft", offered=offered)
    assert agent.decide(clicks()) == ("need cotton; D44 nothing", "click[< prev]")
    agent.read("click[< prev]", page, offered=clicks())
    assert agent.decide(offered) == ("need cotton; D44 no cotton", "click[< prev]")
    agent.read("click[< prev]", RESULTS, offered=offered)
    thought, action = agent.decide([])
    assert thought.endswith(" [SEP] E55 [SEP] cotton shirt [SEP] $31.0")
    assert action == "click[E55]"


def test_it_chooses_every_option_and_mends_a_wrong_one_before_it_buys() -> None:
    agent = at_results()
    page = item("cotton shirt", "$31.0", "color", "blue", "red", "size", "small", "large")
    offered = clicks("blue", "red", "small", "large")
    agent.read("click[E55]", page, offered=[])
    turns = []
    for stray in (None, "click[large]", "click[blue]", None, None, None):
        thought, action = agent.decide(offered)
        turns.append(thought)
        agent.read(stray or action, page, offered=offered)
    have = ["none", "red", "red", "none", "red", "red, small"]
    then = ["pick red", "pick small", "pick small", "pick red", "pick small", "buy"]
    assert turns == [f"need red, small; have {h}; {t}" for h, t in zip(have, then, strict=True)]


@pytest.mark.parametrize(
    ("page", "offered", "thought"),
    [
        (
            item("cotton dress", "$31.0", "color", "red", "size", "small"),
            clicks("red", "small"),
            "need shirt; A11 cotton dress",
        ),
        (
            item("cotton shirt", "$55.0", "color", "red", "size", "small"),
            clicks("red", "small"),
            "need under 40; A11 55",
        ),
        (item("cotton shirt", "$31.0", "color", "red"), clicks("red"), "need red, small; A11 no small"),
    ],
)
def test_it_leaves_what_does_not_fit(page: str, offered: list[str], thought: str) -> None:
    agent = at_results()
    agent.read("click[A11]", page, offered=[])
    assert agent.decide(offered) == (thought, "click[< prev]")


def test_demonstrations_mostly_reach_the_full_reward(demonstrations: list[Trajectory]) -> None:
    assert mean(trajectory.score for trajectory in demonstrations) > 0.9
    assert 0.85 < mean(trajectory.success for trajectory in demonstrations) < 1.0  # no goal is peeped at
    assert all(trajectory.completed and trajectory.policy == "expert" for trajectory in demonstrations)
    assert mean(len(trajectory.steps) for trajectory in demonstrations) < 7


def test_every_thought_has_a_fixed_form_and_no_action_is_lost(demonstrations: list[Trajectory]) -> None:
    for trajectory in demonstrations:
        for step in trajectory.steps:
            assert THOUGHT.fullmatch(step.thought), step.thought
            assert len(step.thought.split(SEPARATOR)[0].split()) <= 20
            assert parse_response(step.response) == (step.thought, step.action)
        assert all(one.next_observation == other.observation for one, other in pairwise(trajectory.steps))
        assert all(
            one.action != other.action for one, other in pairwise(trajectory.steps) if "< prev" not in one.action
        )


def test_the_same_task_gives_the_same_demonstration(environment: WebshopEnvironment, goals: list[Goal]) -> None:
    one, other = (expert_trajectory(environment, task(goals[0]), np.random.default_rng(seed)) for seed in (0, 1))
    assert one == other


def test_plain_thoughts_are_sentences(environment: WebshopEnvironment, goals: list[Goal]) -> None:
    plain = expert_trajectory(environment, task(goals[0]), np.random.default_rng(0), style="plain")
    brief = expert_trajectory(environment, task(goals[0]), np.random.default_rng(0))
    assert [step.action for step in plain.steps] == [step.action for step in brief.steps]
    assert plain.steps[0].thought.startswith("I have to find ")
    assert all(step.thought.endswith(".") for step in plain.steps)


def test_it_buys_before_a_short_episode_ends(environment: WebshopEnvironment, goals: list[Goal]) -> None:
    for goal in goals[:30]:
        assert expert_trajectory(environment, task(goal, max_steps=3), np.random.default_rng(0)).completed


def test_it_recovers_from_anything(environment: WebshopEnvironment, goals: list[Goal]) -> None:
    scores = []
    for number, goal in enumerate(goals[:40]):
        rng = random.Random(number)
        goal_task = task(goal, max_steps=40)
        agent = Shopper(environment.reset(goal_task)[0], max_steps=40)
        for step in range(40):
            offered = environment.admissible()
            strays = [c for c in offered if c not in ("click[buy now]", "search[...]")] + ["search[soft red lamp]"]
            action = rng.choice(strays) if step < 15 else agent.decide(offered)[1]
            result = environment.step(action)
            if result.terminated:
                scores.append(result.score)
                break
            agent.read(action, result.observation, offered=offered)
    assert len(scores) == 40 and mean(scores) > 0.9


def test_pages_are_read_back_as_they_were_written(environment: WebshopEnvironment, goals: list[Goal]) -> None:
    environment.reset(task(goals[0]))
    results = read_page(environment.step(f"search[{goals[0].query}]").observation)
    assert (results.kind, results.number, len(results.offers)) == ("results", 1, 10) and results.total > 10
    opened = read_page(environment.step(f"click[{results.offers[0].asin}]").observation)
    assert (opened.kind, opened.title) == ("item", results.offers[0].title)
    assert opened.price == results.offers[0].price
    details = read_page(environment.step("click[features]").observation)
    assert details.kind == "details" and len(details.text.split(" [SEP] ")) == 3


def test_a_product_without_a_title_shifts_no_other(tmp_path: Path) -> None:
    """The original leaves an empty title out of the page; the real catalogue has one such product."""
    things = [webshop_examples.item(f"B0THING{number:03d}", name=f"Plain Thing {number}") for number in range(1, 5)]
    blank = webshop_examples.item("B0BLANK001", name="", pricing="$8.98$11.99")
    session = small_session(tmp_path, SHIRT, *things[:2], blank, *things[2:])
    session.act("search[things]")
    found = {each.asin: (each.title, each.tag) for each in read_page(session.observation).offers}
    assert found == {
        "B0BLANK001": ("", "$8.98 to $11.99"),
        **{f"B0THING{number:03d}": (f"Plain Thing {number}", "$12.5") for number in range(1, 5)},
    }


def test_a_sub_page_that_ends_as_an_item_page_is_none() -> None:
    page = SEPARATOR.join(["Instruction:", "i want a shirt", "Back to Search", "< Prev", "Made well.", "Buy Now"])
    assert read_page(page).kind == "details"
