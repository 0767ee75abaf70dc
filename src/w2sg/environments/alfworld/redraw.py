"""Another hidden state of a generated game: what an agent has not seen may lie elsewhere.

A trajectory tree is made in one hidden state, so that a path of it is planned as if that state were known: it goes
straight to the right drawer (determinisation and strategy fusion; Frank and Basin, 1998). What a step is worth to an
agent that does not know is a mean over the states that agree with what it has seen, which the generator can draw.

Drawn from is the generator's own distribution (tasks/games.py) of where the room's objects lie, given the room, which
objects there are, and all that was observed. One thing is left out: that a room larger than `max_receptacles` is
rather cut to the receptacles at hand where more of them are needed.
"""

import json
import random
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from w2sg.contracts.errors import UserError, shown
from w2sg.contracts.files import digest
from w2sg.contracts.tasks import Task
from w2sg.environments.alfworld.tasks.floor_plans import FITS, FIXED
from w2sg.environments.alfworld.tasks.games import _LAMP_PLACES
from w2sg.environments.alfworld.world.engine import Engine
from w2sg.environments.alfworld.world.environment import game_name
from w2sg.environments.alfworld.world.text import _unescaped
from w2sg.environments.alfworld.world.translation import Game, load, save

# _LAMP_PLACES and _unescaped are private where they are: were those modules changed, all games would be played anew.
_ATTEMPTS = 1000
_KINDS = {kind.lower(): kind for kind in (*FIXED, "Sink", "Bathtub")}
_FITS = {place.lower(): {kind.lower() for kind in kinds} for place, kinds in FITS.items()}

Places = dict[str, str]
"""Objects and the receptacles in which they lie at the start, by their PDDL names."""


def redraw(game: Game, actions: Sequence[str], *, rng: random.Random) -> Game:
    """Another game that answers `actions` with the same words; the same one where they leave nothing unseen.

    Objects whose receptacle was never looked into are laid elsewhere among such receptacles; their names stay.

    Args:
        actions: from the start, as an agent has written them.

    Raises:
        UserError: the game is none of the generator's.
    """
    answers, seen = _watched(game, actions)
    places = {fact[1]: fact[2] for fact in game.facts if fact[0] == "inreceptacle"}
    rule = _Rule(game, places)
    if all(place in seen for place in places.values()):
        return game
    for _ in range(_ATTEMPTS):
        drawn = _moved(game, {**places, **rule.draw(places, seen, rng)})
        # Acting on what cannot be seen tells of it, too: a lamp in a closed drawer can be used.
        if _watched(drawn, actions)[0] == answers:
            return drawn
    raise UserError(f"game {shown(game.instruction)}: in {_ATTEMPTS} draws no hidden state agreed with what was seen")


def unseen(game: Game, actions: Sequence[str]) -> int:
    """How many objects lie where the actions have not looked."""
    seen = _watched(game, actions)[1]
    return sum(fact[2] not in seen for fact in game.facts if fact[0] == "inreceptacle")


class Redraws:
    """Redrawn games of a run's tasks, in a folder that an environment can be opened on.

    Args:
        games: folder of the tasks' own games.
        folder: where those that are played are written, the tasks' own among them.
    """

    def __init__(self, games: Path, folder: Path) -> None:
        self._games, self._folder = games, folder
        self._own: dict[str, Game] = {}

    def own(self, task: Task) -> Task:
        """The task itself, where it is to be played in the folder."""
        self._game(task)
        return task

    def along(self, task: Task, actions: Sequence[str], *, number: int) -> list[Task]:
        """Before each action, the task in a hidden state that agrees with what the actions before it were answered.

        A state that still agrees after an action is kept, for then it is a draw given that answer, too; so what is
        played on from after one action and from before the next is the same, where nothing surprising was seen.

        Args:
            number: of the draws; the same arguments give the same ones.
        """
        game, own = self._game(task), game_name(task)
        answers = _watched(game, actions)[0]
        found: list[Task] = []
        agrees = 0  # how many actions the last draw answers as the game does; it is kept before the next one, too
        for step in range(len(actions)):
            if not found or step > agrees:
                name = f"{own}-{digest(text=repr((actions[:step], number)))}"
                drawn = redraw(game, actions[:step], rng=random.Random(name))
                if drawn is game:
                    return [*found, *[task] * (len(actions) - step)]
                save(self._folder, name, drawn)
                found.append(replace(task, task_id=name, spec=json.dumps({"game": name})))
                said = _watched(drawn, actions)[0]
                agrees = next((turn for turn, one in enumerate(said) if one != answers[turn]), len(said)) - 1
            else:
                found.append(found[-1])
        return found

    def _game(self, task: Task) -> Game:
        name = game_name(task)
        if name not in self._own:
            self._own[name] = load(self._games, name)
            save(self._folder, name, self._own[name])
        return self._own[name]


def _watched(game: Game, actions: Sequence[str]) -> tuple[list[tuple[str, bool]], set[str]]:
    """What each action is answered and whether the game is won then; the receptacles whose contents were shown."""
    engine = Engine(game)
    answers = [(engine.intro(), engine.won())]
    standpoints = {fact[2]: fact[1] for fact in game.facts if fact[0] == "receptacleatlocation"}
    seen = set()
    for action in actions:
        answers.append((engine.act(action), engine.won()))
        here = next(fact[2] for fact in engine.facts if fact[0] == "atlocation")
        place = standpoints.get(here)
        if place and (("openable", place) not in engine.facts or ("opened", place) in engine.facts):
            seen.add(place)
    return answers, seen


class _Rule:
    """Where the generator lays what: objects of a kind anywhere they fit, numbered in the order of the receptacles.

    Raises:
        UserError: see redraw.
    """

    def __init__(self, game: Game, places: Mapping[str, str]) -> None:
        self._game = game
        kinds = {fact[1]: fact[2].removesuffix("type") for fact in game.facts if fact[0].endswith("type")}
        self._receptacles = sorted((fact[1] for fact in game.facts if fact[0] == "receptacletype"), key=_identifier)
        self._of_kind = {
            kind: list(objects)
            for kind, objects in groupby(sorted(places, key=lambda name: (kinds[name], name)), key=kinds.__getitem__)
        }
        self._kinds = kinds
        lamp = game.parameters.get("toggle_target", "").lower()
        lit = {place for name, place in places.items() if kinds[name] == lamp}
        lamp_places = {kind.lower() for kind in _LAMP_PLACES}
        # Without any such receptacle in the room a lamp stands anywhere.
        self._lamp = lamp, lamp_places if any(kinds[place] in lamp_places for place in lit) else set(kinds.values())
        order = {place: number for number, place in enumerate(self._receptacles)}
        for kind, objects in self._of_kind.items():
            numbers = [order.get(places[name], -1) for name in objects]
            if numbers != sorted(numbers) or any(places[name] not in self._allowed(kind) for name in objects):
                raise UserError(
                    f"game {shown(game.instruction)}: its {kind} does not lie where the generator lays it; only "
                    "generated games can be redrawn (environments.alfworld.data_dir: null)"
                )

    def draw(self, places: Mapping[str, str], seen: Set[str], rng: random.Random) -> Places:
        """New receptacles of the objects that lie in none of the seen ones.

        Objects of a kind are laid independently and then numbered, so that one that was seen tells between which
        receptacles those with other numbers lie.
        """
        drawn: Places = {}
        for kind, objects in self._of_kind.items():
            free = [place for place in self._allowed(kind) if place not in seen]
            for group, (low, high) in _gaps(objects, places, seen):
                first = self._receptacles.index(low) if low else -1
                last = self._receptacles.index(high) if high else len(self._receptacles)
                between = [place for place in free if first < self._receptacles.index(place) < last]
                laid = sorted((rng.choice(between) for _ in group), key=self._receptacles.index)
                drawn |= dict(zip(group, laid, strict=True))
        return drawn

    def _allowed(self, kind: str) -> Collection[str]:
        """Receptacles in which the generator may lay a kind of object, in order."""
        lamp, lamp_places = self._lamp
        if kind == lamp:
            return [place for place in self._receptacles if self._kinds[place] in lamp_places]
        target, goal = (self._game.parameters.get(name, "").lower() for name in ("object_target", "parent_target"))
        fits = [place for place in self._receptacles if kind in _FITS.get(self._kinds[place], ())]
        return [place for place in fits if kind != target or self._kinds[place] != goal]


def _gaps(
    objects: Sequence[str], places: Mapping[str, str], seen: Set[str]
) -> Iterator[tuple[list[str], tuple[str, str]]]:
    """Runs of objects that were not seen, each with the receptacles of the seen ones before and after it, or ""."""
    runs = [(hidden, list(run)) for hidden, run in groupby(objects, key=lambda name: places[name] not in seen)]
    for number, (hidden, run) in enumerate(runs):
        if hidden:
            low = places[runs[number - 1][1][-1]] if number else ""
            high = places[runs[number + 1][1][0]] if number + 1 < len(runs) else ""
            yield run, (low, high)


def _moved(game: Game, places: Places) -> Game:
    """The game with its objects in these receptacles."""
    standpoints = {fact[1]: fact[2] for fact in game.facts if fact[0] == "receptacleatlocation"}
    others = [fact for fact in game.facts if fact[0] not in ("inreceptacle", "objectatlocation")]
    lie = [("inreceptacle", name, place) for name, place in places.items()]
    stand = [("objectatlocation", name, standpoints[place]) for name, place in places.items()]
    return replace(game, facts=tuple(sorted([*others, *lie, *stand])))


def _identifier(name: str) -> str:
    """The floor plan's identifier of a receptacle, by which the generator sorts: PDDL names have no capitals."""
    kind, bar, rest = _unescaped(name).partition("|")
    return _KINDS.get(kind, kind) + bar + rest
