"""The reward of a purchase (Yao et al., 2022, section 3.1): type x share of attributes, options and price met."""

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from rapidfuzz import fuzz
from rapidfuzz.utils import default_process

from w2sg.environments.webshop.world.catalogue import Product
from w2sg.environments.webshop.world.goals import Goal
from w2sg.environments.webshop.world.nouns import NounExtractor

_ALIKE = 85
"""Two texts match above this token_set_ratio (percent)."""

_LATIN_1 = {code: None for code in range(128, 256)}

_COLOUR_WORDS = """\
alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown burgundy camel camo
caramel champagne charcoal cheetah chestnut chocolate christmas coffee cognac copper coral cranberry cream crystal
dark denim eggplant elephant espresso fuchsia gold granite grape graphite grass gray green grey heather indigo ivory
ivy khaki lavender lemon leopard light lilac lime magenta maroon mauve merlot midnight mint mocha multicolor mushroom
mustard natural navy nude olive orange peach pewter pink plum purple rainbow red rose royal rust sand sapphire
seashell silver skull slate steel stone stonewash sunflower tan taupe teal tiger turquoise violet walnut wheat white
wine yellow
"""
_COLOURS = tuple(_COLOUR_WORDS.split())
"""The first that a text contains stands for the text; the order decides, so "tan" is found in "standard"."""


def reward(
    product: Product, goal: Goal, *, price: float, options: Mapping[str, str], nouns: NounExtractor
) -> tuple[float, dict[str, Any]]:
    """The reward in [0, 1] of buying `product` at `price` dollars with `options`, and its parts.

    Parts: r_type with query_match, category_match and title_score; r_att, r_price and, where the goal names options,
    r_option are shares met, each with its weight w_att, w_price, w_option (they sum to 1).
    """
    kind = type_reward(product, goal, nouns=nouns)
    attributes = sum(_has(product, attribute) for attribute in goal.attributes)
    chosen = matching_options(options.values(), goal.goal_options)
    affordable = price <= goal.price_upper
    wanted = len(goal.attributes) + len(goal.goal_options) + 1
    parts: dict[str, Any] = {
        "r_type": kind["r_type"],
        "r_att": attributes / len(goal.attributes),
        "w_att": len(goal.attributes) / wanted,
        "query_match": kind["query_match"],
        "category_match": kind["category_match"],
        "title_score": kind["title_score"],
    }
    if goal.goal_options:
        parts |= {"r_option": chosen / len(goal.goal_options), "w_option": len(goal.goal_options) / wanted}
    parts |= {"r_price": affordable, "w_price": 1 / wanted}
    return (attributes + chosen + affordable) / wanted * kind["r_type"], parts


def type_reward(product: Product, goal: Goal, *, nouns: NounExtractor) -> dict[str, Any]:
    """Is it the right kind of thing? By query, category path, and nouns shared by the two titles."""
    query_match = product.query == goal.query
    category_match = len(_path(product.product_category) & _path(goal.product_category)) >= 2
    bought, wanted = nouns(product.title), nouns(goal.name)
    title_score = len(set(bought) & set(wanted)) / len(wanted) if wanted else 0.2
    r_type = 1.0 if query_match or category_match or title_score > 0.2 else 0.5
    if title_score < 0.1:
        r_type = 0.1 if title_score else 0.0
    return {
        "r_type": r_type,
        "query_match": query_match,
        "category_match": category_match,
        "title_score": title_score,
    }


def _path(product_category: str) -> set[str]:
    return {part.strip() for part in product_category.split("›")}


def _has(product: Product, attribute: str) -> bool:
    if any(alike(known, attribute) for known in product.attributes):
        return True
    texts = product.title, " ".join(product.bullets), product.description
    return any(attribute in text.lower() for text in texts)


def matching_options(chosen: Collection[str], wanted: Collection[str] | Mapping[str, str]) -> int:
    """How many wanted options are met by any chosen value; one value may meet several.

    The original compares the (name, value) pairs of synthetic goals as they are: a pair names a colour only if the
    name or the value is exactly one, and otherwise it is the pair's Python text that must be alike.
    """
    values = [_colour(value) for value in chosen]
    pairs = wanted.items() if isinstance(wanted, Mapping) else wanted
    texts = [str(_colour(option)) for option in pairs]
    return sum(any(alike(value, text) for value in values) for text in texts)


def _colour(option: str | tuple[str, str]) -> str | tuple[str, str]:
    return next((colour for colour in _COLOURS if colour in option), option)


@lru_cache(maxsize=65536)
def alike(one: str, other: str) -> bool:
    """Whether the token set ratio of two texts, as thefuzz rounds it, is above 85."""
    one, other = _plain(one), _plain(other)
    return bool(one and other) and round(fuzz.token_set_ratio(one, other)) > _ALIKE


def _plain(text: str) -> str:
    """As thefuzz reads a text: no Latin-1 signs, a space for all that is neither letter nor digit, lower case."""
    return default_process(text.translate(_LATIN_1))
