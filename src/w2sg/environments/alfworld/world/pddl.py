"""The little of PDDL that ALFWorld's domain and goals need, in the normal form that the engine plays.

Read are typed STRIPS with negation, disjunction, existential quantifiers and conditional effects; costs are dropped.
The normal form is that of Fast Downward's translator (Helmert, "Concise finite-domain representations for PDDL planning
tasks", Artificial Intelligence 173, 2009, section 4.1): an action's condition is a conjunction of literals, its
disjunctions became several actions of one name and its existential variables further parameters; a goal that is more
than literals became derived predicates. Names of variables and predicates and every order are Fast Downward's too,
which the tests compare where it is installed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from w2sg.environments.alfworld.world.conditions import (
    TRUE,
    Condition,
    Junction,
    Parameters,
    apart,
    conjunction,
    list_of,
    name_of,
    negation,
    read_condition,
    read_literal,
    shown,
    simplified,
    typed,
    ways,
)
from w2sg.environments.alfworld.world.facts import Fact, Literal

_TOKEN = re.compile(r"[()]|\?[^\s()?]*|[^\s()?]+")


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
    parameters: Parameters
    arity: int
    precondition: tuple[Literal, ...]
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Axiom:
    """One way to meet a derived predicate: literals over parameters, each a variable and its type."""

    name: str
    parameters: Parameters
    literals: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Domain:
    """A normalised domain.

    Attributes:
        supertypes: for each type, itself and the types above it.
        predicates: the arity of each.
        constants: objects of every problem, and their types.
    """

    name: str
    supertypes: dict[str, frozenset[str]]
    predicates: dict[str, int]
    constants: Parameters
    schemas: tuple[Schema, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A normalised problem: objects and their types, the facts of the start, the goal's literals and their axioms."""

    objects: dict[str, str]
    facts: frozenset[Fact]
    goal: tuple[Literal, ...]
    axioms: tuple[Axiom, ...]


@lru_cache(maxsize=8)
def read_domain(text: str) -> Domain:
    """Read and normalise a domain.

    Raises:
        ValueError: the text is no PDDL domain, or uses more of PDDL than ALFWorld's does.
    """
    name, sections = _definition(text, "domain")
    supertypes = {"object": frozenset(("object",))}
    predicates = {"=": 2}
    constants: Parameters = ()
    schemas: list[Schema] = []
    divided: list[Schema] = []
    for section in sections:
        match section:
            case [":requirements" | ":functions", *_]:
                pass
            case [":types", *names]:
                supertypes = _supertypes(typed(names))
            case [":constants", *names]:
                constants = typed(names)
            case [":predicates", *entries]:
                predicates |= {name_of(entry[0]): len(typed(entry[1:])) for entry in map(list_of, entries)}
            case [":action", str(action), *properties]:
                found = _schemas(action, properties, predicates)
                # As in Fast Downward: actions made from a disjunction stand after all others.
                (divided if len(found) > 1 else schemas).extend(found)
            case _:
                raise ValueError(f"domain: {shown(section)} is not supported")
    return Domain(name, supertypes, predicates, constants, (*schemas, *divided))


def read_problem(domain: Domain, text: str) -> Problem:
    """Read and normalise a problem of `domain`.

    Raises:
        ValueError: the text is no PDDL problem of that domain, or uses more of PDDL than ALFWorld's do.
    """
    _, sections = _definition(text, "problem")
    objects, facts, goal = domain.constants, frozenset[Fact](), None
    for section in sections:
        match section:
            case [":requirements" | ":metric", *_]:
                pass
            case [":domain", str(name)] if name == domain.name:
                pass
            case [":objects", *names]:
                objects += typed(names)
            case [":init", *entries]:
                facts = frozenset(_facts(entries))
            case [":goal", expression]:
                goal = simplified(apart(read_condition(expression, domain.predicates), {}, {}))
            case _:
                raise ValueError(f"problem: {shown(section)} is not supported in a problem of {domain.name}")
    if goal is None:
        raise ValueError("problem: no :goal")
    if len({name for name, _ in objects}) < len(objects):
        raise ValueError("problem: two objects of one name")
    check_facts(facts, objects=dict(objects), domain=domain)
    parts = goal.parts if isinstance(goal, Junction) and goal.kind == "and" else (goal,)
    if all(isinstance(part, Literal) for part in parts):
        literals = conjunction(goal)[1]
        _check_variables(literals, (), "problem: :goal")
        return Problem(dict(objects), facts, literals, ())
    name = "new-axiom@0"
    axioms = tuple(Axiom(name, *conjunction(way)) for way in ways(goal))
    for axiom in axioms:
        _check_variables(axiom.literals, axiom.parameters, "problem: :goal")
    return Problem(dict(objects), facts, (Literal(name, ()),), axioms)


def check_facts(facts: Iterable[Fact], *, objects: Mapping[str, str], domain: Domain) -> None:
    """See that objects and facts are of a domain.

    Raises:
        ValueError: a type or a predicate is not the domain's, or a fact is of an object that is not there.
    """
    for name, kind in objects.items():
        if kind not in domain.supertypes:
            raise ValueError(f"problem: object {shown(name)} is of no type of the domain")
    for fact in facts:
        if domain.predicates.get(fact[0]) != len(fact) - 1:
            raise ValueError(f":init: {shown(list(fact))}, expected a predicate of the domain with its arguments")
        if unknown := [name for name in fact[1:] if name not in objects]:
            raise ValueError(f":init: {shown(list(fact))}: no object {shown(unknown[0])}")


def _check_variables(literals: Iterable[Literal], parameters: Parameters, where: str) -> None:
    known = {name for name, _ in parameters}
    for literal in literals:
        if free := [each for each in literal.arguments if each.startswith("?") and each not in known]:
            raise ValueError(f"{where}: {shown(free[0])} is no parameter")


def _definition(text: str, kind: str) -> tuple[str, list[Any]]:
    """Name and sections of `(define (kind name) section …)`, all in lower case, comments stripped."""
    lines = "\n".join(line.split(";", 1)[0] for line in text.split("\n"))
    if not lines.isascii():
        raise ValueError(f"{kind}: a character outside ASCII, allowed in comments only")
    stack: list[list[Any]] = [[]]
    for token in _TOKEN.findall(lines.lower()):
        if token == "(":
            stack.append([])
        elif token != ")":
            stack[-1].append(token)
        elif len(stack) > 1:
            closed = stack.pop()
            stack[-1].append(closed)
        else:
            raise ValueError(f"{kind}: a ) too many")
    match stack:
        case [[["define", [found, str(name)], *sections]]] if found == kind:
            return name, sections
    raise ValueError(f"not one whole (define ({kind} NAME) …)")


def _supertypes(types: Parameters) -> dict[str, frozenset[str]]:
    above: dict[str, set[str]] = {"object": {"object"}}
    for name, kind in types:
        above.setdefault(name, {name}).add(kind)
    for _ in above:
        for names in above.values():
            names.update(*(above.get(name, ()) for name in tuple(names)))
    return {name: frozenset(names) for name, names in above.items()}


def _facts(entries: Iterable[Any]) -> Iterator[Fact]:
    for entry in entries:
        match entry:
            case ["=" | "not", _, *_]:
                pass  # costs; and what is false anyway
            case [str(predicate), *arguments]:
                yield (predicate, *map(name_of, arguments))
            case _:
                raise ValueError(f":init: {shown(entry)}, expected (predicate object …)")


def _schemas(name: str, properties: Sequence[Any], predicates: dict[str, int]) -> list[Schema]:
    """The normalised actions that one action makes; none where it has no effect."""
    given = dict(zip(map(name_of, properties[::2]), properties[1::2], strict=True))
    if not given.keys() <= {":parameters", ":precondition", ":effect"}:
        raise ValueError(f"action {name}: expected :parameters, :precondition and :effect")
    parameters = typed(list_of(given.get(":parameters", [])))
    stated = given.get(":precondition", [])
    precondition = simplified(apart(read_condition(stated, predicates), {}, {})) if stated else TRUE
    taken = dict(parameters)  # grows by the variables of the conditions
    precondition = apart(precondition, taken, {})
    effects: list[tuple[Condition, Literal]] = []
    for effect in _effects(given.get(":effect", []), TRUE, predicates):
        opposite = (effect[0], negation(effect[1]))
        if opposite not in effects:
            effects.append(effect)
        elif opposite[1].negated:  # what is both deleted and added is added
            effects.remove(opposite)
            effects.append(effect)
    alone: list[Effect] = []
    divided: list[Effect] = []
    for condition, literal in effects:
        met_by = ways(apart(condition, taken, {}))
        for variables, parts in map(conjunction, met_by):
            if variables:
                raise ValueError(f"action {name}: a quantifier in the condition of an effect is not supported")
            (divided if len(met_by) > 1 else alone).append(Effect(parts, literal))
    if not effects:
        return []
    schemas = [
        Schema(name, parameters + variables, len(parameters), parts, (*alone, *divided))
        for variables, parts in map(conjunction, ways(precondition))
    ]
    for schema in schemas:
        used = [*schema.precondition, *(part for e in schema.effects for part in (e.literal, *e.condition))]
        _check_variables(used, schema.parameters, f"action {name}")
    return schemas


def _effects(expression: Any, condition: Condition, predicates: dict[str, int]) -> Iterator[tuple[Condition, Literal]]:
    match expression:
        case [] | ["increase", _, _]:
            return
        case ["and", *parts]:
            for part in parts:
                yield from _effects(part, condition, predicates)
        case ["when", when, then]:
            further = simplified(apart(read_condition(when, predicates), {}, {}))
            yield from _effects(then, Junction("and", (condition, further)), predicates)
        case _:
            yield simplified(condition), read_literal(expression, predicates)
