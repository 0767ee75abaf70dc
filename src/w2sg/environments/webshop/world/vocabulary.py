"""The words of the generated catalogue: short, plain and few, so that small models can learn to read them.

Rewards match words loosely (reward.py), so a test holds that no two attributes of an aisle match each other, nor two
values of an option, and that no attribute hides in the words around it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Option(NamedTuple):
    """Something to choose on a product's page.

    Attributes:
        values: all there are; a product offers some of them, in this order.
        phrases: how a shopper asks for a value, after the kind of product.
    """

    name: str
    values: tuple[str, ...]
    phrases: tuple[str, ...]


class Aisle(NamedTuple):
    """Kinds of product that share attributes, options and prices.

    Attributes:
        category: one of WebShop's five.
        department: first part of the product category; the aisle's name is the second, the kind the third.
        prices: the lowest and the highest of what is cheapest of its family (generator.py), in dollars.
        countable: kinds that take an article ("a shirt").
        uncountable: kinds that take none ("socks", "tea").
    """

    category: str
    department: str
    prices: tuple[int, int]
    countable: tuple[str, ...]
    uncountable: tuple[str, ...]
    attributes: tuple[str, ...]
    options: tuple[Option, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of all kinds of product."""
        return self.countable + self.uncountable


_SIZE_PHRASES = ("in size {}", "size {}", "in a {} size")
_COLOR = Option(
    "color",
    ("red", "blue", "green", "black", "white", "pink", "gray", "brown"),
    ("in {}", "in {} color", "{} colored", "color {}"),
)
_SIZE = Option("size", ("small", "medium", "large", "giant"), _SIZE_PHRASES)
_NUMBER = Option("size", ("6", "7", "8", "9"), _SIZE_PHRASES[:2])
_PACK = Option("size", ("mini", "regular", "family"), _SIZE_PHRASES)
_BED = Option("size", ("twin", "full", "queen", "king"), _SIZE_PHRASES)
_FLAVOR = Option("flavor", ("vanilla", "honey", "lemon", "ginger", "mint", "berry"), ("in {} flavor", "{} flavored"))
_SCENT = Option("scent", ("rose", "mint", "coconut", "citrus", "vanilla", "lavender"), ("with {} scent", "{} scented"))
_STYLE = Option("style", ("modern", "rustic", "retro", "boho"), ("in {} style", "{} style"))
_MODEL = Option("style", ("basic", "plus", "pro", "kids"), ("in {} style", "{} style"))

AISLES: Mapping[str, Aisle] = MappingProxyType(
    {
        "clothes": Aisle(
            category="fashion",
            department="wear",
            prices=(11, 39),
            countable=("shirt", "dress", "jacket", "sweater"),
            uncountable=("socks",),
            attributes=("cotton", "linen", "wool", "soft", "slim fit", "long sleeve", "quick dry", "machine wash"),
            options=(_COLOR, _SIZE),
        ),
        "shoes": Aisle(
            category="fashion",
            department="wear",
            prices=(21, 49),
            countable=(),
            uncountable=("boots", "sandals", "sneakers", "slippers", "loafers"),
            attributes=(
                "leather",
                "suede",
                "waterproof",
                "padded",
                "non slip",
                "rubber sole",
                "wide toe",
                "arch support",
            ),
            options=(_COLOR, _NUMBER),
        ),
        "snacks": Aisle(
            category="grocery",
            department="food",
            prices=(11, 39),
            countable=("snack bar",),
            uncountable=("cookies", "chips", "popcorn", "almonds"),
            attributes=("organic", "vegan", "kosher", "crunchy", "low fat", "non gmo", "gluten free", "sugar free"),
            options=(_FLAVOR, _PACK),
        ),
        "drinks": Aisle(
            category="grocery",
            department="food",
            prices=(11, 39),
            countable=("protein shake",),
            uncountable=("tea", "juice", "soda", "syrup"),
            attributes=(
                "organic",
                "vegan",
                "kosher",
                "fair trade",
                "low acid",
                "dairy free",
                "caffeine free",
                "sugar free",
            ),
            options=(_FLAVOR, _PACK),
        ),
        "care": Aisle(
            category="beauty",
            department="beauty",
            prices=(11, 39),
            countable=("face mask", "lip balm"),
            uncountable=("shampoo", "lotion", "hair oil"),
            attributes=("vegan", "organic", "mild", "herbal", "dry skin", "anti age", "cruelty free", "long lasting"),
            options=(_SCENT, _PACK),
        ),
        "furniture": Aisle(
            category="garden",
            department="home",
            prices=(21, 49),
            countable=("lamp", "chair", "table", "shelf", "mirror"),
            uncountable=(),
            attributes=(
                "round",
                "tall",
                "folding",
                "solid wood",
                "metal frame",
                "heavy duty",
                "space saving",
                "easy clean",
            ),
            options=(_COLOR, _STYLE),
        ),
        "bedding": Aisle(
            category="garden",
            department="home",
            prices=(21, 49),
            countable=("pillow", "blanket", "quilt", "bed sheet", "curtain"),
            uncountable=(),
            attributes=("cotton", "linen", "fluffy", "cooling", "thick", "machine wash", "fade proof", "eco friendly"),
            options=(_COLOR, _BED),
        ),
        "devices": Aisle(
            category="electronics",
            department="tech",
            prices=(21, 49),
            countable=("speaker", "charger", "keyboard", "phone case"),
            uncountable=("headphones",),
            attributes=(
                "wireless",
                "slim",
                "tough",
                "high speed",
                "long life",
                "easy carry",
                "fast charge",
                "water safe",
            ),
            options=(_COLOR, _MODEL),
        ),
    }
)

PARAPHRASES: Mapping[str, str] = MappingProxyType(
    {
        "waterproof": "to keep water out",
        "non slip": "that will not slip",
        "machine wash": "that i can wash in the machine",
        "gluten free": "without gluten",
        "sugar free": "without sugar",
        "dairy free": "without dairy",
        "caffeine free": "without caffeine",
        "long lasting": "that will last long",
        "space saving": "to save space",
        "easy clean": "that i can clean easily",
        "wireless": "without wires",
        "fast charge": "that will charge fast",
    }
)
"""Attributes that a shopper may put in other words, after the kind of product."""

OPENINGS = (
    "i need",
    "i want",
    "i am looking for",
    "i would like to buy",
    "find me",
    "show me",
    "please get me",
    "can you find",
    "help me find",
    "looking for",
)
DEMANDS = ("that must be {}", "that should be {}", "described as {}")
USES = ("travel", "home", "work", "school", "gifts", "guests", "summer", "winter")
DESCRIPTIONS = (
    "this {kind} is {attribute} and good for {use}",
    "{attribute} {kind} made for {use}",
    "our {attribute} {kind} is great for {use}",
)
BULLETS = ("it is {}", "{} design", "you get {}")
