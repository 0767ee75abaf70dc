"""The reward, rule by rule; the values of text comparisons are thefuzz 0.22.1's."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from w2sg.contracts.errors import UserError
from w2sg.environments.webshop.world import nouns
from w2sg.environments.webshop.world.reward import alike, matching_options, reward, type_reward

from .webshop_examples import SHIRT, item, small_catalogue, small_goal


@pytest.mark.parametrize(
    ("bought", "wanted", "matches"),
    [
        (["large"], {"size": "x-large"}, 1),
        (["x-large"], {"size": "large"}, 0),
        (["standard"], ["tan"], 1),
        (["11.5 wide"], {"size": "11.5"}, 0),
        (["navy blue"], ["dark blue", "light blue"], 2),
        (["blue"], ["navy blue", "sky blue", "red"], 2),
        (["dark blue"], ["blue jeans"], 1),
        (["blue"], {"color": "blue"}, 1),
        (["blue"], {"blue": "x"}, 1),
        (["small"], ["small", "small pack", "extra small"], 3),
        (["red", "s"], ["red", "s", "m"], 2),
        ([], ["red"], 0),
        (["red"], [], 0),
        (["★"], ["★"], 0),
        (["é"], ["é"], 0),
        (["20,5"], ["20.5"], 1),
    ],
)
def test_options_match(bought: list[str], wanted: Any, matches: int) -> None:
    assert matching_options(bought, wanted) == matches


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("machine wash", "wash machine", True),
        ("MACHINE-WASH", "machine wash", True),
        ("machine washable", "machine wash", True),
        ("machine washables only", "machine wash", False),
        ("caf\xe9", "caf", True),
        ("a，b", "a b", True),
        ("abcdefghijk", "abcdefghijkzzzz", False),  # 84.6, which thefuzz rounds to 85
        ("", "", False),
        ("!!", "!!", False),
    ],
)
def test_texts_are_alike_above_85(one: str, other: str, expected: bool) -> None:
    assert alike(one, other) is expected


@pytest.mark.parametrize(
    ("bought", "wanted", "score", "r_type"),
    [
        ("Red Cotton Shirt", "Red Cotton Shirt", 1.0, 1.0),
        ("Shirt", "Red Cotton Shirt Shirt", 0.25, 1.0),
        ("Shirt", "Red Cotton Shirt Shirt Shirt", 0.2, 0.5),
        ("Shirt", "one two three four five six seven eight nine shirt", 0.1, 0.5),
        ("Shirt", "one two three four five six seven eight nine ten shirt", 1 / 11, 0.1),
        ("Lamp", "Red Cotton Shirt", 0.0, 0.0),
        ("Lamp", "the 12", 0.2, 0.5),
    ],
)
def test_types_are_told_by_nouns(tmp_path: Path, bought: str, wanted: str, score: float, r_type: float) -> None:
    (product,) = small_catalogue(tmp_path, item("A", name=bought, product_category="Lamps › Red")).products
    found = type_reward(product, small_goal(name=wanted), nouns=nouns.rule)
    assert (found["title_score"], found["r_type"]) == (score, r_type)
    assert not found["query_match"] and not found["category_match"]


@pytest.mark.parametrize(
    ("query", "path", "name", "r_type"),
    [
        ("Men's Shirts ", "", "Shirt", 1.0),
        ("lamps", "Men › Shoes ›  Clothing", "Shirt", 1.0),
        ("lamps", "Men › Men", "Shirt", 0.5),
        ("Men's Shirts", "Clothing › Men", "Lamp", 0.0),
    ],
)
def test_types_are_told_by_query_and_category(tmp_path: Path, query: str, path: str, name: str, r_type: float) -> None:
    (product,) = small_catalogue(tmp_path, item("A", name=name, query=query, product_category=path)).products
    goal = small_goal(name="Red Cotton Shirt Dress Five")
    assert type_reward(product, goal, nouns=nouns.rule)["r_type"] == r_type


@pytest.mark.parametrize(
    ("attribute", "met"),
    [
        ("machine wash", True),  # known of the product
        ("imported", True),  # in its bullet points
        ("red cotton", True),  # in its title
        ("for summer", True),  # in its description
        ("Imported", False),  # never lower-cased
        ("wash  imported", True),  # across bullet points
        ("silk", False),
    ],
)
def test_attributes_are_met(tmp_path: Path, attribute: str, met: bool) -> None:
    (product,) = small_catalogue(tmp_path, SHIRT | {"small_description": ["Machine wash ", "Imported"]}).products
    goal = small_goal(attributes=[attribute], goal_options=[])
    got, parts = reward(product, goal, price=10.0, options={}, nouns=nouns.rule)
    assert (parts["r_att"], got) == ((1.0, 1.0) if met else (0.0, 0.5))
    assert "r_option" not in parts and parts["w_att"] == parts["w_price"] == 0.5


def test_the_reward_is_the_share_that_is_met(tmp_path: Path) -> None:
    (product,) = small_catalogue(tmp_path, SHIRT).products
    goal = small_goal(attributes=["machine wash", "silk"])
    got, parts = reward(product, goal, price=20.0, options={"size": "s"}, nouns=nouns.rule)
    assert got == 3 / 5
    assert parts == {
        "r_type": 1.0,
        "r_att": 0.5,
        "w_att": 0.4,
        "query_match": True,
        "category_match": True,
        "title_score": 1.0,
        "r_option": 0.5,
        "w_option": 0.4,
        "r_price": True,
        "w_price": 0.2,
    }
    assert reward(product, goal, price=20.01, options={"size": "s"}, nouns=nouns.rule)[0] == 2 / 5


def test_the_rule_drops_function_words() -> None:
    assert nouns.rule("The X-Large Pack of 12 shirts, for Men & men's") == ["large", "pack", "shirts", "men", "men"]


def test_a_tagger_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nouns, "find_spec", lambda name: None)
    nouns.extractor.cache_clear()
    assert nouns.extractor("rule") is nouns.rule
    with pytest.raises(UserError, match=r"environments\.webshop\.nouns: spacy needs .* or set rule$"):
        nouns.extractor("spacy")


def test_an_installed_tagger_is_asked_once_for_each_title(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def tag(text: str) -> list[SimpleNamespace]:
        asked.append(text)
        tags = {"Red": "ADJ", "Shirts": "NOUN", "Acme": "PROPN"}
        return [SimpleNamespace(text=word, pos_=tags[word]) for word in text.split()]

    spacy = ModuleType("spacy")
    spacy.load = {nouns.SPACY_MODEL: tag}.__getitem__  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spacy", spacy)
    monkeypatch.setattr(nouns, "find_spec", lambda name: object())
    nouns.extractor.cache_clear()
    extract = nouns.extractor("spacy")
    assert extract("Acme Red Shirts") == extract("Acme Red Shirts") == ["acme", "shirts"]
    assert asked == ["Acme Red Shirts"]
    nouns.extractor.cache_clear()
