"""The generated catalogue: format, variety, and words that rewards can tell apart."""

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from w2sg.contracts.errors import UserError
from w2sg.environments.webshop.tasks.generator import LARGEST, PER_PRODUCT, generate
from w2sg.environments.webshop.world.catalogue import Catalogue, load
from w2sg.environments.webshop.world.reward import alike, matching_options
from w2sg.environments.webshop.world.vocabulary import AISLES, BULLETS, DESCRIPTIONS, USES

FILES = ("items_shuffle.json", "items_ins_v2.json", "items_human_ins.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalogue")
    generate(path, products=1000, seed=0)
    return path


@pytest.fixture(scope="module")
def catalogue(folder: Path) -> Catalogue:
    return load(folder)


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


def test_the_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    generate(tmp_path / "same", products=1000, seed=0)
    generate(tmp_path / "other", products=1000, seed=1)
    assert contents(tmp_path / "same") == contents(folder)
    assert contents(tmp_path / "other") != contents(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_every_product_can_be_named_and_bought(catalogue: Catalogue) -> None:
    assert len(catalogue.products) == 1000
    assert all(re.fullmatch(r"[A-Z]{2}\d", product.asin) for product in catalogue.products)
    assert all(10 < price < 120 for product in catalogue.products for price in product.pricing)
    assert any(len(product.pricing) == 2 for product in catalogue.products)


def test_names_stay_short_and_distinct_in_a_large_catalogue(tmp_path: Path) -> None:
    generate(tmp_path, products=5000, seed=0, aisles=["shoes"])
    products = load(tmp_path).products
    assert len(products) == 5000  # the loader leaves repeated names out
    assert all(re.fullmatch(r"[A-Z]{2}\d\d", product.asin) for product in products)


def test_products_of_a_kind_begin_with_different_letters(catalogue: Catalogue) -> None:
    letters = Counter((product.query, product.asin[0]) for product in catalogue.products)
    assert max(letters.values()) == 2  # 25 products, 24 letters


def test_every_kind_fills_more_than_a_page_and_differs_within(catalogue: Catalogue) -> None:
    kinds = Counter(product.query for product in catalogue.products)
    assert len(kinds) == 40 and min(kinds.values()) > 10
    for kind in kinds:
        products = [product for product in catalogue.products if product.query == kind]
        assert len({product.title for product in products}) >= 5
        assert len({product.pricing for product in products}) >= 8
        assert len({str(product.options) for product in products}) >= 8


def test_some_attributes_stand_only_where_the_search_does_not_look(catalogue: Catalogue) -> None:
    for product in catalogue.products:
        indexed = " ".join((product.title, product.description, product.bullets[0]))
        hidden = [attribute for attribute in product.attributes if attribute not in indexed]
        assert len(hidden) == 1 and any(hidden[0] in bullet for bullet in product.bullets[1:])
        untitled = [attribute for attribute in product.attributes if attribute not in product.title]
        assert len(untitled) == 2


def test_texts_are_short(catalogue: Catalogue) -> None:
    for product in catalogue.products:
        assert 2 <= len(product.title.split()) <= 6
        assert len(product.description.split()) <= 12
        assert len(product.bullets) == 3 and all(len(bullet.split()) <= 4 for bullet in product.bullets)


def test_instructions_ask_for_what_their_product_has(folder: Path, catalogue: Catalogue) -> None:
    human = json.loads((folder / FILES[2]).read_text(encoding="utf-8"))
    assert len(human) > 350
    for asin, entries in human.items():
        product = catalogue.by_asin[asin]
        assert len({entry["instruction"] for entry in entries}) == PER_PRODUCT
        for entry in entries:
            assert set(entry["instruction_attributes"]) <= set(product.attributes)
            offered = {f"{name}: {value}" for name, values in product.options.items() for value in values}
            assert set(entry["options"]) <= offered
            assert [option.split(": ")[1] for option in entry["options"]] == entry["instruction_options"]


def test_people_ask_for_the_cheapest_of_products_with_one_title(catalogue: Catalogue) -> None:
    dearer = 0
    for product in catalogue.products:
        rivals = [other for other in catalogue.products if other.title == product.title]
        if product.human:
            dearer += sum(min(other.pricing) > min(product.pricing) for other in rivals)
    assert dearer > len(catalogue.products) / 2


@pytest.mark.parametrize("name", AISLES)
def test_rewards_tell_words_of_an_aisle_apart(name: str) -> None:
    aisle = AISLES[name]
    for one, other in combinations(aisle.attributes, 2):
        assert not alike(one, other) and one not in other and other not in one
    for option in aisle.options:
        for bought in option.values:
            assert [v for v in option.values if matching_options([bought], [v])] == [bought]
    values = [value for option in aisle.options for value in option.values]
    assert len(values) == len(set(values))
    around = " ".join((*aisle.kinds, *USES, *DESCRIPTIONS, *BULLETS, *values))
    assert not [attribute for attribute in aisle.attributes if attribute in around]


@pytest.mark.parametrize("products", [0, LARGEST + 1])
def test_sizes_out_of_range_are_refused(tmp_path: Path, products: int) -> None:
    with pytest.raises(UserError, match=f"products: {products} is out of range; allowed is 1 to 100000"):
        generate(tmp_path, products=products, seed=0)


@pytest.mark.parametrize("aisles", [[], ["shoes", "tools"]])
def test_unknown_aisles_are_refused(tmp_path: Path, aisles: list[str]) -> None:
    with pytest.raises(UserError, match=r"aisles: .*; allowed are clothes, shoes"):
        generate(tmp_path, products=10, seed=0, aisles=aisles)
    assert not list(tmp_path.iterdir())
