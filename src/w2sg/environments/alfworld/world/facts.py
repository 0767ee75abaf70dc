"""What is true in a game, and conjunctive queries over it."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

Fact = tuple[str, ...]
"""A predicate followed by its arguments, e.g. ("holds", "agent1", "mug_bar_1")."""

Binding = dict[str, str]
"""Variables (written "?name") and the objects they stand for."""


class Literal(NamedTuple):
    """One condition of a query; arguments are variables ("?name") or objects.

    The predicate "=" compares its two arguments.
    """

    predicate: str
    arguments: tuple[str, ...]
    negated: bool = False

    def ground(self, binding: Mapping[str, str]) -> Fact:
        """This literal's fact under a binding of all its variables."""
        return (self.predicate, *(binding[a] if a[0] == "?" else a for a in self.arguments))


class Facts:
    """A set of facts, indexed by predicate and by each single argument."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self._all: set[Fact] = set()
        self._index: dict[tuple[str, int, str], set[Fact]] = {}
        for fact in facts:
            self.add(fact)

    def __contains__(self, fact: Fact) -> bool:
        return fact in self._all

    def __iter__(self) -> Iterator[Fact]:
        return iter(self._all)

    def add(self, fact: Fact) -> None:
        """Make `fact` true."""
        self._all.add(fact)
        for key in _keys(fact):
            self._index.setdefault(key, set()).add(fact)

    def discard(self, fact: Fact) -> None:
        """Make `fact` false."""
        if fact in self._all:
            self._all.remove(fact)
            for key in _keys(fact):
                self._index[key].remove(fact)

    def candidates(self, literal: Literal, binding: Mapping[str, str]) -> Collection[Fact]:
        """Facts that may match `literal`: those that agree with it in its most selective bound argument."""
        predicate = literal.predicate
        best: Collection[Fact] | None = None
        for position, argument in enumerate(literal.arguments):
            value = binding.get(argument) if argument[0] == "?" else argument
            if value is not None:
                found = self._index.get((predicate, position, value), ())
                if not found:
                    return ()
                if best is None or len(found) < len(best):
                    best = found
        return self._index.get((predicate, -1, ""), ()) if best is None else best


def _keys(fact: Fact) -> Iterator[tuple[str, int, str]]:
    predicate = fact[0]
    yield (predicate, -1, "")
    for position in range(1, len(fact)):
        yield (predicate, position - 1, fact[position])


def unify(literal: Literal, fact: Fact, binding: Binding, *, distinct: bool = False) -> Binding | None:
    """`binding` extended so that `literal` becomes `fact`, or None; `distinct` forbids two variables for one object."""
    extended = binding
    for argument, value in zip(literal.arguments, fact[1:], strict=True):
        known = extended.get(argument) if argument[0] == "?" else argument
        if known is None:
            if distinct and value in extended.values():
                return None
            if extended is binding:
                extended = dict(binding)
            extended[argument] = value
        elif known != value:
            return None
    return extended


def in_order(query: Sequence[Literal], facts: Facts, binding: Binding) -> Iterator[Binding]:
    """Solutions of a query of the grammar, in the order in which TextWorld enumerates them.

    That is literal by literal, facts sorted by their arguments, different variables for different objects.
    """
    if not query:
        yield binding
        return
    for fact in sorted(facts.candidates(query[0], binding)):
        extended = unify(query[0], fact, binding, distinct=True)
        if extended is not None:
            yield from in_order(query[1:], facts, extended)


def solutions(query: Sequence[Literal], facts: Facts, binding: Binding) -> Iterator[Binding]:
    """Solutions of a condition of the domain, in no particular order.

    Positive literals are matched first, the one with the fewest candidates next; the others wait for their variables.

    Raises:
        KeyError: a variable occurs in negated literals or comparisons only.
    """
    best, fewest = -1, 0
    for number, literal in enumerate(query):
        if literal.negated or literal.predicate == "=":
            continue
        count = len(facts.candidates(literal, binding))
        if count == 0:
            return
        if best < 0 or count < fewest:
            best, fewest = number, count
    if best < 0:
        if all(_holds(literal, facts, binding) for literal in query):
            yield binding
        return
    rest = [*query[:best], *query[best + 1 :]]
    for fact in facts.candidates(query[best], binding):
        extended = unify(query[best], fact, binding)
        if extended is not None:
            yield from solutions(rest, facts, extended)


def _holds(literal: Literal, facts: Facts, binding: Binding) -> bool:
    fact = literal.ground(binding)
    true = fact[1] == fact[2] if literal.predicate == "=" else fact in facts
    return true != literal.negated
