"""The products: WebShop's catalogue files, read as the original reads them."""

import gzip
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import Any

from w2sg.contracts.errors import UserError

ITEMS, ATTRIBUTES, INSTRUCTIONS = "items_shuffle", "items_ins_v2", "items_human_ins"
"""The three files of a catalogue; the first two may carry a suffix (_1000), each may be .json or .json.gz."""

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
    attributes = _read(find_file(folder, ATTRIBUTES), dict)
    instructions = _read(find_file(folder, INSTRUCTIONS), dict)
    by_asin: dict[str, Product] = {}
    items = _read(items_path, list)[:num_products]
    for number, item in enumerate(items):
        items[number] = None  # large catalogues should not be in memory twice
        asin = item.get("asin") if isinstance(item, dict) else None
        if not isinstance(asin, str):
            raise UserError(f"{items_path}: entry {number}: no asin, expected a product with a text asin")
        if asin == "nan" or len(asin) > _LONGEST_ASIN or asin in by_asin:
            continue
        try:
            by_asin[asin] = _product(item, attributes.pop(asin, {}), instructions.pop(asin, []))
        except KeyError as error:
            raise UserError(f"{items_path}: product {asin}: {error.args[0]} is missing") from None
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{items_path}: product {asin}: {error}") from None
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
    try:
        data = path.read_bytes()
        content = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a readable JSON file ({error})") from None
    if not isinstance(content, kind):
        raise UserError(f"{path}: a {type(content).__name__}, expected a {kind.__name__}")
    return content


def _product(item: dict[str, Any], known: dict[str, Any], human: list[dict[str, Any]]) -> Product:
    """A product of its entries in the three files; ValueError, TypeError or KeyError where one does not fit."""
    pricing = parse_pricing(item.get("pricing"))
    bullets = item["small_description"]
    instruction = known.get("instruction")
    return Product(
        asin=item["asin"],
        title=_text(item["name"], "name"),
        description=_text(item["full_description"], "full_description"),
        bullets=_texts(bullets if isinstance(bullets, list) else [bullets], "small_description"),
        category=intern(_text(item["category"], "category")),
        query=intern(_text(item["query"], "query").lower().strip()),
        product_category=intern(_text(item["product_category"], "product_category")),
        price_tag=" to ".join(f"${price}" for price in pricing),
        pricing=pricing,
        options=_options(item["customization_options"]),
        attributes=_texts(known["attributes"], "attributes") if "attributes" in known else _MISSING_ATTRIBUTES,
        instruction=None if instruction is None else _text(instruction, "instruction"),
        instruction_attributes=_texts(known.get("instruction_attributes") or [], "instruction_attributes"),
        human=tuple(
            HumanInstruction(
                _text(entry["instruction"], "instruction"),
                _texts(entry["instruction_attributes"], "instruction_attributes"),
                _texts(entry["instruction_options"], "instruction_options"),
            )
            for entry in human
        ),
    )


def parse_pricing(text: str | None) -> tuple[float, ...]:
    """The price of "$12.99", or both ends of "$8.98 - $11.99", in dollars; 100.0 where there is none.

    Raises:
        ValueError: there is no price in the text.
    """
    if not text:
        return (_DEFAULT_PRICE,)
    try:
        prices = tuple(float(_NOT_PRICE.sub("", part)) for part in text.split("$")[1:])
    except ValueError:
        prices = ()
    if not prices:
        raise ValueError(f'pricing is {text[:80]!r}, expected "", "$12.99" or "$8.98 - $11.99"')
    return prices[:2]


def _options(entries: Mapping[str, Any] | str | None) -> dict[str, tuple[str, ...]]:
    """Option values as they are shown; a slash would end the address of a page in the original."""
    if not entries:
        return {}
    if not isinstance(entries, dict):
        raise ValueError(f"customization_options is a {type(entries).__name__}, expected an object of lists")
    return {
        intern(name.lower()): tuple(intern(_option(_text(entry["value"], name))) for entry in values)
        for name, values in entries.items()
        if values is not None
    }


def _option(value: str) -> str:
    return value.strip().replace("/", " | ").lower()


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is a {type(value).__name__}, expected text")
    return value


def _texts(values: object, name: str) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise ValueError(f"{name} is a {type(values).__name__}, expected a list of texts")
    return tuple(intern(_text(value, name)) for value in values)
