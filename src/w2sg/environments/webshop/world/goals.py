"""Goals: what a shopper is told to buy. The random draws come in the original's order, from one seeded stream."""

import bisect
import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from w2sg.contracts.errors import UserError, named, shown
from w2sg.environments.webshop.world.catalogue import Catalogue, Product

_PRICES = tuple(10.0 * step for step in range(1, 100))
"""Round prices in dollars that a goal may name as its cap."""

_CAP_CHOICES = 4
_NO_CAP = 1000000
_SHUFFLE_SEED = 233


@dataclass(frozen=True, slots=True)
class Goal:
    """One instruction and what it asks for; the fields are those of the original's records.

    Attributes:
        name: the title of the product that the instruction was written for.
        attributes: what the product should have, at least one.
        price_upper: the price cap in dollars; 1000000 where there is none.
        goal_options: values for human instructions, values by option name for synthetic ones.
        weight: share of the goal when goals are drawn; synthetic goals with common attributes weigh less.
    """

    asin: str
    category: str
    query: str
    name: str
    product_category: str
    instruction_text: str
    attributes: list[str]
    price_upper: float
    goal_options: list[str] | dict[str, str]
    weight: float

    def record(self) -> dict[str, Any]:
        """The goal as an object for JSON."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: object) -> Self:
        """Inverse of record.

        Raises:
            UserError: the record is no goal.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(record, dict) or set(record) != names:
            raise UserError(f"goal {shown(record)}: expected an object with {', '.join(sorted(names))}")
        goal = cls(**record)
        options = goal.goal_options
        if not isinstance(goal.attributes, list) or not goal.attributes or not isinstance(options, list | dict):
            raise UserError(f"goal {shown(goal.asin)}: expected a list of attributes, and options in a list or object")
        texts = [goal.asin, goal.category, goal.query, goal.name, goal.product_category, goal.instruction_text]
        texts += [*goal.attributes, *options, *(options.values() if isinstance(options, dict) else ())]
        if not all(isinstance(text, str) for text in texts):
            raise UserError(f"goal {shown(goal.asin)}: a value is no text")
        for name in ("price_upper", "weight"):
            if type(value := getattr(goal, name)) not in (int, float) or not math.isfinite(value):
                raise UserError(f"goal {named(goal.asin)}: {name} is {shown(value)}, expected a number")
        return goal


def draw_prices(catalogue: Catalogue, rng: random.Random) -> dict[str, float]:
    """The price in dollars of each product by ASIN: its only one, or a uniform draw from its range."""
    return {
        product.asin: rng.uniform(*product.pricing) if len(product.pricing) > 1 else product.pricing[0]
        for product in catalogue.products
    }


def draw_goals(catalogue: Catalogue, prices: Mapping[str, float], rng: random.Random, *, human: bool) -> list[Goal]:
    """All human or all synthetic goals, in the original's shuffled order; price caps are drawn from `rng`.

    For the original's goals after `random.seed(s)`, take rng = random.Random(s) and draw the prices with it first.
    As there, `rng` is seeded anew before the shuffle; `limit` and `pick` go on from where it leaves it.

    Raises:
        UserError: a synthetic instruction has no attributes.
    """
    make = _human_goals if human else _synthetic_goals
    goals = [goal for product in catalogue.products for goal in make(product, prices[product.asin], rng)]
    if not human:
        goals = _weighted(goals)
    rng.seed(_SHUFFLE_SEED)
    rng.shuffle(goals)
    return goals


def _human_goals(product: Product, price: float, rng: random.Random) -> Iterator[Goal]:
    for entry in product.human:
        if entry.attributes:
            cap, words = _draw_cap(price, rng)
            text = entry.instruction.strip(".") + words
            yield _goal(product, text, entry.attributes, cap, list(entry.options))


def _synthetic_goals(product: Product, price: float, rng: random.Random) -> Iterator[Goal]:
    """One goal for each combination of option values; all share one price cap."""
    if product.instruction is None:
        return
    if not product.instruction_attributes:
        raise UserError(f"product {product.asin}: instruction_attributes is empty beside an instruction")
    cap, words = _draw_cap(price, rng)
    names = sorted(product.options)
    for values in itertools.product(*(product.options[name] for name in names)):
        options = dict(zip(names, values, strict=True))
        wanted = ", and ".join(f"{name}: {value}" for name, value in options.items())
        text = product.instruction + (f" with {wanted}" if wanted else "") + words
        yield _goal(product, text, product.instruction_attributes, cap, options)


def _draw_cap(price: float, rng: random.Random) -> tuple[float, str]:
    """A price cap above `price`, and how the instruction says so; none for what costs 980 dollars or more."""
    choices = [step for step in _PRICES if step > price][:_CAP_CHOICES]
    if len(choices) < 2:
        return _NO_CAP, ""
    cap = max(rng.sample(choices, 2))
    return cap, f", and price lower than {cap:.2f} dollars"


def _goal(
    product: Product, text: str, attributes: Sequence[str], cap: float, options: list[str] | dict[str, str]
) -> Goal:
    return Goal(
        asin=product.asin,
        category=product.category,
        query=product.query,
        name=product.title,
        product_category=product.product_category,
        instruction_text=text,
        attributes=list(attributes),
        price_upper=cap,
        goal_options=options,
        weight=1,
    )


def _weighted(goals: Sequence[Goal]) -> list[Goal]:
    """Synthetic goals weigh the mean rarity of their attributes."""
    counts = Counter(attribute for goal in goals for attribute in goal.attributes)
    return [
        replace(goal, weight=sum(1.0 / counts[a] for a in goal.attributes) / len(goal.attributes)) for goal in goals
    ]


def pick(goals: Sequence[Goal], rng: random.Random) -> int:
    """The index of a goal drawn by weight, as the original draws for a session without a number."""
    sums = [0.0, *itertools.accumulate(goal.weight for goal in goals)]
    return min(bisect.bisect(sums, rng.uniform(0, sums[-1])), len(sums) - 2)


def limit(goals: Sequence[Goal], count: int, rng: random.Random) -> list[Goal]:
    """`count` different goals drawn by weight, in the order of drawing; all of them if there are no more."""
    if count >= len(goals):
        return list(goals)
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        drawn[pick(goals, rng)] = None
    return [goals[index] for index in drawn]
