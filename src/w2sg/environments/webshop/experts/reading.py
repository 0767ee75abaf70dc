"""What a shopper can read: the instruction, and the pages as text."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from w2sg.environments.webshop.world.vocabulary import AISLES, PARAPHRASES

SEPARATOR = " [SEP] "
PageKind = Literal["index", "results", "item", "details"]

_CAP = re.compile(r",? and price lower than (\d+\.\d\d) dollars$")
_WORD = re.compile(r"[a-z0-9%'-]+(?:\.[a-z0-9]+)*")
_PRICE = re.compile(r"\$(\d+(?:\.\d+)?)")
_TAG = re.compile(r"\$\S+(?: to \$\S+)?")  # how a results page shows a price
_RESULTS = re.compile(r"Page (\d+) \(Total results: (\d+)\)")
_KINDS = {kind: aisle for aisle in AISLES.values() for kind in aisle.kinds}
_VALUES = frozenset(value for aisle in AISLES.values() for option in aisle.options for value in option.values)
_FILLER_TEXT = """
    a an and am any are as at be brand but buy by can color colored colour comes could described dollars find flavor
    flavored for from get give has have hello help hey hi i i'd i'm in is it its like lower made me must my need new of
    on one or order pair place please price scent scented set should show size some something style than that the to us
    want which will with would you looking look searching
"""
_FILLERS = frozenset(_FILLER_TEXT.split())


@dataclass(frozen=True, slots=True)
class Wish:
    """What an instruction asks for, as far as its words tell.

    Attributes:
        instruction: as the pages show it.
        kind: the kind of product; empty where the words name none of the vocabulary's.
        attributes: the vocabulary's, in the order of the text.
        words: other words that may matter (none in instructions of the generated catalogue).
        options: values to choose, in the order of the text.
        cap: the price must be below it, in dollars; infinite where the instruction names none.
    """

    instruction: str
    kind: str
    attributes: tuple[str, ...]
    words: tuple[str, ...]
    options: tuple[str, ...]
    cap: float


def read_instruction(instruction: str) -> Wish:
    """Tell kind, attributes, options and price cap apart, as someone would who knows the words of the vocabulary."""
    cap = _CAP.search(instruction)
    text = _CAP.sub("", instruction).lower()
    for attribute, paraphrase in PARAPHRASES.items():
        text = text.replace(paraphrase, attribute)
    kind = max((k for k in _KINDS if holds(text, k)), key=len, default="")
    attributes = [a for a in _KINDS[kind].attributes if holds(text, a)] if kind else []
    attributes.sort(key=text.index)
    for known in (kind, *attributes):
        text = re.sub(rf"\b{re.escape(known)}\b", " ", text, count=1) if known else text
    words = [word for word in _WORD.findall(text) if word not in _FILLERS]
    values = _values_of(kind)
    return Wish(
        instruction,
        kind,
        tuple(attributes),
        tuple(dict.fromkeys(word for word in words if word not in values)),
        tuple(dict.fromkeys(word for word in words if word in values)),
        float(cap[1]) if cap else float("inf"),
    )


def _values_of(kind: str) -> frozenset[str]:
    if not kind:
        return _VALUES
    return frozenset(value for option in _KINDS[kind].options for value in option.values)


def holds(text: str, phrase: str) -> bool:
    """Whether the words of `phrase`, which is in lower case, stand together in `text`."""
    return f" {' '.join(_WORD.findall(phrase))} " in f" {' '.join(_WORD.findall(text.lower()))} "


class Offer(NamedTuple):
    """One product of a results page; `price` is the higher end of a range, in dollars, `tag` the price as shown."""

    asin: str
    title: str
    price: float
    tag: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page as read; fields that its kind does not have are empty.

    Attributes:
        number, total: number of a results page, from 1, and of all results.
        offers: what a results page lists.
        title, price: of the product on an item page; price as in Offer.
        segments: option names and values of an item page, as they follow each other.
        text: what a sub-page tells.
    """

    kind: PageKind
    instruction: str
    number: int = 0
    total: int = 0
    offers: tuple[Offer, ...] = ()
    title: str = ""
    price: float = 0.0
    segments: tuple[str, ...] = ()
    text: str = ""

    def values(self, clickable: frozenset[str]) -> dict[str, tuple[str, ...]]:
        """Values by option name on an item page: what can be clicked follows the name, which cannot."""
        groups: dict[str, list[str]] = {}
        name = ""
        for segment in self.segments:
            if segment in clickable:
                groups.setdefault(name, []).append(segment)
            else:
                name = segment
        return {name: tuple(values) for name, values in groups.items()}


def read_page(observation: str) -> Page:
    """Read any page but the last, where there is nothing left to do."""
    segments = observation.split(SEPARATOR)
    if segments[0] == "WebShop":
        return Page("index", segments[2])
    instruction, rest = segments[1], segments[3:]
    if rest and (found := _RESULTS.fullmatch(rest[0])):
        offers = tuple(_offers(rest[rest.index("Next >") + 1 :]))
        return Page("results", instruction, number=int(found[1]), total=int(found[2]), offers=offers)
    at = next((number for number, segment in enumerate(rest) if segment.startswith("Price: ")), None)
    if rest[-1:] == ["Buy Now"] and at is not None:
        return Page("item", instruction, title=rest[at - 1], price=_price(rest[at]), segments=tuple(rest[1 : at - 1]))
    return Page("details", instruction, text=SEPARATOR.join(rest[1:]))


def _offers(shown: Sequence[str]) -> Iterator[Offer]:
    """What a results page lists: number, title and price of each; an empty title is left out of the page."""
    begin = 0
    for end, segment in enumerate(shown):
        if end > begin and _TAG.fullmatch(segment):
            yield Offer(shown[begin], SEPARATOR.join(shown[begin + 1 : end]), _price(segment), segment)
            begin = end + 1


def _price(text: str) -> float:
    return max((float(price) for price in _PRICE.findall(text)), default=0.0)
