"""The tasks of WebShop that the parameters ask for, and the catalogue that they are played on."""

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from w2sg.contracts.errors import UserError
from w2sg.contracts.tasks import Task
from w2sg.environments.webshop.settings import Settings
from w2sg.environments.webshop.tasks.generator import catalogue_files, generate
from w2sg.environments.webshop.world.catalogue import Catalogue, load
from w2sg.environments.webshop.world.environment import make_task
from w2sg.environments.webshop.world.goals import Goal, draw_goals, draw_prices
from w2sg.environments.webshop.world.nouns import extractor

_DRAW = 0
"""Seed of the catalogue, its prices and price caps: the tasks are the same in all seeds of a run."""

_UNSEEN_EVERY = 5
_TRAIN_EACH = 4

_TEST, _DEVELOPMENT = 500, 1500
"""Ends of the original's test and development goals, in its order of human goals; the others are for training."""


def make_tasks(settings: Settings, folder: Path) -> list[Task]:
    """Write the catalogue into `folder` and return the tasks: human instructions on it, in the original's order.

    On a generated catalogue, every fifth product that people ask for is for "unseen": no train instruction is about it,
    though searches may have listed it. "Seen" has further instructions for products of train tasks. On the original's
    files, unseen, seen and train are its own test, development and training goals (0-499, 500-1499, and from 1500 on);
    where there are too few goals for that, fifths and the rest. ETO's lists of goals are not used: a tenth of its test
    goals are training goals as well.

    Raises:
        UserError: a file of `data_dir` is missing or damaged, or there are too few goals.
    """
    if settings.data_dir is None:
        generate(folder, products=settings.products, seed=_DRAW, aisles=settings.aisles)
    else:
        _write(load(Path(settings.data_dir).expanduser(), num_products=settings.products), folder)
    catalogue = load(folder)
    extractor(settings.nouns)  # complains now, not in the first episode
    rng = random.Random(_DRAW)
    goals = draw_goals(catalogue, draw_prices(catalogue, rng), rng, human=True)
    splits = _original(goals) if settings.data_dir is not None else _by_product(catalogue, goals)
    tasks: list[Task] = []
    for split, wanted in (
        ("train", settings.tasks.train),
        ("seen", settings.tasks.seen),
        ("unseen", settings.tasks.unseen),
    ):
        there = splits[split]
        if split == "seen" and settings.data_dir is None:
            trained = {goal.asin for goal in splits["train"][: settings.tasks.train]}
            there = [goal for goal in there if goal.asin in trained]
        if len(there) < wanted:
            raise UserError(
                f"environments.webshop.tasks.{split}: {wanted} is too many; there are {len(there)} goals with"
                f" environments.webshop.products: {settings.products} ({len(catalogue.products)} products)"
            )
        tasks += [
            make_task(
                goal,
                task_id=f"{split}-{number:04d}",
                split=split,
                task_type=goal.category,
                seed=_DRAW,
                max_steps=settings.max_steps,
                nouns=settings.nouns,
            )
            for number, goal in enumerate(there[:wanted])
        ]
    return tasks


def _by_product(catalogue: Catalogue, goals: Sequence[Goal]) -> Mapping[str, list[Goal]]:
    asked_for = [product for product in catalogue.products if product.human]
    unseen = {product.asin for product in asked_for[::_UNSEEN_EVERY]}
    splits: dict[str, list[Goal]] = {"train": [], "seen": [], "unseen": []}
    earlier: Counter[str] = Counter()
    for goal in goals:
        split = "unseen" if goal.asin in unseen else "train" if earlier[goal.asin] < _TRAIN_EACH else "seen"
        earlier[goal.asin] += 1
        splits[split].append(goal)
    return splits


def _original(goals: Sequence[Goal]) -> Mapping[str, list[Goal]]:
    fifth = len(goals) // 5
    test, development = (_TEST, _DEVELOPMENT) if len(goals) >= 2 * _DEVELOPMENT else (fifth, 2 * fifth)
    return {"train": [*goals[development:]], "seen": [*goals[test:development]], "unseen": [*goals[:test]]}


def _write(catalogue: Catalogue, folder: Path) -> None:
    """The catalogue in the format of its files, without what no page shows."""
    with catalogue_files(folder) as (items, attributes, instructions):
        for product in catalogue.products:
            items.add(
                json.dumps(
                    {
                        "asin": product.asin,
                        "name": product.title,
                        "full_description": product.description,
                        "small_description": product.bullets,
                        "pricing": "".join(f"${price}" for price in product.pricing),
                        "product_category": product.product_category,
                        "category": product.category,
                        "query": product.query,
                        "customization_options": {
                            name: [{"value": value} for value in values] for name, values in product.options.items()
                        },
                    }
                )
            )
            known = {
                "attributes": product.attributes,
                "instruction": product.instruction,
                "instruction_attributes": product.instruction_attributes,
            }
            attributes.add(f"{json.dumps(product.asin)}: {json.dumps(known)}")
            written = [
                {
                    "instruction": entry.instruction,
                    "instruction_attributes": entry.attributes,
                    "instruction_options": entry.options,
                }
                for entry in product.human
            ]
            instructions.add(f"{json.dumps(product.asin)}: {json.dumps(written)}")
