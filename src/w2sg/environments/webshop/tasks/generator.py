"""A catalogue of made-up products in the format of WebShop's own files, with instructions as people might write them.

What makes shopping in it a search: every kind of product comes in families with the same title, whose members differ in
price and some in options; families of a kind differ in attributes. The title names one or two of three or four
attributes, the description another, and the last one, which members of a family need not share, stands in a later
feature, which the search does not index. Instructions are about the cheapest of a family: price caps rule out others.

Names of products are two letters and digits ("KD7"), so that each is a few tokens and begins, within a kind, with a
letter of its own as far as the alphabet goes.
"""

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from w2sg.contracts.errors import UserError
from w2sg.contracts.files import replacing
from w2sg.environments.webshop.world.catalogue import ATTRIBUTES, INSTRUCTIONS, ITEMS
from w2sg.environments.webshop.world.vocabulary import (
    AISLES,
    BULLETS,
    DEMANDS,
    DESCRIPTIONS,
    OPENINGS,
    PARAPHRASES,
    USES,
    Option,
)

PER_PRODUCT = 5
"""Human instructions for the cheapest product of each family."""

LARGEST = 100_000

_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # without I and O, which look like digits
_ATTEMPTS = 20
_GAPS = (12, 50)
"""How much more, in dollars, the others of a family cost; price caps are 10 to 40 dollars above the price."""


@dataclass(frozen=True, slots=True)
class _Product:
    """One version of a kind.

    Attributes:
        shown: attributes of the title; `told` is the description's, `hidden` that of a later feature.
        prices: one price, or the ends of a range, in whole dollars.
        sought: it is the cheapest of its family, which people ask for.
    """

    asin: str
    aisle: str
    kind: str
    shown: tuple[str, ...]
    told: str
    hidden: str
    options: dict[str, list[str]]
    prices: tuple[int, ...]
    sought: bool

    @property
    def attributes(self) -> list[str]:
        return [*self.shown, self.told, self.hidden]


def generate(folder: Path, *, products: int, seed: int, aisles: Sequence[str] = tuple(AISLES)) -> None:
    """Write items_shuffle.json, items_ins_v2.json and items_human_ins.json into `folder`.

    The same arguments give the same bytes. Products are written as they are drawn, so memory does not grow with them.

    Args:
        products: 1 to LARGEST.
        aisles: keys of vocabulary.AISLES to draw from: fewer aisles, fewer words.

    Raises:
        UserError: `products` is out of range, or an aisle is unknown.
    """
    if not 1 <= products <= LARGEST:
        raise UserError(f"environments.webshop.products: {products} is out of range; allowed is 1 to {LARGEST}")
    if unknown := [name for name in aisles if name not in AISLES] or not aisles:
        raise UserError(f"environments.webshop.aisles: {unknown or 'empty'}; allowed are {', '.join(AISLES)}")
    rng = random.Random(f"{seed}/webshop")
    with catalogue_files(folder) as (items, attributes, instructions):
        for product in _draw(products, tuple(aisles), rng):
            items.add(json.dumps(_item(product, rng)))
            attributes.add(f'"{product.asin}": {json.dumps(_synthetic(product, rng))}')
            if product.sought:
                instructions.add(f'"{product.asin}": {json.dumps(_human(product, rng))}')


@contextmanager
def catalogue_files(folder: Path) -> Iterator[tuple["EntryFile", "EntryFile", "EntryFile"]]:
    """The three files of a catalogue, open to be written; each is whole or absent afterwards."""
    with ExitStack() as stack:
        items, attributes, instructions = (
            stack.enter_context(EntryFile(stack.enter_context(replacing(folder / f"{name}.json")), brackets))
            for name, brackets in ((ITEMS, "[]"), (ATTRIBUTES, "{}"), (INSTRUCTIONS, "{}"))
        )
        yield items, attributes, instructions


class EntryFile:
    """A JSON list ("[]") or object ("{}") that is written entry by entry, as a context."""

    def __init__(self, path: Path, brackets: str) -> None:
        self._path, self._brackets = path, brackets

    def __enter__(self) -> "EntryFile":
        self._file: IO[str] = self._path.open("w", encoding="utf-8")
        self._before = self._brackets[0] + "\n"
        return self

    def add(self, entry: str) -> None:
        """Write one entry, which is JSON; in an object, `"key": value`."""
        self._file.write(self._before + entry)
        self._before = ",\n"

    def __exit__(self, *_: object) -> None:
        self._file.write(f"\n{self._brackets[1]}\n")
        self._file.close()


def _draw(count: int, aisles: tuple[str, ...], rng: random.Random) -> Iterator[_Product]:
    """Families of the kinds in turn, in an order drawn anew each round, until there are `count` products."""
    kinds = [(name, kind) for name in aisles for kind in AISLES[name].kinds]
    names = _names(count, len(kinds), rng)
    left = count
    while left:
        for number in rng.sample(range(len(kinds)), len(kinds)):
            family = _draw_family(
                *kinds[number], names=names[number], size=min(left, rng.choice((1, 2, 3, 4))), rng=rng
            )
            left -= len(family)
            yield from family


def _names(count: int, kinds: int, rng: random.Random) -> list[Iterator[str]]:
    """Streams of product names, one for each kind; all names differ, those of a kind run through the alphabet."""
    digits = 1
    while len(_LETTERS) ** 2 * 10**digits < 2 * count + len(_LETTERS) * kinds:
        digits += 1
    tails = [f"{letter}{number:0{digits}}" for letter in _LETTERS for number in range(10**digits)]
    endings = {letter: iter(rng.sample(tails, len(tails))) for letter in _LETTERS}

    def stream() -> Iterator[str]:
        letters = rng.sample(_LETTERS, len(_LETTERS))
        while True:
            for letter in letters:
                yield letter + next(endings[letter])

    return [stream() for _ in range(kinds)]


def _draw_family(aisle: str, kind: str, *, names: Iterator[str], size: int, rng: random.Random) -> list[_Product]:
    fits = AISLES[aisle]
    *shown, told, hidden = rng.sample(fits.attributes, rng.choice((3, 3, 4)))
    others = [attribute for attribute in fits.attributes if attribute not in (*shown, told)]
    offered = fits.options if rng.random() < 0.8 else (rng.choice(fits.options),)
    price = _draw_price(fits.prices, rng)
    options = _draw_options(offered, rng)
    family = []
    for member in range(size):
        cost = price if member == 0 else _draw_price((price + _GAPS[0], price + _GAPS[1]), rng)
        prices = (cost, cost + rng.randint(2, 8)) if rng.random() < 0.08 else (cost,)
        sought = member == 0
        family.append(_Product(next(names), aisle, kind, tuple(shown), told, hidden, options, prices, sought))
        hidden = rng.choice(others)
        if rng.random() < 0.3:
            options = _draw_options(offered, rng)
    rng.shuffle(family)
    return family


def _draw_options(offered: Sequence[Option], rng: random.Random) -> dict[str, list[str]]:
    options = {}
    for option in offered:
        kept = set(rng.sample(option.values, rng.randint(2, 3)))
        options[option.name] = [value for value in option.values if value in kept]
    return options


def _draw_price(ends: tuple[int, int], rng: random.Random) -> int:
    """Whole dollars; no multiples of ten, which could equal the price cap of an instruction ("lower than 40.00")."""
    price = 10
    while price % 10 == 0:
        price = rng.randint(*ends)
    return price


def _item(product: _Product, rng: random.Random) -> dict[str, Any]:
    """The entry of items_shuffle.json."""
    use = rng.choice(USES)
    # Only the first feature is indexed by the search.
    first = rng.choice(BULLETS).format(product.shown[0])
    later = [rng.choice(BULLETS).format(attribute) for attribute in (product.told, product.hidden)]
    fits = AISLES[product.aisle]
    return {
        "asin": product.asin,
        "name": " ".join([*product.shown, product.kind]),
        "full_description": rng.choice(DESCRIPTIONS).format(attribute=product.told, kind=product.kind, use=use),
        "small_description": [first, *rng.sample(later, 2)],
        "pricing": "".join(f"${price}" for price in product.prices),
        "images": [""],
        "product_category": " › ".join((fits.department, product.aisle, product.kind)),
        "category": fits.category,
        "query": product.kind,
        "customization_options": {
            name: [{"value": value} for value in values] for name, values in product.options.items()
        },
    }


def _synthetic(product: _Product, rng: random.Random) -> dict[str, Any]:
    """The entry of items_ins_v2.json."""
    chosen = rng.sample(product.attributes, rng.choice((1, 2)))
    return {
        "attributes": product.attributes,
        "instruction": f"Find me {', '.join(chosen)} {product.kind}",
        "instruction_attributes": chosen,
    }


def _human(product: _Product, rng: random.Random) -> list[dict[str, Any]]:
    """The entry of items_human_ins.json: instructions that differ from each other."""
    found: dict[str, dict[str, Any]] = {}
    for _ in range(_ATTEMPTS):
        if len(found) == PER_PRODUCT:
            break
        attributes = _draw_attributes(product, rng)
        options = {name: rng.choice(values) for name, values in product.options.items() if rng.random() < 0.8}
        text = _phrase(product, attributes, options, rng)
        found[text] = {
            "asin": product.asin,
            "instruction": text,
            "attributes": product.attributes,
            "options": [f"{name}: {value}" for name, value in options.items()],
            "instruction_attributes": attributes,
            "instruction_options": list(options.values()),
            "assignment_id": "",
            "worker_id": "",
        }
    return list(found.values())


def _draw_attributes(product: _Product, rng: random.Random) -> list[str]:
    """One or two attributes to ask for: mostly such as the title shows, sometimes one that has to be looked up."""
    if rng.random() < 0.3:
        return [rng.choice(product.shown), rng.choice((product.told, product.hidden))]
    if rng.random() < 0.3:
        return [rng.choice((product.told, product.hidden))]
    return rng.sample(product.shown, rng.randint(1, len(product.shown)))


def _phrase(product: _Product, attributes: Sequence[str], options: dict[str, str], rng: random.Random) -> str:
    """An instruction for the product: some attributes before its kind, some after, then the options."""
    before, after = [], []
    for attribute in attributes:
        draw = rng.random()
        if attribute in PARAPHRASES and draw < 0.3:
            after.append(PARAPHRASES[attribute])
        elif not after and draw > 0.75:
            after.append(rng.choice(DEMANDS).format(attribute))
        else:
            before.append(attribute)
    wishes = []
    for option in AISLES[product.aisle].options:
        if option.name in options:
            value = options[option.name]
            if option.name == "color" and rng.random() < 0.3:
                before.insert(0, value)
            else:
                wishes.append(rng.choice(option.phrases).format(value))
    noun = " ".join([*before, product.kind])
    article = ""
    if product.kind in AISLES[product.aisle].countable:
        article = "an " if noun[0] in "aeiou" else "a "
    start = " ".join([rng.choice(OPENINGS), article + noun, *after])
    return start + "".join((", ", " and ")[rng.random() < 0.5 and i > 0] + wish for i, wish in enumerate(wishes))
