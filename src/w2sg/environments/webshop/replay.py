"""`w2sg replay webshop`: do again what was recorded from the original, and compare."""

import argparse
import random
import sys
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from itertools import zip_longest
from pathlib import Path
from typing import Any

from w2sg.contracts import files
from w2sg.contracts.errors import UserError, reason
from w2sg.environments.webshop.world import catalogue as catalogues
from w2sg.environments.webshop.world import nouns
from w2sg.environments.webshop.world.catalogue import Catalogue
from w2sg.environments.webshop.world.goals import draw_goals, draw_prices
from w2sg.environments.webshop.world.reward import reward
from w2sg.environments.webshop.world.search import Index
from w2sg.environments.webshop.world.session import MAX_RESULTS, Session, Shop, product_index

REMEDY = "record it again, or remove it"
_SHOWN = 5
"""How many differences are told, of each kind."""


class Tally:
    """What was compared, and the first differences."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.identical = 0
        self.total = 0
        self.differences: list[str] = []

    def compare(self, ours: object, theirs: object, where: str) -> bool:
        """Count one comparison; for mappings, name the first key that differs."""
        self.total += 1
        if ours == theirs:
            self.identical += 1
            return True
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            key = next(key for key in [*theirs, *ours] if ours.get(key) != theirs.get(key))
            where, ours, theirs = f"{where}, {key}", ours.get(key), theirs.get(key)
        self.differences.append(f"{self.kind}: {where}: {str(ours)[:160]!r}, recorded {str(theirs)[:160]!r}")
        return False

    def __str__(self) -> str:
        return f"{self.kind} identical: {self.identical} of {self.total}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="catalogue and recordings")


def run(arguments: argparse.Namespace) -> int:
    """What the command does; see compare."""
    return compare(arguments.data)


def compare(data: Path) -> int:
    """Replay the recordings in `data`, print how much agreed; 0 if everything did.

    `data` holds a catalogue, goals_<mode>.json, and what was recorded on it: episodes.jsonl, search.jsonl and
    rewards.jsonl (each may be .gz). Rewards are taken with the nouns of nouns.rule, as they were recorded. The first
    observation of an episode counts as a step. A record that is broken is named and left out, and not all agrees.

    Raises:
        UserError: a file of the catalogue is missing or damaged, or there is nothing to compare.
    """
    catalogue = catalogues.load(data)
    index = product_index(catalogue)
    tallies = [Tally(kind) for kind in ("goals", "steps", "searches", "rewards")]
    goals, steps, searches, rewards = tallies
    skipped: list[str] = []
    worlds: dict[str, _World] = {}

    def world(mode: str, recorded: dict[str, Any]) -> None:
        worlds[mode] = _World(catalogue, recorded, index=index)
        worlds[mode].compare_goals(goals, mode)

    for path in _files(data, "goals_*.json"):
        mode = path.name.partition(".")[0].removeprefix("goals_")
        _tried(lambda: world(mode, files.read_json(path, remedy=REMEDY)), path, goals, skipped)  # noqa: B023

    def episode(record: dict[str, Any], where: str) -> None:
        worlds[record["mode"]].compare_episode(steps, record, where)

    def found(record: dict[str, Any], where: str) -> None:
        _compare_search(searches, index, record, where)

    def rewarded(record: dict[str, Any], where: str) -> None:
        worlds[record["mode"]].compare_reward(rewards, record, where)

    for name, tally, repeat in (
        ("episodes", steps, episode),
        ("search", searches, found),
        ("rewards", rewards, rewarded),
    ):
        for path in _files(data, f"{name}.jsonl"):
            lines = _lines(path)
            if not lines:
                skipped.append(f"{path}: empty; {REMEDY}")
            for number, line in lines:
                where = f"{path}: line {number}"
                short = f"{path.name} line {number}"
                _tried(lambda: repeat(files.parsed(line), short), where, tally, skipped)  # noqa: B023
    if not any(tally.total for tally in tallies) and not skipped:
        raise UserError(f"{data}: nothing to compare, expected goals_*.json, episodes, search or rewards .jsonl")
    print("; ".join(map(str, tallies)) + (f"; skipped: {len(skipped)}" if skipped else ""))
    for difference in [each for tally in tallies for each in tally.differences[:_SHOWN]]:
        print(difference, file=sys.stderr)
    for each in skipped:
        print(f"skipped: {each}", file=sys.stderr)
    return 0 if all(tally.identical == tally.total for tally in tallies) and not skipped else 1


def _tried(compare: Callable[[], None], where: object, tally: Tally, skipped: list[str]) -> None:
    """Compare one record; one that is broken counts in `skipped` alone."""
    before = tally.identical, tally.total, list(tally.differences)
    try:
        compare()
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        tally.identical, tally.total, tally.differences = before
        what = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {reason(error)}"
        skipped.append(what if str(where) in what else f"{where}: not a recording of WebShop ({what})")


class _World:
    """The shop and its goals of one recording of goals, drawn with its seed."""

    def __init__(self, catalogue: Catalogue, recorded: dict[str, Any], *, index: Index) -> None:
        self.recorded = recorded["goals"]
        self.recorded_prices = recorded["prices"]
        self.shop = Shop(catalogue, index=index, seed=recorded["seed"], nouns=nouns.rule)
        rng = random.Random(recorded["seed"])
        human = any(isinstance(goal["goal_options"], list) for goal in self.recorded)
        self.goals = draw_goals(catalogue, draw_prices(catalogue, rng), rng, human=human)

    def compare_goals(self, tally: Tally, mode: str) -> None:
        for number, (ours, theirs) in enumerate(zip_longest(self.goals, self.recorded)):
            mine = ours and ours.record() | {"price": self.shop.prices[ours.asin]}
            wanted = theirs and theirs | {"price": self.recorded_prices.get(theirs["asin"])}
            tally.compare(mine, wanted, f"{mode} {number}")

    def compare_episode(self, tally: Tally, episode: dict[str, Any], where: str) -> None:
        goal = self.goals[episode["session"]]
        session = Session(self.shop, goal)
        ours = {"goal": goal.record(), "obs": session.observation, **_available(session)}
        theirs = {"goal": episode["goal"], "obs": episode["first_obs"], **episode["first_available"]}
        tally.compare(ours, theirs, f"{where}, start")
        for number, step in enumerate(episode["steps"]):
            theirs = {key: value for key, value in step.items() if key != "action"}
            _, got, done = session.act(step["action"])
            ours = _state(session) | {"reward": got, "done": done}
            if number == len(episode["steps"]) - 1 and "reward_info" in episode:
                theirs["reward_info"] = episode["reward_info"]
            tally.compare({key: ours.get(key) for key in theirs}, theirs, f"{where}, step {number}")

    def compare_reward(self, tally: Tally, record: dict[str, Any], where: str) -> None:
        product, goal = self.shop.catalogue.by_asin[record["asin"]], self.goals[record["goal"]]
        got, parts = reward(product, goal, price=record["price"], options=record["options"], nouns=self.shop.nouns)
        theirs = {"reward": record["reward"], **record["info"]}
        tally.compare({"reward": got, **parts}, theirs, where)


def _compare_search(tally: Tally, index: Index, record: dict[str, Any], where: str) -> None:
    """Order and scores, these to as many places as were recorded."""
    hits = index.search(record["query"], MAX_RESULTS)
    places = max((len(str(score).partition(".")[2]) for score in record["scores"]), default=0)
    ours = {"asins": [asin for asin, _ in hits], "scores": [round(score, places) for _, score in hits]}
    tally.compare(ours, {key: record[key] for key in ours}, f"{where}, {record['query'][:60]!r}")


def _available(session: Session) -> dict[str, Any]:
    return {"has_search_bar": session.page.has_search_bar, "clickables": session.clickables}


def _state(session: Session) -> dict[str, Any]:
    """A session as the recordings describe it."""
    return {
        "obs": session.observation,
        **_available(session),
        "page": session.page.name,
        "asin": session.asin,
        "options": session.options,
        "page_no": session.page_number,
        "keywords": session.keywords,
        "search_results": [product.asin for product in session.results],
        "reward_info": session.reward_info,
    }


def _lines(path: Path) -> list[tuple[int, bytes]]:
    """The records of a file, each with the number of its line."""
    with files.reading(path, "readable", remedy=REMEDY):
        content = files.content_of(path)
    return [(number, line) for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]


def _files(data: Path, pattern: str) -> list[Path]:
    """The files of `data` that match `pattern`, plain or compressed, and links that lead nowhere."""
    return sorted(path for path in data.iterdir() if fnmatch(path.name.removesuffix(".gz"), pattern))
