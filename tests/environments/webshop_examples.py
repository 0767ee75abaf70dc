"""A small shop for the WebShop tests, in the original's file format."""

import gzip
import json
from pathlib import Path
from typing import Any

from w2sg.environments.webshop.world import catalogue
from w2sg.environments.webshop.world.goals import Goal
from w2sg.environments.webshop.world.nouns import rule
from w2sg.environments.webshop.world.session import Session, Shop


def item(asin: str, **fields: Any) -> dict[str, Any]:
    """An entry of items_shuffle.json."""
    return {
        "asin": asin,
        "name": f"Thing {asin}",
        "full_description": "A thing.",
        "small_description": ["Handy "],
        "pricing": "$12.5",
        "images": [""],
        "product_category": "Home › Things › Red Things",
        "customization_options": "",
        "category": "garden",
        "query": " Things ",
    } | fields


def options(**groups: list[str]) -> dict[str, list[dict[str, str]]]:
    """customization_options with these values."""
    return {name: [{"value": value} for value in values] for name, values in groups.items()}


SHIRT = item(
    "B00SHIRT01",
    name="Red Cotton Shirt",
    full_description="Soft <b>cotton</b>\n for summer.",
    small_description=["Machine wash ", "", "Imported"],
    pricing="$8.98$11.99",
    customization_options=options(Color=["Red", "Navy/White "], Size=["S", "X-Large"]),
    category="fashion",
    query="Men's Shirts",
    product_category="Clothing › Men › Shirts",
)
ITEMS = [SHIRT, *(item(f"B0THING{number:03d}", name=f"Plain Thing {number}") for number in range(1, 13))]
ATTRIBUTES = {
    "B00SHIRT01": {
        "attributes": ["machine wash", "cotton"],
        "instruction": "Find me machine wash shirts",
        "instruction_attributes": ["machine wash"],
    },
    "B0THING001": {"attributes": []},
}
INSTRUCTIONS = {
    "B00SHIRT01": [
        {
            "instruction": "i want a red shirt, small.",
            "instruction_attributes": ["machine wash"],
            "instruction_options": ["red", "s"],
        },
        {"instruction": "nothing to go by", "instruction_attributes": [], "instruction_options": []},
    ]
}


def write_catalogue(
    folder: Path,
    items: Any = ITEMS,
    *,
    attributes: Any = ATTRIBUTES,
    instructions: Any = INSTRUCTIONS,
    suffix: str = "_1000",
    packed: bool = False,
) -> Path:
    """Write the three files and return the folder."""
    folder.mkdir(exist_ok=True)
    files = {
        f"items_shuffle{suffix}": items,
        f"items_ins_v2{suffix}": attributes,
        "items_human_ins": instructions,
    }
    for name, content in files.items():
        data = json.dumps(content).encode()
        if packed:
            (folder / f"{name}.json.gz").write_bytes(gzip.compress(data))
        else:
            (folder / f"{name}.json").write_bytes(data)
    return folder


def small_catalogue(folder: Path, *items: dict[str, Any]) -> catalogue.Catalogue:
    """These products, or ITEMS."""
    return catalogue.load(write_catalogue(folder, list(items) or ITEMS))


def small_goal(**fields: Any) -> Goal:
    """The goal of buying SHIRT."""
    return Goal(
        **{
            "asin": "B00SHIRT01",
            "category": "fashion",
            "query": "men's shirts",
            "name": "Red Cotton Shirt",
            "product_category": "Clothing › Men › Shirts",
            "instruction_text": "i want a red shirt",
            "attributes": ["machine wash"],
            "price_upper": 20.0,
            "goal_options": ["red", "s"],
            "weight": 1,
        }
        | fields
    )


def small_session(folder: Path, *items: dict[str, Any], show_attributes: bool = False) -> Session:
    """A session on these products, or on ITEMS."""
    shop = Shop(small_catalogue(folder, *items), seed=0, nouns=rule, show_attributes=show_attributes)
    return Session(shop, small_goal())
