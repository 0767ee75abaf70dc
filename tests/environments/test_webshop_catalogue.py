"""Reading the original's files, and the goals drawn from them."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from w2sg.contracts.errors import UserError
from w2sg.environments.webshop.world.catalogue import load, parse_pricing
from w2sg.environments.webshop.world.goals import Goal, draw_goals, draw_prices, limit, pick

from .webshop_examples import SHIRT, item, small_catalogue, small_goal, write_catalogue


@pytest.mark.parametrize(
    ("pricing", "prices", "tag"),
    [
        ("", (100.0,), "$100.0"),
        (None, (100.0,), "$100.0"),
        ("$599", (599.0,), "$599.0"),
        ("$1,299.00", (1299.0,), "$1299.0"),
        ("$8.98$11.99", (8.98, 11.99), "$8.98 to $11.99"),
        ("from $3.5 - $20.10 - $30", (3.5, 20.1), "$3.5 to $20.1"),
    ],
)
def test_prices_are_read(tmp_path: Path, pricing: str | None, prices: tuple[float, ...], tag: str) -> None:
    assert parse_pricing(pricing) == prices
    (product,) = small_catalogue(tmp_path, item("A", pricing=pricing)).products
    assert (product.pricing, product.price_tag) == (prices, tag)


def test_products_are_read_as_the_original_does(tmp_path: Path) -> None:
    long = "A" * 11
    duplicate = item("B00SHIRT01", name="Second")
    found = small_catalogue(tmp_path, SHIRT, item("nan"), item(long), duplicate, item("A2", small_description="Only"))
    shirt, other = found.products
    assert [p.asin for p in found.products] == ["B00SHIRT01", "A2"]
    assert shirt.title == "Red Cotton Shirt" and shirt.query == "men's shirts" and shirt.category == "fashion"
    assert shirt.options == {"color": ("red", "navy | white"), "size": ("s", "x-large")}
    assert shirt.attributes == ("machine wash", "cotton") and other.attributes == ("DUMMY_ATTR",)
    assert other.bullets == ("Only",) and other.query == "things" and other.instruction is None
    assert found.by_asin["A2"] is other


def test_options_keep_order_and_repetitions(tmp_path: Path) -> None:
    groups = {"Size": [{"value": "S "}, {"value": "A/B"}, {"value": "s"}], "Fit": None, "Empty": []}
    (product,) = small_catalogue(tmp_path, item("A", customization_options=groups)).products
    assert product.options == {"size": ("s", "a | b", "s"), "empty": ()}


def test_only_the_first_entries_are_taken(tmp_path: Path) -> None:
    items = [item("A"), item("A"), item("B"), item("C")]
    assert [p.asin for p in load(write_catalogue(tmp_path, items), num_products=3).products] == ["A", "B"]


def test_packed_files_and_plain_names_are_found(tmp_path: Path) -> None:
    write_catalogue(tmp_path, [item("A")], packed=True)
    assert len(load(tmp_path).products) == 1
    write_catalogue(tmp_path, [item("A"), item("B")], suffix="")
    with pytest.raises(UserError, match=r"one items_human_ins\*\.json or \.json\.gz, found .*json, .*json\.gz"):
        load(tmp_path)
    (tmp_path / "items_human_ins.json.gz").unlink()
    assert len(load(tmp_path).products) == 2


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([item("A", pricing="call us")], "product A: pricing is 'call us', expected"),
        ([item("A", pricing="$ - $")], "product A: pricing is"),
        ([item("A", name=None)], "product A: name is None, expected text"),
        ([{key: value for key, value in item("A").items() if key != "query"}], "product A: query is missing"),
        ([item("A", customization_options=[3])], "product A: customization_options is list, expected an object"),
        ([item("A", customization_options={"size": [{}]})], "product A: value is missing"),
        ([item("A", small_description=[1])], "product A: small_description is 1, expected text"),
        ([{"name": "x"}], "entry 0: asin is None, expected text"),
        (["x"], "entry 0: 'x', expected a product of named fields"),
        ([item("A", pricing=12.99)], "product A: pricing is 12.99, expected"),
        ([item("A", pricing=float("nan"))], "product A: pricing is nan, expected"),
        ([item("A", pricing="$" + "9" * 400)], "product A: pricing is '\\$9+…, expected"),
        (
            [item("A", name="a mug \ud83d")],
            r"product A: name is 'a mug \\ud83d', which has half of a character; write it",
        ),
        ([item("A", customization_options={"size": {}})], "product A: option size is dict, expected a list"),
        ([item("A\ud83d")], r"entry 0: asin is 'A\\ud83d', which has half of a character"),
        ([item("nan")], "no products"),
        ({}, "a dict, expected a list"),
    ],
)
def test_damaged_products_are_refused(tmp_path: Path, items: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load(write_catalogue(tmp_path, items))
    assert "items_shuffle_1000.json" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (None, "product B00SHIRT01: its instructions is None, expected a list"),
        ([None], "product B00SHIRT01: None, expected an entry of named fields"),
        ([{"instruction": "a mug \ud83d"}], "product B00SHIRT01: instruction is .*, which has half of a character"),
        (
            [{"instruction": "a mug", "instruction_attributes": []}],
            "product B00SHIRT01: instruction_options is missing",
        ),
    ],
)
def test_an_instruction_that_does_not_fit_names_its_own_file(tmp_path: Path, entry: Any, message: str) -> None:
    with pytest.raises(UserError, match=rf"^{tmp_path}/items_human_ins\.json: {message}"):
        load(write_catalogue(tmp_path, instructions={"B00SHIRT01": entry}))
    with pytest.raises(
        UserError, match=rf"^{tmp_path}/items_ins_v2_1000\.json: product B00SHIRT01: 3, expected an entry"
    ):
        load(write_catalogue(tmp_path, attributes={"B00SHIRT01": 3}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "items_human_ins.json").unlink(),
        lambda folder: (folder / "items_human_ins.json").write_text("{"),
        lambda folder: (folder / "items_human_ins.json").write_bytes(b"\xff\xfe\x00"),
        lambda folder: (folder / "items_human_ins.json").rename(folder / "items_human_ins.json.gz"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    damage(write_catalogue(tmp_path))
    with pytest.raises(UserError, match="items_human_ins"):
        load(tmp_path)


def drawn(folder: Path, *, human: bool, seed: int = 3) -> tuple[dict[str, float], list[Goal]]:
    catalogue, rng = small_catalogue(folder), random.Random(seed)
    prices = draw_prices(catalogue, rng)
    return prices, draw_goals(catalogue, prices, rng, human=human)


def test_draws_come_in_the_originals_order(tmp_path: Path) -> None:
    rng = random.Random(3)
    price = rng.uniform(8.98, 11.99)
    cap = max(rng.sample([step for step in (10.0, 20.0, 30.0, 40.0, 50.0) if step > price][:4], 2))
    prices, (goal,) = drawn(tmp_path, human=True)
    assert prices["B00SHIRT01"] == price and prices["B0THING001"] == 12.5
    assert goal.instruction_text == f"i want a red shirt, small, and price lower than {cap:.2f} dollars"
    assert (goal.price_upper, goal.goal_options, goal.weight) == (cap, ["red", "s"], 1)
    assert goal.attributes == ["machine wash"] and goal.name == "Red Cotton Shirt"


def test_synthetic_goals_combine_all_options(tmp_path: Path) -> None:
    _, goals = drawn(tmp_path, human=False)
    assert len(goals) == 4
    pairs = {tuple(goal.goal_options.items()) for goal in goals if isinstance(goal.goal_options, dict)}
    assert pairs == {(("color", c), ("size", s)) for c in ("red", "navy | white") for s in ("s", "x-large")}
    assert len({goal.price_upper for goal in goals}) == 1 and {goal.weight for goal in goals} == {0.25}
    text = "Find me machine wash shirts with color: red, and size: s, and price lower than "
    assert any(goal.instruction_text.startswith(text) for goal in goals)


@pytest.mark.parametrize(("price", "cap"), [(989.99, 1000000), (980.0, 1000000), (979.99, 990.0), (12.0, None)])
def test_dear_products_have_no_cap(tmp_path: Path, price: float, cap: float | None) -> None:
    items = [SHIRT | {"pricing": f"${price}"}]
    catalogue = load(write_catalogue(tmp_path, items))
    (goal,) = draw_goals(catalogue, {"B00SHIRT01": price}, random.Random(0), human=True)
    assert goal.price_upper == cap or (cap is None and goal.price_upper in (30.0, 40.0, 50.0))
    assert ("price lower" in goal.instruction_text) == (goal.price_upper < 1000)


def test_an_instruction_without_attributes_is_refused(tmp_path: Path) -> None:
    attributes = {"B00SHIRT01": {"attributes": [], "instruction": "Find me", "instruction_attributes": []}}
    catalogue = load(write_catalogue(tmp_path, attributes=attributes))
    with pytest.raises(UserError, match="product B00SHIRT01: instruction_attributes is empty"):
        draw_goals(catalogue, draw_prices(catalogue, random.Random(0)), random.Random(0), human=False)


def test_goals_survive_json_and_damaged_ones_do_not() -> None:
    goal = small_goal(goal_options={"size": "s"})
    assert Goal.from_record(goal.record()) == goal
    damage = [{"attributes": []}, {"goal_options": 3}, {"price_upper": "x"}, {"name": None}, {"attributes": "ab"}]
    for change in [{"more": 1}, *damage]:
        with pytest.raises(UserError, match="goal"):
            Goal.from_record(goal.record() | change)
    with pytest.raises(UserError, match="expected an object"):
        Goal.from_record(None)


def test_goals_are_picked_by_weight_as_in_the_original() -> None:
    """Its search begins at 1: the first goal takes the share of none, the last that of two."""
    goals = [small_goal(weight=weight) for weight in (1.0, 2.0, 3.0)]
    rng = random.Random(1)
    counts = [0, 0, 0]
    for _ in range(600):
        counts[pick(goals, rng)] += 1
    assert counts[0] == 0 and 60 < counts[1] < 140 and sum(counts) == 600
    assert pick(goals[:1], rng) == 0


def test_limited_goals_are_different() -> None:
    goals = [small_goal(name=str(number)) for number in range(6)]
    assert len({goal.name for goal in limit(goals, 5, random.Random(0))}) == 5
    assert limit(goals, 6, random.Random(0)) == goals
