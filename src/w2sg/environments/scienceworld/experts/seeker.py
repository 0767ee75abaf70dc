"""An expert for the life-span and the find tasks that plays as a person would: it looks, chooses, and thinks aloud.

It knows the text on the screen, where what kind of thing is found, and how long animals live; so it can take over at
any moment of an episode in which it has read along, whatever was done before. It teleports.
"""

import re
from typing import Literal

Style = Literal["brief", "plain"]

ROOMS = (
    "outside",
    "greenhouse",
    "kitchen",
    "living room",
    "workshop",
    "bathroom",
    "bedroom",
    "art studio",
    "hallway",
    "foundry",
)
LONG_LIVED = frozenset({"elephant", "giant tortoise", "crocodile", "parrot", "brown bear"})
SHORT_LIVED = frozenset({"dragonfly", "ant", "mouse", "hedgehog", "chameleon"})
# Things outside or nearly anywhere that one can carry.
CARRIED = frozenset({"axe", "shovel", "jug", "thermometer", "lighter", "metal pot", "tin cup", "picture", "painting"})

_FIND = re.compile(r"find a\(n\) (.+?)\. .* move it to the (.+? box) in the (.+?)\.", re.DOTALL)
_MOVED = re.compile(r"You (?:teleport|move) to the ([a-z ]+)\.$")
_ROOM = re.compile(r"This (?:room|outside location) is called the ([a-z ]+)\.")
_FOCUSED = re.compile(r"You focus on the (.+)\.$")
_TAKEN = re.compile(r"You move the (.+) to the inventory\.$")
_THING = re.compile(r"^\t(?:an?|the) (.+?)(?: \(containing (.*)\))?(?:[,.] .*)?$")
_PLANT = re.compile(r"(?:^|, )an? ([a-z ]+?(?:tree|plant))(?: in the [a-z ]+ stage| \(|,)")
_AGE = re.compile(r"^(?:baby|juvenile|adult) | egg$")
_MENU = "Ambiguous request"
_INVENTORY = "In your inventory, you see:"
_YOUNG = {"caterpillar": "butterfly", "tadpole": "frog"}
_REFUSALS = ("No known action", "Unknown action", "It's not clear")


def knows(description: str) -> bool:
    """Whether a task is one of those that the seeker plays, by its description."""
    return "life span" in description or _FIND.search(description) is not None


def species(name: str) -> str:
    """ "parrot" for "parrot egg" and for "baby parrot"."""
    kind = _AGE.sub("", name)
    return _YOUNG.get(kind, kind)


class Seeker:
    """Plays one episode: call `read` after every observation, `decide` for the next turn.

    Args:
        description: the task, as the first observation says it.
        style: "brief" thoughts name what is wanted, seen or held in a few words, so that what must be copied stands
            next to where it is needed; "plain" ones say it in English sentences.

    Raises:
        ValueError: the task is not one that the seeker knows.
    """

    def __init__(self, description: str, *, style: Style = "brief") -> None:
        find = _FIND.search(description)
        if find is None and "life span" not in description:
            raise ValueError(f"no seeker for {description!r}")
        self._style = style
        self._wanted, self._box, self._room = find.groups() if find else ("", "", "")
        ages = re.findall(r"(longest|shortest) life span", description)
        self._ages = list(dict.fromkeys(ages))
        # What stands in each room, as far as it was looked at: names, and for a pot the plant in it.
        self.seen: dict[str, dict[str, str]] = {}
        self.here = ""
        self._target = ""
        self._focused = False
        self._held = False
        self._unsure = False
        self._own = ""
        self._menu_for = ""

    def read(self, action: str, observation: str) -> None:
        """Take in what `action` was answered."""
        if self._menu_for:
            action, self._menu_for = self._menu_for, ""
        if observation.startswith(_MENU):
            self._menu_for = action
        elif observation.startswith(_REFUSALS):
            if action == self._own:
                # What was believed is old: animals grow, and things are not where they were.
                self._unsure, self._held = self._held, False
                self.seen.pop(self.here, None)
        elif observation.startswith(_INVENTORY):
            self._unsure = False
            self._held = self._focused and self._recognise(_things(observation))
        elif moved := _MOVED.match(observation):
            self.here = moved[1]
        elif room := _ROOM.match(observation):
            self.here = room[1]
            self.seen[self.here] = _things(observation)
            if self._focused:
                self._recognise(self.seen[self.here])
        elif focused := _FOCUSED.match(observation):
            self._note_focus(action.removeprefix("focus on "), focused[1])
        elif _TAKEN.match(observation) and self._target:
            self._held = self._held or action in (f"pick up {self._object()}", f"pick up {self._target}")

    def decide(self) -> tuple[str, str]:
        """The next turn: thought and action."""
        action = self._move()
        self._own = self._menu_for or action
        return self.think(action), action

    def think(self, action: str) -> str:
        """The thought that goes with `action` now: what is wanted, and what is seen or held."""
        if self._style == "plain":
            return f"I need to {self._aim()}. {self._evidence()} Next I {action}."
        if self._menu_for:
            return "pick the first"
        seen = self._sight()
        if self._ages:
            if action.startswith("focus on "):
                return f"see {seen}. {self._ages[0]} lived {self._choice()}"
            return f"find {self._ages[0]} lived at outside"
        goal = f"{self._wanted} for {self._box} {self._room}"
        if self._held:
            return f"hold {self._object()} for {self._box} {self._room}"
        if action.startswith("focus on "):
            return f"see {seen}. need {goal}"
        if action == "inventory":
            return f"check {self._object()} for {self._box} {self._room}"
        if action.startswith("pick up "):
            return f"take {self._object()} for {self._box} {self._room}"
        return f"find {goal}"

    def wander(self, action: str) -> str:
        """The thought of a move that is not the seeker's own: it says no more than what is wanted."""
        if self._style == "plain":
            return self.think(action)
        return f"try {self._ages[0]} lived" if self._ages else f"try {self._wanted} for {self._box} {self._room}"

    def _move(self) -> str:
        if self._menu_for:
            return "0"
        if self._ages:
            choice = self._choice()
            return f"focus on {choice}" if choice and self.here == "outside" else self._search()
        if self._unsure:
            return "inventory"
        if self._focused and self._held:
            return f"move {self._object()} to {self._box}" if self.here == self._room else f"teleport to {self._room}"
        if self._focused and self.here in self.seen and self._object() in self.seen[self.here]:
            return f"pick up {self._object()}"
        if self._focused or not self._candidates():
            return self._search()
        return f"focus on {self._name(self._choice())}"

    def _search(self) -> str:
        """Look where nothing has been seen yet: first where such things are, then everywhere else."""
        if self._ages:
            rooms = ["outside"]
        else:
            first = "greenhouse" if self._wanted == "plant" else "outside"
            rooms = [first, *(room for room in ROOMS if room != first)]
        if self.here in rooms and self.here not in self.seen and (self.here == rooms[0] or self._focused):
            return "look around"
        unseen = [room for room in rooms if room not in self.seen]
        if not unseen:
            self.seen.clear()
            unseen = rooms
        return "look around" if self.here == unseen[0] else f"teleport to {unseen[0]}"

    def _candidates(self) -> list[str]:
        """Names in this room of things that would do, in the order of the room."""
        return [name for name, plant in self.seen.get(self.here, {}).items() if self._fits(name, plant)]

    def _fits(self, name: str, plant: str) -> bool:
        animal = _AGE.search(name) is not None and species(name) != "bee"
        if self._ages:
            return animal
        match self._wanted:
            case "plant":
                return bool(plant)
            case "animal":
                return animal
            case "living thing":
                return animal or bool(plant)
            case _:
                return name in CARRIED

    def _choice(self) -> str:
        """The candidate to take: by age, or simply the first."""
        candidates = self._candidates()
        if self._ages:
            known = LONG_LIVED if self._ages[0] == "longest" else SHORT_LIVED
            return next((name for name in candidates if species(name) in known), "")
        return candidates[0] if candidates else ""

    def _name(self, thing: str) -> str:
        """How to speak of a thing seen here: a plant by its pot, since others may be of its kind."""
        plant = self.seen[self.here][thing]
        return f"{plant} in {thing}" if plant else thing

    def _sight(self) -> str:
        return ", ".join(self._name(name) for name in self._candidates())

    def _object(self) -> str:
        """What is carried: the target, or the pot that it grows in."""
        return self._target.split(" in ")[-1]

    def _note_focus(self, asked: str, answered: str) -> None:
        if self._ages:
            self._ages = self._ages[1:] or self._ages
            return
        pots = [pot for pot, plant in self.seen.get(self.here, {}).items() if plant and plant == answered]
        self._focused = True
        self._target = asked if " in " in asked else (f"{answered} in {pots[0]}" if pots else answered)

    def _recognise(self, things: dict[str, str]) -> bool:
        """Whether the target is among `things`, if by another name: eggs hatch, and animals grow."""
        if self._object() in things:
            return True
        alike = [name for name in things if species(name) == species(self._target)]
        self._target = alike[0] if alike else self._target
        return bool(alike)

    def _aim(self) -> str:
        if self._ages:
            return f"find the animal with the {self._ages[0]} life span outside and focus on it"
        return f"find a {self._wanted}, focus on it, and move it to the {self._box} in the {self._room}"

    def _evidence(self) -> str:
        if self._held:
            return f"I hold the {self._object()}."
        seen = self._sight()
        return f"I see {seen} here." if seen else "I have not seen one here yet."


def _things(look: str) -> dict[str, str]:
    """Names of what a room holds, in its order, and for each the plant that grows in it, or ""."""
    things: dict[str, str] = {}
    for line in look.split("You also see")[0].split("\n")[1:]:
        if thing := _THING.match(line.rstrip()):
            plant = _PLANT.search(thing[2] or "") if thing[1].startswith("flower pot") else None
            things[thing[1]] = plant[1] if plant else ""
    return things
