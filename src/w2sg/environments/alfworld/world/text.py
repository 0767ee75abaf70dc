"""The grammar's words: an interpreter for its rules that writes what TextWorld's derivation writes."""

import ast
from collections.abc import Mapping, Sequence

from w2sg.contracts.errors import UserError
from w2sg.environments.alfworld.world.facts import Binding, Facts, in_order
from w2sg.environments.alfworld.world.grammar import Piece, Slot
from w2sg.environments.alfworld.world.rules import Rules

_ESCAPES = (("_bar_", "|"), ("_minus_", "-"), ("_plus_", "+"), ("_dot_", "."), ("_comma_", ","))


def display_names(objects: Sequence[str]) -> dict[str, str]:
    """Names such as "drawer 3" for PDDL objects, numbered as ALFWorld does: in reverse of the sorted ids."""
    kinds: dict[str, str] = {}
    for identifier in objects:
        kind, bar, _ = identifier.partition("_bar_")
        if bar:
            kinds[identifier] = kind + "basin" if "basin" in identifier else kind
    numbers: dict[str, int] = {}
    for kind in kinds.values():
        numbers[kind] = numbers.get(kind, 0) + 1
    names = {}
    for identifier in sorted(objects):
        if identifier in kinds:
            kind = _unescaped(kinds[identifier])
            names[identifier] = f"{kind} {numbers[kinds[identifier]]}"
            numbers[kinds[identifier]] -= 1
        else:
            names[identifier] = f"{_unescaped(identifier)} "  # the space is ALFWorld's
    return names


def _unescaped(text: str) -> str:
    for escape, character in _ESCAPES:
        text = text.replace(escape, character)
    return text


class Writer:
    """Renders rules of one grammar about the objects of one game."""

    def __init__(self, rules: Rules, names: Mapping[str, str]) -> None:
        self._rules = rules
        self._names = names

    def rule(self, name: str, facts: Facts, binding: Binding) -> str:
        """The text of a rule: of its first production whose condition can be met.

        Raises:
            UserError: the grammar has no such rule, or no production applies.
        """
        for production in self._rules.productions.get(name, ()):
            if not production.condition or next(in_order(production.condition, facts, binding), None) is not None:
                return self.pieces(production.pieces, facts, binding)
        raise UserError(f"grammar: no rule {name!r} that applies, referred to by another rule")

    def pieces(self, pieces: Sequence[Piece], facts: Facts, binding: Binding) -> str:
        """The text of a sequence of pieces."""
        return "".join(p if isinstance(p, str) else self._slot(p, facts, binding) for p in pieces)

    def _slot(self, slot: Slot, facts: Facts, binding: Binding) -> str:
        bindings = [binding] if slot.query is None else in_order(slot.query, facts, binding)
        if slot.expression is None:
            texts = [self.rule(slot.rule, facts, each) for each in bindings]
        else:
            texts = [self._value(slot.expression, each) for each in bindings]
        if not slot.listed:
            return "".join(texts)
        if not texts:
            return self.rule("list_empty", facts, binding)
        if len(texts) == 1:
            return texts[0]
        head = self.rule("list_separator", facts, binding).join(texts[:-1])
        return head + self.rule("list_last_separator", facts, binding) + texts[-1]

    def _value(self, node: ast.expr, binding: Binding) -> str:
        """An expression of the grammar such as `o.indefinite + ' ' + o.name`; nothing else is evaluated."""
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Name(id=variable):
                return self._names[binding["?" + variable]]
            case ast.Attribute(value=ast.Name(id=variable), attr=attribute):
                return self._attribute(binding["?" + variable], attribute)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._value(left, binding) + self._value(right, binding)
            case ast.BoolOp(op=ast.Or(), values=values):
                return next((text for text in (self._value(v, binding) for v in values) if text), "")
        raise UserError(f"grammar: expression {ast.unparse(node)!r}, allowed are names, texts, + and or")

    def _attribute(self, identifier: str, attribute: str) -> str:
        match attribute:
            case "name":
                return self._names[identifier]
            case "id":
                return identifier
            case "indefinite":
                return "a"
            case "definite":
                return "the"
        raise UserError(f"grammar: attribute {attribute!r}, allowed are name, id, indefinite, definite")
