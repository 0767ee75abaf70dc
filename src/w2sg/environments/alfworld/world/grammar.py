"""ALFWorld's text grammar (`.twl2`): its rules, and the words of each action's command and answer, as plain records.

A document holds `grammar :: triple-quoted JSON;` and `action NAME { template :: "…"; feedback :: "…"; grammar :: …; }`.
The JSON gives each rule's alternatives, `{"condition": "…", "rhs": "…"}`. In a right-hand side stand plain text,
`#rule#`, `{expression}`, `{expression | query}`, `{#rule# | query}`, and `[{…}]`, which enumerates. Everything is read
as TextWorld's own parser reads it: space at the beginning of a text is dropped, and so is what follows the first
character that fits nowhere (ALFWorld's grammar has a brace too many).
"""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from w2sg.environments.alfworld.world.facts import Literal

_CONDITION = re.compile(r"\s*([\w-]+)\(([^()]*)\)\s*")
_TOKEN = re.compile(r'"""(?:.|\n)*?"""|"[^"]*"|::|[{};]|[\w/-]+|\S')
_COMMENT = re.compile(r'("""(?:.|\n)*?"""|"[^"]*")|#.*')
_SLOT = r"\{(?>#(?P<rule>[\w()/!<>\-\s,.]+)#|(?P<value>[^|\[\]{}\n<>]+))(?:\s*\|\s*(?P<query>[^;|{}\n\[\]#]+))?\}"
_PIECES = (
    re.compile(rf"(?P<listed>\[)?{_SLOT}(?(listed)\])"),
    re.compile(r"#(?P<rule>[\w()/!<>\-\s,.]+)#"),
    re.compile(r'"(?P<quoted>[^;|"<>\[\]#{}]*)"'),
    re.compile(r'(?P<text>[^;|"<>\[\]#{}]+)'),
)


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
class Grammar:
    """A grammar.

    Attributes:
        commands, feedbacks: the words of each action's command and answer.
        productions: the rules by name.
    """

    commands: Mapping[str, tuple[Piece, ...]]
    feedbacks: Mapping[str, tuple[Piece, ...]]
    productions: Mapping[str, tuple[Production, ...]]


def read_grammar(text: str) -> Grammar:
    """Read a grammar.

    Raises:
        ValueError: the text is no such grammar.
    """
    tokens = _TOKEN.findall(_COMMENT.sub(r"\1", text))
    rules: dict[str, Any] = {}
    commands: dict[str, tuple[Piece, ...]] = {}
    feedbacks: dict[str, tuple[Piece, ...]] = {}
    while tokens:
        match tokens:
            case ["grammar", "::", block, ";", *tokens]:
                rules |= _block(block)
            case ["action", name, "{", *tokens]:
                properties = {"grammar": '"""{}"""'}
                while tokens[:1] != ["}"]:
                    match tokens:
                        case [("template" | "feedback" | "grammar" | "pddl") as key, "::", value, ";", *tokens]:
                            properties[key] = value
                        case _:
                            raise ValueError(
                                f"grammar: action {name}: {' '.join(tokens[:3])!r}, expected key :: value;"
                            )
                tokens = tokens[1:]
                if not {"template", "feedback"} <= properties.keys():
                    raise ValueError(f"grammar: action {name} needs a template and a feedback")
                commands[name.lower()] = read_pieces(properties["template"][1:-1])
                feedbacks[name.lower()] = read_pieces(properties["feedback"][1:-1])
                rules |= _block(properties["grammar"])
            case _:
                raise ValueError(f"grammar: {' '.join(tokens[:3])!r}, expected grammar :: or action NAME")
    try:
        productions = {
            name: tuple(Production(read_query(one.get("condition")), read_pieces(one["rhs"])) for one in alternatives)
            for name, alternatives in rules.items()
        }
    except (AttributeError, KeyError, TypeError):
        raise ValueError('grammar: a rule is not a list of {"condition": text, "rhs": text}') from None
    return Grammar(commands, feedbacks, productions)


def _block(token: str) -> dict[str, Any]:
    """The rules in a triple-quoted block of JSON, in which lines that begin with # are comments."""
    lines = (
        line for line in token.removeprefix('"""').removesuffix('"""').split("\n") if not line.lstrip().startswith("#")
    )
    rules = json.loads("\n".join(lines))
    if not isinstance(rules, dict):
        raise ValueError("grammar: a block is not a JSON object")
    return rules


def read_query(text: str | None) -> tuple[Literal, ...]:
    """A condition of the grammar, e.g. "holds(a:agent, o:object) & openable(r:receptacle)".

    Raises:
        ValueError: it is not a conjunction of such predicates.
    """
    if not text:
        return ()
    query = []
    for part in text.split("&"):
        found = _CONDITION.fullmatch(part)
        if found is None:
            raise ValueError(f"grammar: condition {part.strip()!r}, expected predicate(name:type, …)")
        query.append(Literal(found.group(1), tuple("?" + a.split(":")[0].strip() for a in found.group(2).split(","))))
    return tuple(query)


def read_pieces(text: str) -> tuple[Piece, ...]:
    """The pieces of a right-hand side.

    Raises:
        ValueError: an expression or a query in it cannot be read.
    """
    text = text.lstrip()
    pieces: list[Piece] = []
    position = 0
    while found := next(filter(None, (kind.match(text, position) for kind in _PIECES)), None):
        pieces.append(_piece(found.groupdict()))
        position = found.end()
    return tuple(pieces) or ("",)


def _piece(part: dict[str, str | None]) -> Piece:
    for kind in ("text", "quoted"):
        if (plain := part.get(kind)) is not None:
            return plain
    query = read_query(part["query"]) if part.get("query") else None
    listed = part.get("listed") is not None
    if part["rule"] is not None:
        return Slot(part["rule"], None, query, listed)
    value = part["value"]
    assert value is not None
    try:
        return Slot("", ast.parse(value.strip(), mode="eval").body, query, listed)
    except SyntaxError:
        raise ValueError(f"grammar: {value.strip()!r} is not an expression") from None
