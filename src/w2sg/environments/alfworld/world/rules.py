"""ALFWorld's PDDL domain and text grammar, compiled once per process into plain records.

Fast Downward's front end parses and normalises the domain (conditions become conjunctions, quantifiers parameters);
TextWorld's parser reads the grammar.
"""

import ast
import contextlib
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from w2sg.contracts.errors import UserError
from w2sg.environments.alfworld.world.facts import Literal

GOAL = "UNKNOWN GOAL"
"""Stands in the grammar for the words of the goal, which differ from game to game."""

_TASK_LINE = re.compile(r'(Your task is to: )([^"\\#{}\[\]|<>;]+)(\.)')
_CONDITION = re.compile(r"\s*([\w-]+)\(([^()]*)\)\s*")


@dataclass(frozen=True, slots=True)
class Effect:
    """`literal` becomes true (or false, where negated) if `condition` held before the action."""

    condition: tuple[Literal, ...]
    literal: Literal


@dataclass(frozen=True, slots=True)
class Schema:
    """One action of the normalised domain; a disjunctive precondition makes several of one name.

    Attributes:
        parameters: variable and type; the first `arity` name the action, the others were existential quantifiers.
    """

    name: str
    parameters: tuple[tuple[str, str], ...]
    arity: int
    precondition: tuple[Literal, ...]
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """A piece of text about objects: for every solution of `query` its rendered expression or rule.

    Attributes:
        rule: name of the rule to render, or "" where `expression` is to be evaluated.
        query: None for the current objects, otherwise conditions on further ones.
        listed: join the pieces as an enumeration ("a, b, and c"; "nothing").
    """

    rule: str
    expression: ast.expr | None
    query: tuple[Literal, ...] | None
    listed: bool


Piece = str | Slot


@dataclass(frozen=True, slots=True)
class Production:
    """One alternative of a grammar rule; the first one whose condition can be met is taken."""

    condition: tuple[Literal, ...]
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that games share.

    Attributes:
        supertypes: for each type, itself and the types above it.
        commands, feedbacks: the words of each action's command and answer.
        productions: the grammar's rules by name.
    """

    supertypes: Mapping[str, frozenset[str]]
    schemas: tuple[Schema, ...]
    commands: Mapping[str, tuple[Piece, ...]]
    feedbacks: Mapping[str, tuple[Piece, ...]]
    productions: Mapping[str, tuple[Production, ...]]

    @property
    def put_verb(self) -> str:
        """ "move" in the current grammar (`move X to Y`), "put" in the original one (`put X in/on Y`)."""
        first = self.commands["putobject"][0]
        assert isinstance(first, str)
        return first.split()[0]


@contextlib.contextmanager
def translator() -> Iterator[None]:
    """Run Fast Downward's translator: it reads options from sys.argv, overwrites it, and prints."""
    argv = sys.argv
    sys.argv = ["translate.py", "domain", "task"]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        sys.argv = argv


def split_goal(grammar: str) -> tuple[str, str]:
    """A game's grammar with GOAL in the place of its goal, and the goal's words.

    Raises:
        UserError: the grammar has no line "Your task is to: …".
    """
    found = _TASK_LINE.search(grammar)
    if found is None:
        raise UserError('grammar: no line "Your task is to: ….", which every ALFWorld game has')
    return _TASK_LINE.sub(rf"\g<1>{GOAL}\g<3>", grammar), found.group(2)


@lru_cache(maxsize=8)
def compile_rules(domain: str, grammar: str) -> Rules:
    """Compile the texts of a PDDL domain and a grammar (the words of the goal replaced by GOAL).

    Raises:
        UserError: either cannot be parsed.
    """
    try:
        schemas, supertypes = _compile_domain(domain)
        commands, feedbacks, productions = _compile_grammar(grammar)
    except UserError:
        raise
    except Exception as error:  # the parsers raise whatever comes up, SystemExit and AssertionError included
        raise UserError(f"game rules: not a PDDL domain with a TextWorld grammar ({str(error)[:80]!r})") from None
    return Rules(supertypes, schemas, commands, feedbacks, productions)


def literals(condition: Any) -> tuple[Literal, ...]:
    """A normalised condition of Fast Downward (true, a literal, or a conjunction of literals) as literals."""
    kind = type(condition).__name__
    if kind == "Truth":
        return ()
    if kind == "Conjunction":
        return tuple(_literal(part) for part in condition.parts)
    return (_literal(condition),)


def _literal(condition: Any) -> Literal:
    if type(condition).__name__ not in ("Atom", "NegatedAtom"):
        raise UserError(f"PDDL: a condition of kind {type(condition).__name__}, expected literals")
    return Literal(condition.predicate, tuple(condition.args), condition.negated)


def parse_task(domain: str, problem: str) -> Any:
    """Fast Downward's normalised task for two PDDL texts."""
    with translator():
        from fast_downward.translate import normalize
        from fast_downward.translate.pddl_parser import lisp_parser, parsing_functions

        task = parsing_functions.parse_task(
            lisp_parser.parse_nested_list(domain.split("\n")), lisp_parser.parse_nested_list(problem.split("\n"))
        )
        normalize.normalize(task)
    return task


def _compile_domain(domain: str) -> tuple[tuple[Schema, ...], dict[str, frozenset[str]]]:
    found = re.search(r"\(define\s*\(domain\s+([\w-]+)", domain, flags=re.IGNORECASE)
    name = found.group(1) if found else "alfred"
    task = parse_task(domain, f"(define (problem p) (:domain {name}) (:objects) (:init) (:goal (and)))")
    schemas = []
    for action in task.actions:
        effects = []
        for effect in action.effects:
            if effect.parameters:
                raise UserError(f"PDDL: action {action.name} has a quantified effect, which the engine does not know")
            effects.append(Effect(literals(effect.condition), _literal(effect.literal)))
        parameters = tuple((p.name, p.type_name) for p in action.parameters)
        schemas.append(
            Schema(
                action.name, parameters, action.num_external_parameters, literals(action.precondition), tuple(effects)
            )
        )
    supertypes = {t.name: frozenset((t.name, *t.supertype_names)) for t in task.types}
    return tuple(schemas), supertypes


def _compile_grammar(
    grammar: str,
) -> tuple[dict[str, tuple[Piece, ...]], dict[str, tuple[Piece, ...]], dict[str, tuple[Production, ...]]]:
    from textworld.envs.pddl.logic import GameLogic
    from textworld.envs.pddl.textgen import ContextSensitiveGrammar

    logic = GameLogic(domain="", grammar=grammar)
    texts = {f"{name} command": action.template for name, action in logic.actions.items()}
    texts |= {f"{name} feedback": action.feedback_rule for name, action in logic.actions.items()}
    # TextWorld parses these two anew at every step, with the parser of the grammar's right-hand sides.
    actions = ContextSensitiveGrammar.parse(json.dumps({name: [{"rhs": text}] for name, text in texts.items()}))._rules
    productions = {
        name: tuple(Production(parse_query(rule.condition), _pieces(rule.rhs)) for rule in alternatives)
        for name, alternatives in logic.grammar._rules.items()
    }
    commands = {name: _pieces(actions[f"{name} command"][0].rhs) for name in logic.actions}
    feedbacks = {name: _pieces(actions[f"{name} feedback"][0].rhs) for name in logic.actions}
    return commands, feedbacks, productions


def parse_query(text: str | None) -> tuple[Literal, ...]:
    """A condition of the grammar, e.g. "holds(a:agent, o:object) & openable(r:receptacle)"."""
    if not text:
        return ()
    query = []
    for part in text.split("&"):
        found = _CONDITION.fullmatch(part)
        if found is None:
            raise UserError(f"grammar: condition {part.strip()!r}, expected predicate(name:type, …)")
        query.append(Literal(found.group(1), tuple("?" + a.split(":")[0].strip() for a in found.group(2).split(","))))
    return tuple(query)


def _pieces(symbols: Any) -> tuple[Piece, ...]:
    return tuple(_piece(symbol, listed=False) for symbol in symbols)


def _piece(symbol: Any, *, listed: bool) -> Piece:
    kind = type(symbol).__name__
    if kind == "TerminalSymbol":
        return str(symbol.symbol)
    if kind == "NonterminalSymbol":
        return Slot(str(symbol.symbol), None, None, listed)
    if kind == "ListSymbol":
        return _piece(symbol.symbol, listed=True)
    if kind == "EvalSymbol":
        return Slot("", ast.parse(symbol.expression.strip(), mode="eval").body, None, listed)
    inner = _piece(symbol.expression, listed=listed)
    assert kind == "ConditionalSymbol" and isinstance(inner, Slot)
    return Slot(inner.rule, inner.expression, parse_query(symbol.given) if symbol.given else None, listed)
