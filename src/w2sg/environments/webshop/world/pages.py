"""The pages as text: what the original's browser reads off its HTML, and what can be clicked there."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from w2sg.environments.webshop.world.catalogue import Product

PageName = Literal["", "search_results", "item_page", "item_sub_page", "done"]
"""The original's names of its pages; the index page, where a session begins, has none."""

PAGE_SIZE = 10
SUB_PAGES = ("description", "features", "reviews", "attributes")

_SEPARATOR = " [SEP] "
_HTML_SPACE = " \n\t\f\r"


@dataclass(frozen=True, slots=True)
class Link:
    """What a click leads to: a product, or an option's value (`group` is then the option's name)."""

    asin: str = ""
    group: str | None = None


BUTTON = Link()
"""A button: its text says all."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        text: the observation.
        clickables: lower-cased texts that can be clicked, in the original's order, and what they lead to.
    """

    name: PageName
    text: str
    clickables: Mapping[str, Link]

    @property
    def has_search_bar(self) -> bool:
        """Only the index page shows one, though searches are answered everywhere."""
        return self.name == ""


def index_page(instruction: str) -> Page:
    """The page with the search bar."""
    return Page("", _join(["WebShop", "Instruction:", instruction, "Search"]), {"search": BUTTON})


def results_page(instruction: str, products: Sequence[Product], *, number: int, total: int) -> Page:
    """Page `number` (from 1) of a search with `total` hits; `products` are those of this page."""
    buttons = ["Back to Search", *(["< Prev"] if number > 1 else []), "Next >"]
    texts = ["Instruction:", instruction, buttons[0], f"Page {number} (Total results: {total})", *buttons[1:]]
    for product in products:
        texts += [product.asin, product.title, product.price_tag]
    links = {product.asin.lower(): Link(asin=product.asin) for product in products}
    return Page("search_results", _join(texts), _buttons(buttons) | links)


def item_page(instruction: str, product: Product, *, show_attributes: bool = False) -> Page:
    """A product with its options. The values chosen so far do not show."""
    texts = ["Instruction:", instruction, "Back to Search", "< Prev"]
    links: dict[str, Link] = {}
    for group, values in product.options.items():
        texts += [group, *values]
        links |= {value: Link(group=group) for value in values}
    buttons = ["Description", "Features", "Reviews", *(["Attributes"] if show_attributes else []), "Buy Now"]
    texts += [product.title, f"Price: {product.price_tag}", "Rating: N.A.", *buttons]
    return Page("item_page", _join(texts), _buttons(["Back to Search", "< Prev", *buttons]) | links)


def sub_page(instruction: str, product: Product, which: str) -> Page:
    """One of SUB_PAGES of a product; no product has reviews."""
    buttons = ["Back to Search", "< Prev"]
    texts = ["Instruction:", instruction, *buttons]
    match which:
        case "description":
            texts += [product.description]
        case "features":
            texts += [f" {bullet}" for bullet in product.bullets]
        case "attributes":
            texts += [f" {attribute}" for attribute in product.attributes]
            texts += [product.category, product.query, product.product_category]
    return Page("item_sub_page", _join(texts), _buttons(buttons))


def done_page(asin: str, options: Mapping[str, str], reward: float) -> Page:
    """What follows a purchase. Most of it is a form that the original leaves empty, its spelling included."""
    bought = ["asin", asin, "options", _script_json(options)]
    bought += ["attrs", "None", "category", "None", "query", "None", "product category", "None"]
    wanted = ["asin", "options", "attrs", "price upper", "instuction text", "category", "product category", "query"]
    texts = ["Thank you for shopping with us!", "Your code:", "None", "(Paste it in your MTurk interface.)"]
    texts += ["Purchased", *bought, "Target", *wanted, "Goal", "None"]
    texts += ["Reward", "Your score (min 0.0, max 1.0)", repr(reward), "Reward Details", "None"]
    return Page("done", _join(texts), {})


def _buttons(texts: Iterable[str]) -> dict[str, Link]:
    return {text.lower(): BUTTON for text in texts}


def _join(texts: Iterable[str]) -> str:
    """The texts as segments, stripped.

    An HTML parser keeps no empty text and one character of blank text: a newline, which shows nothing, or a space,
    which shows as an empty segment.
    """
    return _SEPARATOR.join(text.strip() for text in texts if text and (text.strip(_HTML_SPACE) or "\n" not in text))


def _script_json(options: Mapping[str, str]) -> str:
    """JSON as it may stand inside HTML."""
    text = json.dumps(options, sort_keys=True)
    for sign in "&<>'":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
