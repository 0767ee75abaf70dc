"""The products: WebShop's catalogue files, read as the original reads them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import Any

from w2sg.contracts import files
from w2sg.contracts.errors import UserError, named, shown, within

ITEMS, ATTRIBUTES, INSTRUCTIONS = "items_shuffle", "items_ins_v2", "items_human_ins"
"""The three files of a catalogue; the first two may carry a suffix (_1000), each may be .json or .json.gz."""

REMEDY = "fetch the file again"

_MISSING_ATTRIBUTES = ("DUMMY_ATTR",)
_LONGEST_ASIN = 10
_DEFAULT_PRICE = 100.0
_NOT_PRICE = re.compile(r"[^\d.]")


@dataclass(frozen=True, slots=True)
class HumanInstruction:
    """What a person wrote for a product (an entry of items_human_ins.json)."""

    instruction: str
    attributes: tuple[str, ...]
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """One product, as its pages show it and its reward uses it.

    Attributes:
        price_tag: the price as shown, such as "$599.0" or "$8.98 to $11.99".
        pricing: one or two prices in dollars; the price of a range is drawn (goals.draw_prices).
        options: values to choose from by the option's lower-cased name, in the order of the file.
        instruction: the synthetic instruction, where the product has one, and its attributes.
        human: what people wrote for it.
    """

    asin: str
    title: str
    description: str
    bullets: tuple[str, ...]
    category: str
    query: str
    product_category: str
    price_tag: str
    pricing: tuple[float, ...]
    options: Mapping[str, tuple[str, ...]]
    attributes: tuple[str, ...]
    instruction: str | None
    instruction_attributes: tuple[str, ...]
    human: tuple[HumanInstruction, ...]


@dataclass(frozen=True)
class Catalogue:
    """All products in the order of the file, and by ASIN."""

    products: tuple[Product, ...]
    by_asin: Mapping[str, Product]


def load(folder: Path, *, num_products: int | None = None) -> Catalogue:
    """Read the catalogue files of `folder`, the first `num_products` entries where given.

    As in the original, a product is left out if its ASIN is "nan", longer than ten characters, or was seen before.

    Raises:
        UserError: a file is missing, ambiguous or damaged, or a product lacks a field or has a price that is none.
    """
    items_path = find_file(folder, ITEMS)
    attributes_path, instructions_path = find_file(folder, ATTRIBUTES), find_file(folder, INSTRUCTIONS)
    attributes, instructions = _read(attributes_path, dict), _read(instructions_path, dict)
    by_asin: dict[str, Product] = {}
    items = _read(items_path, list)[:num_products]
    for number, item in enumerate(items):
        items[number] = None  # large catalogues should not be in memory twice
        with within(f"{items_path}: entry {number}"):
            asin = _text(_object(item, "a product").get("asin"), "asin")
        if asin == "nan" or len(asin) > _LONGEST_ASIN or asin in by_asin:
            continue
        # Each complaint names the file that it is about.
        with within(f"{attributes_path}: product {named(asin)}"):
            known = _known(attributes.pop(asin, {}))
        with within(f"{instructions_path}: product {named(asin)}"):
            human = _human(instructions.pop(asin, []))
        with within(f"{items_path}: product {named(asin)}"):
            by_asin[asin] = _product(item, known, human)
    if not by_asin:
        raise UserError(f"{items_path}: no products, expected a list of at least one")
    return Catalogue(tuple(by_asin.values()), by_asin)


def find_file(folder: Path, name: str) -> Path:
    """The file `name`.json of `folder`, else the only one whose name begins with `name`; .json.gz is as good.

    Raises:
        UserError: there is none, or there are several.
    """
    found = sorted(path for path in folder.glob(f"{name}*") if re.fullmatch(r".*\.json(\.gz)?", path.name))
    exact = [path for path in found if path.name in (f"{name}.json", f"{name}.json.gz")]
    if len(exact or found) != 1:
        which = ", ".join(path.name for path in exact or found) or "none"
        raise UserError(f"{folder}: needs one {name}*.json or .json.gz, found {which}")
    return (exact or found)[0]


def _read(path: Path, kind: type) -> Any:
    content = files.read_lenient(path, remedy=REMEDY)
    if not isinstance(content, kind):
        raise UserError(f"{path}: a {type(content).__name__}, expected a {kind.__name__}")
    return content


@dataclass(frozen=True, slots=True)
class _Known:
    """What items_ins_v2.json says of a product."""

    attributes: tuple[str, ...]
    instruction: str | None
    instruction_attributes: tuple[str, ...]


def _known(entry: object) -> _Known:
    found = _object(entry, "an entry")
    instruction = found.get("instruction")
    return _Known(
        _texts(found["attributes"], "attributes") if "attributes" in found else _MISSING_ATTRIBUTES,
        None if instruction is None else _text(instruction, "instruction"),
        _texts(found.get("instruction_attributes") or [], "instruction_attributes"),
    )


def _human(entries: object) -> tuple[HumanInstruction, ...]:
    found = [_object(entry, "an entry") for entry in _list(entries, "its instructions")]
    return tuple(
        HumanInstruction(
            _text(_field(entry, "instruction"), "instruction"),
            _texts(_field(entry, "instruction_attributes"), "instruction_attributes"),
            _texts(_field(entry, "instruction_options"), "instruction_options"),
        )
        for entry in found
    )


def _product(item: dict[str, Any], known: _Known, human: tuple[HumanInstruction, ...]) -> Product:
    """A product of its entries in the three files."""
    pricing = parse_pricing(item.get("pricing"))
    bullets = _field(item, "small_description")
    return Product(
        asin=item["asin"],
        title=_text(_field(item, "name"), "name"),
        description=_text(_field(item, "full_description"), "full_description"),
        bullets=_texts(bullets if isinstance(bullets, list) else [bullets], "small_description"),
        category=intern(_text(_field(item, "category"), "category")),
        query=intern(_text(_field(item, "query"), "query").lower().strip()),
        product_category=intern(_text(_field(item, "product_category"), "product_category")),
        price_tag=" to ".join(f"${price}" for price in pricing),
        pricing=pricing,
        options=_options(_field(item, "customization_options")),
        attributes=known.attributes,
        instruction=known.instruction,
        instruction_attributes=known.instruction_attributes,
        human=human,
    )


def parse_pricing(text: object) -> tuple[float, ...]:
    """The price of "$12.99", or both ends of "$8.98 - $11.99", in dollars; 100.0 where there is none.

    Raises:
        UserError: there is no price in the text, or it is no text.
    """
    if text is None or text == "":
        return (_DEFAULT_PRICE,)
    try:
        prices = tuple(float(_NOT_PRICE.sub("", part)) for part in text.split("$")[1:]) if isinstance(text, str) else ()
    except ValueError:
        prices = ()
    if not prices or not all(map(math.isfinite, prices)):
        raise UserError(f'pricing is {shown(text)}, expected "", "$12.99" or "$8.98 - $11.99"')
    return prices[:2]


def _options(entries: object) -> dict[str, tuple[str, ...]]:
    """Option values as they are shown; a slash would end the address of a page in the original."""
    if not entries:
        return {}
    if not isinstance(entries, dict):
        raise UserError(f"customization_options is {shown(entries)}, expected an object of lists")
    return {
        intern(_text(name, "an option's name").lower()): tuple(
            intern(_option(_text(_field(_object(entry, "an option"), "value"), name)))
            for entry in _list(values, f"option {named(name)}")
        )
        for name, values in entries.items()
        if values is not None
    }


def _option(value: str) -> str:
    return value.strip().replace("/", " | ").lower()


def _field(entry: dict[str, Any], name: str) -> Any:
    if name not in entry:
        raise UserError(f"{name} is missing")
    return entry[name]


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise UserError(f"{named(name)} is {shown(value)}, expected text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UserError(f"{named(name)} is {shown(value)}, which has half of a character; write it whole") from None
    return value


def _texts(values: object, name: str) -> tuple[str, ...]:
    return tuple(intern(_text(value, name)) for value in _list(values, name))


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise UserError(f"{name} is {shown(value)}, expected a list")
    return value


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{shown(value)}, expected {what} of named fields")
    return value
