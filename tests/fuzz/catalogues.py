"""WebShop's catalogues and the recordings beside them."""

import copy
import gzip
import json
import random
import shutil
from pathlib import Path
from typing import Any

from environments.webshop_examples import ATTRIBUTES, INSTRUCTIONS, ITEMS, write_catalogue
from w2sg.contracts.tasks import Task
from w2sg.environments.webshop.replay import compare
from w2sg.environments.webshop.world import catalogue
from w2sg.environments.webshop.world.environment import make_task
from w2sg.environments.webshop.world.goals import draw_goals, draw_prices
from w2sg.environments.webshop.world.session import Session, Shop

from . import hostile
from .outcomes import Case

PRICES = (
    "",
    "$",
    "$12",
    "$1.2.3",
    "12",
    "€9",
    "$8 - $11",
    "$11$8",
    "$nan",
    "$" + "9" * 400,
    "$０",
    12.99,
    None,
    [],
    True,
)
RECORDS = {
    "goals_hum.json": {"seed": 5, "goals": [], "prices": {}},
    "episodes.jsonl": {"mode": "hum", "session": 0, "goal": {}, "first_obs": "a", "first_available": {}, "steps": []},
    "search.jsonl": {"query": "red shirt", "asins": ["B00SHIRT01"], "scores": [1.5]},
    "rewards.jsonl": {"mode": "hum", "goal": 0, "asin": "A", "options": {}, "price": 1.0, "reward": 1.0, "info": {}},
}  # fmt: skip


class Kind:
    """See the package."""

    weight = 4

    def __init__(self, folder: Path) -> None:
        self._folder, self._table = folder / "shop", folder / "tasks.parquet"

    def case(self, rng: random.Random) -> Case:
        shutil.rmtree(self._folder, ignore_errors=True)
        parts: dict[str, Any] = copy.deepcopy(
            {"items": ITEMS[:3], "attributes": ATTRIBUTES, "instructions": INSTRUCTIONS}
        )
        action = rng.choice(["items", "items", "attributes", "instructions", "price", "bytes", "files", "recording"])
        if action in parts:
            parts[action] = hostile.changed(rng, parts[action], times=rng.choice([1, 1, 3]))
        elif action == "price":
            parts["items"][0]["pricing"] = rng.choice(PRICES)
        write_catalogue(self._folder, packed=rng.random() < 0.2, **parts)
        file = rng.choice(sorted(self._folder.iterdir()))
        if action == "bytes":
            file.write_bytes(hostile.damaged(rng, file.read_bytes()))
        elif action == "files":
            self._moved(rng, file)
        elif action == "recording":
            for name, record in copy.deepcopy(RECORDS).items():
                content = json.dumps(hostile.changed(rng, record, times=rng.choice([0, 1, 2]))).encode()
                content = hostile.damaged(rng, content) if rng.random() < 0.2 else content
                packed = rng.random() < 0.2
                (self._folder / (f"{name}.gz" if packed else name)).write_bytes(
                    gzip.compress(content) if packed else content
                )
            return Case(action, lambda: compare(self._folder), str(self._folder))
        return Case(action, self._read, str(self._folder))

    def _read(self) -> None:
        """The goals become tasks, in a table, and the shop is walked through."""
        found = catalogue.load(self._folder)
        rng = random.Random(0)
        prices = draw_prices(found, rng)
        goals = draw_goals(found, prices, rng, human=True)
        shop = Shop(found, seed=0)
        tasks = [
            make_task(goal, task_id=str(n), split="train", task_type="a", seed=0, max_steps=3)
            for n, goal in enumerate(goals)
        ]
        Task.write(self._table, tasks)
        for goal in goals[:1]:
            session = Session(shop, goal)
            for action in ("search[shirt]", f"click[{found.products[0].asin}]", "click[description]", "click[buy now]"):
                session.act(action)
                session.observation.encode()

    def _moved(self, rng: random.Random, file: Path) -> None:
        action = rng.choice(["remove", "twice", "folder", "other", "empty", "utf-16", "lines"])
        if action == "remove":
            file.unlink()
        elif action == "twice":
            shutil.copy(file, file.with_name(f"{file.name.partition('.')[0]} (1).json"))
        elif action == "folder":
            file.unlink()
            file.mkdir()
        elif action == "utf-16":
            file.write_bytes('{"a": 1}'.encode("utf-16"))
        else:
            texts = {"other": "<html>Google Drive can't scan this file</html>", "empty": "", "lines": "{}\n{}\n"}
            file.write_text(texts[action])
