"""Conditions of PDDL: reading them, and the steps that bring them to conjunctions of literals.

The steps and every order are those of Fast Downward's translator (see pddl), which the tests hold them against.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, product
from math import prod
from typing import Any

from w2sg.environments.alfworld.world.facts import Literal

Parameters = tuple[tuple[str, str], ...]
"""Variables (or objects) and their types."""


@dataclass(frozen=True, slots=True)
class Junction:
    """All (`and`) or at least one (`or`) of the parts; without parts it is true or false."""

    kind: str
    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """Some objects of the parameters' types meet the part."""

    parameters: Parameters
    part: "Condition"


Condition = Literal | Junction | Exists
TRUE = Junction("and", ())
MOST_WAYS = 10_000  # of a condition; ALFWorld's have a dozen


def typed(words: Sequence[Any]) -> Parameters:
    """`a b - kind c`: names and their types, "object" where none is given."""
    found: list[tuple[str, str]] = []
    waiting: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "-":
            kind = name_of(next(rest, None))
            found += [(name, kind) for name in waiting]
            waiting = []
        else:
            waiting.append(name_of(word))
    return (*found, *((name, "object") for name in waiting))


def read_condition(expression: Any, predicates: dict[str, int], *, negated: bool = False) -> Condition:
    """A condition with negations pushed down to its literals."""
    match expression:
        case ["not", part]:
            return read_condition(part, predicates, negated=not negated)
        case [("and" | "or") as kind, *parts]:
            inner = tuple(read_condition(part, predicates, negated=negated) for part in parts)
            return Junction(kind if not negated else {"and": "or", "or": "and"}[kind], inner)
        case ["imply", premise, conclusion]:
            either = (
                read_condition(premise, predicates, negated=not negated),
                read_condition(conclusion, predicates, negated=negated),
            )
            return Junction("and" if negated else "or", either)
        case ["exists", [*parameters], part] if not negated:
            return Exists(typed(parameters), read_condition(part, predicates))
        case ["forall", [*parameters], part] if negated:
            return Exists(typed(parameters), read_condition(part, predicates, negated=True))
        case [("exists" | "forall"), _, _]:
            raise ValueError(f"{shown(expression)}: a condition on all objects is not supported")
    literal = read_literal(expression, predicates)
    return negation(literal) if negated else literal


def read_literal(expression: Any, predicates: dict[str, int]) -> Literal:
    """A literal; `predicates` gives the arity of each."""
    match expression:
        case ["not", part]:
            return negation(read_literal(part, predicates))
        case [str(predicate), *arguments] if predicates.get(predicate) == len(arguments):
            return Literal(predicate, tuple(map(name_of, arguments)))
    raise ValueError(f"{shown(expression)}: expected a declared predicate with its arguments")


def negation(literal: Literal) -> Literal:
    """The opposite literal."""
    return literal._replace(negated=not literal.negated)


def apart(condition: Condition, taken: dict[str, str], names: dict[str, str]) -> Condition:
    """The condition with quantified variables renamed apart from `taken`, which they join; `names` maps old to new."""
    match condition:
        case Literal():
            return condition._replace(arguments=tuple(names.get(a, a) for a in condition.arguments))
        case Junction(kind, parts):
            return Junction(kind, tuple(apart(part, taken, names) for part in parts))
        case Exists(parameters, part):
            names = dict(names)
            fresh = []
            for name, kind in parameters:
                new = name
                if name in taken:
                    new = names[name] = next(n for n in (f"{name}{i}" for i in count(1)) if n not in taken)
                taken[new] = kind
                fresh.append((new, kind))
            return Exists(tuple(fresh), apart(part, taken, names))


def simplified(condition: Condition) -> Condition:
    """Nested junctions of one kind made one, constants and junctions of one part removed."""
    match condition:
        case Exists(parameters, part):
            part = simplified(part)
            constant = isinstance(part, Junction) and not part.parts
            return part if constant else Exists(parameters, part)
        case Junction(kind, parts):
            kept: list[Condition] = []
            for part in map(simplified, parts):
                if not isinstance(part, Junction):
                    kept.append(part)
                elif part.kind == kind:
                    kept += part.parts
                elif not part.parts:
                    return part  # false in a conjunction, true in a disjunction
                else:
                    kept.append(part)
            return kept[0] if len(kept) == 1 else Junction(kind, tuple(kept))
    return condition


def ways(condition: Condition) -> tuple[Condition, ...]:
    """The parts of the disjunctive normal form."""
    normal = simplified(_disjunctive(condition))
    if isinstance(normal, Junction) and normal.kind == "or" and normal.parts:
        return normal.parts
    return (normal,)


def _disjunctive(condition: Condition) -> Condition:
    """An equivalent condition whose disjunctions, if any, are its root."""
    if isinstance(condition, Literal):
        return condition
    parts = [_disjunctive(p) for p in ((condition.part,) if isinstance(condition, Exists) else condition.parts)]
    branching = [part.parts for part in parts if isinstance(part, Junction) and part.kind == "or"]
    others = tuple(part for part in parts if not (isinstance(part, Junction) and part.kind == "or"))
    if not branching:
        return condition
    if isinstance(condition, Exists):
        return Junction("or", tuple(Exists(condition.parameters, way) for way in branching[0]))
    if condition.kind == "or":
        return Junction("or", (*others, *(way for ways in branching for way in ways)))
    if prod(map(len, branching)) > MOST_WAYS:
        raise ValueError(f"a condition that can be met in more than {MOST_WAYS} ways")
    # The last disjunction varies slowest, which is the order in which Fast Downward multiplies them out.
    return Junction("or", tuple(Junction("and", (*others, *ways)) for ways in product(*reversed(branching))))


def conjunction(condition: Condition) -> tuple[Parameters, tuple[Literal, ...]]:
    """Variables and literals of a condition without disjunctions; those of quantified parts come last."""
    match condition:
        case Literal():
            return (), (condition,)
        case Exists(parameters, part):
            further, literals = conjunction(part)
            return parameters + further, literals
        case Junction("and", parts):
            found = [conjunction(part) for part in parts]
            found.sort(key=lambda each: bool(each[0]))
            return sum((v for v, _ in found), ()), sum((literals for _, literals in found), ())
    raise ValueError("a condition that nothing can meet")


def name_of(token: Any) -> str:
    """A token that must be a name."""
    if not isinstance(token, str):
        raise ValueError(f"{shown(token)}: expected a name")
    return token


def list_of(expression: Any) -> list[Any]:
    """An expression that must be a list and begin with a name, if with anything."""
    if not isinstance(expression, list) or (expression and not isinstance(expression[0], str)):
        raise ValueError(f"{shown(expression)}: expected (name …)")
    return expression


def shown(expression: Any) -> str:
    """The beginning of an expression, as it was written."""
    text = expression if isinstance(expression, str) else f"({' '.join(map(shown, expression or []))})"
    return text if len(text) < 60 else f"{text[:57]}..."
