"""An expert that plays as a person would: it reads the observations, searches place by place, and thinks aloud.

It knows nothing but the words on the screen and the commands offered, so it can take over at any moment of an
episode in which it has read along, whatever was done before.
"""

import re
from collections.abc import Collection, Sequence
from typing import Literal

from w2sg.environments.alfworld.experts.goals import Goal

Style = Literal["brief", "plain"]

_SEEN = re.compile(r"(?:On the|The) ([a-z]+ \d+)(?: is open\. In it)?, you see (.*?)\.(?:\s|$)")
_CLOSED = re.compile(r"The ([a-z]+ \d+) is closed\.")
_TAKEN = re.compile(r"You pick up the ([a-z]+ \d+) from the ([a-z]+ \d+)\.")
_PLACED = re.compile(r"You (?:move|put) the ([a-z]+ \d+) (?:to|in/on) the ([a-z]+ \d+)\.")
_TREATED = re.compile(r"You (clean|heat|cool) the ([a-z]+ \d+) using the")
_ITEM = re.compile(r"\ba ([a-z]+ \d+)")
_APPLIANCE = {"clean": "sinkbasin", "heat": "microwave", "cool": "fridge"}


def kind(name: str) -> str:
    """ "drawer" for "drawer 3"."""
    return name.split(" ")[0]


class Searcher:
    """Plays one episode towards `goal`: call `read` after every observation, `decide` for the next turn.

    Args:
        opening: the first observation.
        likely: kinds of place where the target may be; they are searched first. Without any, the order is the room's
            own, which a small model can follow: the next place is the one named after the last.
        style: "brief" thoughts name target, place and what is seen or held in three to nine words, so that what must be
            copied stands next to where it is needed; "plain" ones say it in English sentences.
    """

    def __init__(self, goal: Goal, opening: str, *, likely: Collection[str] = (), style: Style = "brief") -> None:
        self._goal = goal
        self._likely = likely
        self._style = style
        self.places = _ITEM.findall(opening.split("\n")[0])
        self.contents: dict[str, set[str]] = {}
        self.held: str | None = None
        self._here: str | None = None
        self._closed: set[str] = set()
        self._states: dict[str, set[str]] = {}

    def read(self, action: str, observation: str) -> None:
        """Take in what `action` was answered."""
        if seen := _SEEN.search(observation):
            self._closed.discard(seen[1])
            self.contents[seen[1]] = set(_ITEM.findall(seen[2]))
        elif closed := _CLOSED.search(observation):
            self._closed.add(closed[1])
        if action.startswith("close ") and observation.startswith("You close"):
            self._closed.add(action.removeprefix("close "))
        if action.startswith("go to ") and "Nothing happens" not in observation:
            self._here = action.removeprefix("go to ")
        if taken := _TAKEN.match(observation):
            self.held = taken[1]
            self.contents.setdefault(taken[2], set()).discard(taken[1])
        elif placed := _PLACED.match(observation):
            self.held = None
            self.contents.setdefault(placed[2], set()).add(placed[1])
        elif treated := _TREATED.match(observation):
            states = self._states.setdefault(treated[2], set())
            states.discard({"heat": "cool", "cool": "heat"}.get(treated[1], ""))  # heating and cooling undo each other
            states.add(treated[1])

    def decide(self, admissible: Sequence[str]) -> tuple[str, str]:
        """The next turn: thought and action, the action one of `admissible`."""
        action = self._move(admissible)
        return self.think(action), action

    def think(self, action: str) -> str:
        """The thought that goes with `action` now: what is wanted where, and what is seen or held."""
        goal, held = self._goal, self.held
        if self._style == "plain":
            aim = self._need() if self._searches() else f"bring the {goal.target} to the {goal.place}"
            return f"I want to {aim}. I am holding {held or 'nothing'}. Next I {action}."
        if held is not None and kind(held) != goal.target:
            return f"wrong {held} need {self._wanted()}"
        if held is None:
            taken = action.split(" from ")[0].removeprefix("take ")
            sees = action.startswith("take ") and kind(taken) == goal.target
            return f"{taken} here {self._purpose()}" if sees else f"{goal.target} not here {self._purpose()}"
        if goal.task_type == "look_at_obj_in_light":
            return f"{held} held find {goal.place}"
        if goal.treatment and not self._is_treated(held):
            return f"{held} held {goal.treatment} for {goal.place}"
        return f"{held} held for {self._destination()}"

    def wander(self, action: str) -> str:
        """The thought of a move that is not the searcher's own: it says no more than what is wanted."""
        return self.think(action) if self._style == "plain" else f"try {self._wanted()}"

    def _searches(self) -> bool:
        return self.held is None or kind(self.held) != self._goal.target

    def _need(self) -> str:
        return f"find {self._wanted()}"

    def _wanted(self) -> str:
        return f"{self._goal.target} {self._purpose()}"

    def _purpose(self) -> str:
        goal = self._goal
        order = "second " if goal.task_type == "pick_two_obj_and_place" and self._delivered() else ""
        return f"{order}{f'to {goal.treatment} ' if goal.treatment else ''}for {goal.place}"

    def _move(self, admissible: Sequence[str]) -> str:
        goal, held = self._goal, self.held
        if held is not None and kind(held) != goal.target:
            return self._drop(held, admissible)
        if held is None:
            return self._fetch(goal.target, admissible)
        if goal.task_type == "look_at_obj_in_light":
            return self._light(admissible)
        if goal.treatment and not self._is_treated(held):
            appliance = next((p for p in self.places if kind(p) == _APPLIANCE[goal.treatment]), "")
            return _offered(f"{goal.treatment} {held} with {appliance}", admissible) or self._go(appliance, admissible)
        destination = self._destination()
        return _put(held, destination, admissible) or self._approach(destination, admissible)

    def _fetch(self, target: str, admissible: Sequence[str]) -> str:
        """Take an object of the kind where one was seen, or search on."""
        delivered = self._delivered()
        for place in sorted(
            self.contents, key=lambda p: (p != self._here, self.places.index(p) if p in self.places else 0)
        ):
            for item in sorted(self.contents[place]):
                if kind(item) == target and item not in delivered:
                    return _offered(f"take {item} from {place}", admissible) or self._approach(place, admissible)
        return self._search(admissible)

    def _light(self, admissible: Sequence[str]) -> str:
        for place, items in self.contents.items():
            for item in sorted(items):
                if kind(item) == self._goal.place:
                    return _offered(f"use {item}", admissible) or self._approach(place, admissible)
        return self._search(admissible)

    def _search(self, admissible: Sequence[str]) -> str:
        """Look where nothing has been seen yet: here, then onward in the order of the room, likely places first."""
        unseen = [p for p in self.places if p not in self.contents]
        if not unseen:  # what was looked for has been moved out of sight: start over
            self.contents.clear()
            unseen = list(self.places)
        if self._here in unseen and self._here in self._closed:
            return self._approach(self._here, admissible)
        start = self.places.index(self._here) + 1 if self._here in self.places else 0
        onward = [p for p in self.places[start:] + self.places[:start] if p in unseen]
        skip = "" if self._goal.treatment or self._goal.task_type == "look_at_obj_in_light" else self._goal.place
        place = min(onward, key=lambda p: (kind(p) == skip, bool(self._likely) and kind(p) not in self._likely))
        return self._approach(place, admissible)

    def _approach(self, place: str, admissible: Sequence[str]) -> str:
        """Go to a place, or open it where one stands before it and it is closed."""
        return _offered(f"open {place}", admissible) or self._go(place, admissible)

    def _go(self, place: str, admissible: Sequence[str]) -> str:
        # Places that share a standpoint cannot be gone to from each other; examining shows what going would.
        return _offered(f"go to {place}", admissible) or _offered(f"examine {place}", admissible) or "look"

    def _drop(self, held: str, admissible: Sequence[str]) -> str:
        """Put down what is in the way: here, or else at the next places in the room until one takes it."""
        here = [c for c in admissible if c.startswith((f"move {held} to ", f"put {held} in/on ", "open "))]
        if here:
            return here[0]
        start = self.places.index(self._here) + 1 if self._here in self.places else 0
        return self._go((self.places[start:] + self.places)[0], admissible)

    def _destination(self) -> str:
        """The place to fill: of the goal's kind, one that already holds an object of the goal first."""
        candidates = [p for p in self.places if kind(p) == self._goal.place]
        return max(
            candidates, key=lambda p: sum(kind(i) == self._goal.target for i in self.contents.get(p, ())), default=""
        )

    def _delivered(self) -> set[str]:
        """Objects that are where they belong and must stay (only where two are wanted; otherwise the game is won)."""
        if self._goal.task_type != "pick_two_obj_and_place":
            return set()
        return {item for item in self.contents.get(self._destination(), ()) if kind(item) == self._goal.target}

    def _is_treated(self, item: str) -> bool:
        return self._goal.treatment in self._states.get(item, ())


def _offered(command: str, admissible: Collection[str]) -> str:
    return command if command in admissible else ""


def _put(item: str, place: str, admissible: Collection[str]) -> str:
    return _offered(f"move {item} to {place}", admissible) or _offered(f"put {item} in/on {place}", admissible)
