"""One ALFWorld game being played: the state is a set of facts, the actions come from the PDDL domain.

Observations, admissible commands and the won flag are those of TextWorld's engine (textworld.envs.pddl.PddlEnv with
ALFWorld's demangler), which grounds the whole game and derives every text anew at each step.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

from w2sg.contracts.errors import UserError, reason
from w2sg.environments.alfworld.world.facts import Binding, Fact, Facts, Literal, solutions
from w2sg.environments.alfworld.world.pddl import Axiom, Schema
from w2sg.environments.alfworld.world.rules import GOAL
from w2sg.environments.alfworld.world.text import Writer, display_names
from w2sg.environments.alfworld.world.translation import Game

NOTHING_HAPPENS = "Nothing happens."


class Action(NamedTuple):
    """A grounded action that is applicable now."""

    schema: Schema
    arguments: tuple[str, ...]

    @property
    def binding(self) -> Binding:
        """The parameters of the action and their objects."""
        return {name: value for (name, _), value in zip(self.schema.parameters, self.arguments, strict=False)}


class Board:
    """What all episodes of one game share: names, types, and the commands met so far."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.rules = game.rules
        self.names = display_names(sorted({argument for fact in game.facts for argument in fact[1:]}))
        self.writer = Writer(self.rules, self.names)
        self.kinds = {name: self.rules.supertypes[kind] for name, kind in game.objects.items()}
        inhabited = {kind for kinds in self.kinds.values() for kind in kinds}
        self.schemas = [s for s in self.rules.schemas if all(kind in inhabited for _, kind in s.parameters)]
        self.commands: dict[tuple[str, tuple[str, ...]], str] = {}


@lru_cache(maxsize=256)
def board(game: Game) -> Board:
    """The board of a game; the most recent ones are kept."""
    return Board(game)


class Engine:
    """An episode of `game`, from its start.

    Attributes:
        facts: what is true now; a fact that an action has made false appears as "not_…", as in TextWorld.
    """

    def __init__(self, game: Game) -> None:
        self._board = board(game)
        self.facts = Facts(game.facts)
        self._actions: dict[str, Action] | None = None

    @property
    def names(self) -> dict[str, str]:
        """PDDL objects and the names that the player sees."""
        return self._board.names

    def intro(self) -> str:
        """The first text: the room and the task."""
        with _as_ruled():
            return self._board.writer.rule("intro", self.facts, {}).replace(GOAL, self._board.game.instruction)

    def commands(self) -> list[str]:
        """The admissible commands, sorted."""
        with _as_ruled():
            return sorted(self._applicable())

    def act(self, command: str) -> str:
        """Carry out a command and return the answer; anything but an admissible command changes nothing."""
        with _as_ruled():
            action = self._applicable().get(command.strip())
            if action is None:
                return NOTHING_HAPPENS
            binding = action.binding
            self._apply(action.schema, binding)
            self._actions = None
            return self._board.writer.pieces(self._board.rules.feedbacks[action.schema.name], self.facts, binding)

    def command(self, name: str, arguments: tuple[str, ...]) -> str:
        """The command of a grounded action, e.g. of a planner's step."""
        known = self._board.commands.get((name, arguments))
        if known is None:
            schema = next(s for s in self._board.rules.schemas if s.name == name)
            binding = Action(schema, arguments).binding
            # A command depends on fixed facts only (where a receptacle stands), so it can be kept.
            known = self._board.writer.pieces(self._board.rules.commands[name], self.facts, binding)
            self._board.commands[name, arguments] = known
        return known

    def won(self) -> bool:
        """The goal is met."""
        with _as_ruled():
            return all(self._holds(literal, {}) for literal in self._board.game.goal)

    def _holds(self, literal: Literal, binding: Binding) -> bool:
        fact = literal.ground(binding)
        ways = [axiom for axiom in self._board.game.axioms if axiom.name == literal.predicate]
        if not ways:
            return (fact in self.facts) != literal.negated
        return any(self._is_met(way, fact[1:]) for way in ways) != literal.negated

    def _is_met(self, axiom: Axiom, arguments: Sequence[str]) -> bool:
        start = {name: value for (name, _), value in zip(axiom.parameters, arguments, strict=False)}
        derived = [part for part in axiom.literals if part.predicate.startswith("new-axiom@")]
        plain = [part for part in axiom.literals if part not in derived]
        return any(
            all(kind in self._board.kinds[solution[name]] for name, kind in axiom.parameters)
            and all(self._holds(part, solution) for part in derived)
            for solution in solutions(plain, self.facts, start)
        )

    def _applicable(self) -> dict[str, Action]:
        if self._actions is None:
            self._actions = {}
            for schema in self._board.schemas:
                for binding in self._groundings(schema):
                    arguments = tuple(binding[name] for name, _ in schema.parameters[: schema.arity])
                    self._actions[self.command(schema.name, arguments)] = Action(schema, arguments)
        return self._actions

    def _groundings(self, schema: Schema) -> Iterator[Binding]:
        kinds = self._board.kinds
        free = [p for p in schema.parameters if not any(p[0] in part.arguments for part in schema.precondition)]
        starts: list[Binding] = [{}]
        for name, kind in free:
            starts = [{**start, name: each} for start in starts for each in kinds if kind in kinds[each]]
        for start in starts:
            for binding in solutions(schema.precondition, self.facts, start):
                if all(kind in kinds[binding[name]] for name, kind in schema.parameters) and not _idle(schema, binding):
                    yield binding

    def _apply(self, schema: Schema, binding: Binding) -> None:
        added: list[Fact] = []
        removed: list[Fact] = []
        for effect in schema.effects:
            if all((part.ground(binding) in self.facts) != part.negated for part in effect.condition):
                (removed if effect.literal.negated else added).append(effect.literal.ground(binding))
        for fact in removed:
            if fact not in added:
                self.facts.discard(fact)
                self.facts.add(_negation(fact))
        for fact in added:
            self.facts.add(fact)
            self.facts.discard(_negation(fact))


@contextmanager
def _as_ruled() -> Iterator[None]:
    """Whatever a game's rules, which are somebody's program, run into is a fault of theirs.

    Raises:
        UserError: they name what is not there, or go round in circles.
    """
    try:
        yield
    except UserError:
        raise
    except (LookupError, RecursionError, ValueError) as error:
        raise UserError(f"its rules cannot be played ({type(error).__name__}: {reason(error)})") from None


def _negation(fact: Fact) -> Fact:
    return (f"not_{fact[0]}", *fact[1:])


def _idle(schema: Schema, binding: Binding) -> bool:
    """The action cannot change anything: the translator drops it, so going to where one stands is not admissible."""
    added = {e.literal.ground(binding) for e in schema.effects if not e.literal.negated}
    required = {part.ground(binding) for part in schema.precondition if not part.negated}
    if not added <= required:
        return False
    forbidden = {part.ground(binding) for part in schema.precondition if part.negated}
    return all(
        f in added or f in forbidden for f in (e.literal.ground(binding) for e in schema.effects if e.literal.negated)
    )
