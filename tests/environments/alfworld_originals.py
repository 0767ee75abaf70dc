"""The readers that ALFWorld itself uses, as the readers of this project give their results: Fast Downward's PDDL
translator and TextWorld's grammar parser. Only tests need them, and `make test` installs them."""

import ast
import json
from typing import Any

from w2sg.environments.alfworld.shipped_experts import translator
from w2sg.environments.alfworld.world.facts import Literal
from w2sg.environments.alfworld.world.grammar import Grammar, Piece, Production, Slot, read_query
from w2sg.environments.alfworld.world.pddl import Axiom, Effect, Problem, Schema


def fast_downward_task(domain: str, problem: str) -> Any:
    """Fast Downward's normalised task for two PDDL texts."""
    with translator():
        from fast_downward.translate import normalize
        from fast_downward.translate.pddl_parser import lisp_parser, parsing_functions

        task = parsing_functions.parse_task(
            lisp_parser.parse_nested_list(domain.split("\n")), lisp_parser.parse_nested_list(problem.split("\n"))
        )
        normalize.normalize(task)
    return task


def schemas(task: Any) -> tuple[Schema, ...]:
    """The task's actions."""
    return tuple(
        Schema(
            action.name,
            tuple((p.name, p.type_name) for p in action.parameters),
            action.num_external_parameters,
            _literals(action.precondition),
            tuple(Effect(_literals(effect.condition), _literal(effect.literal)) for effect in action.effects),
        )
        for action in task.actions
    )


def supertypes(task: Any) -> dict[str, frozenset[str]]:
    """The task's types, each with itself and the types above it."""
    return {t.name: frozenset((t.name, *t.supertype_names)) for t in task.types}


def problem(task: Any) -> Problem:
    """The task's objects, start, goal and derived predicates."""
    # The translator names plain facts "Atom" and costs "Assign"; an equality is true of every object.
    facts = {(a.predicate, *a.args) for a in task.init if type(a).__name__ == "Atom" and a.predicate != "="}
    axioms = tuple(
        Axiom(a.name, tuple((p.name, p.type_name) for p in a.parameters), _literals(a.condition)) for a in task.axioms
    )
    return Problem({o.name: o.type_name for o in task.objects}, frozenset(facts), _literals(task.goal), axioms)


def _literals(condition: Any) -> tuple[Literal, ...]:
    match type(condition).__name__:
        case "Truth":
            return ()
        case "Conjunction":
            return tuple(map(_literal, condition.parts))
    return (_literal(condition),)


def _literal(condition: Any) -> Literal:
    assert type(condition).__name__ in ("Atom", "NegatedAtom")
    return Literal(condition.predicate, tuple(condition.args), condition.negated)


def textworld_grammar(text: str) -> Grammar:
    """TextWorld's reading of a grammar."""
    from textworld.envs.pddl.logic import GameLogic

    logic = GameLogic(domain="", grammar=text)
    return Grammar(
        commands={name: textworld_pieces(action.template) for name, action in logic.actions.items()},
        feedbacks={name: textworld_pieces(action.feedback_rule) for name, action in logic.actions.items()},
        productions={
            name: tuple(Production(read_query(rule.condition), _pieces(rule.rhs)) for rule in alternatives)
            for name, alternatives in logic.grammar._rules.items()
        },
    )


def textworld_pieces(text: str) -> tuple[Piece, ...]:
    """TextWorld's reading of a right-hand side."""
    from textworld.envs.pddl.textgen import ContextSensitiveGrammar

    grammar = ContextSensitiveGrammar.parse(json.dumps({"rule": [{"rhs": text}]}))
    return _pieces(grammar._rules["rule"][0].rhs)


def _pieces(symbols: Any) -> tuple[Piece, ...]:
    return tuple(_piece(symbol, listed=False) for symbol in symbols)


def _piece(symbol: Any, *, listed: bool) -> Piece:
    match type(symbol).__name__:
        case "TerminalSymbol":
            return str(symbol.symbol)
        case "NonterminalSymbol":
            return Slot(str(symbol.symbol), None, None, listed)
        case "ListSymbol":
            return _piece(symbol.symbol, listed=True)
        case "EvalSymbol":
            return Slot("", ast.parse(symbol.expression.strip(), mode="eval").body, None, listed)
    inner = _piece(symbol.expression, listed=listed)
    assert type(symbol).__name__ == "ConditionalSymbol" and isinstance(inner, Slot)
    return Slot(inner.rule, inner.expression, read_query(symbol.given) if symbol.given else None, listed)


def comparable(grammar: Grammar) -> Any:
    """A grammar, or pieces, with expressions as text, so that two of them can be compared."""
    if isinstance(grammar, Grammar):
        return [
            {name: comparable(pieces) for name, pieces in grammar.commands.items()},
            {name: comparable(pieces) for name, pieces in grammar.feedbacks.items()},
            {
                name: [(one.condition, comparable(one.pieces)) for one in alternatives]
                for name, alternatives in grammar.productions.items()
            },
        ]
    return [
        p if isinstance(p, str) else (p.rule, p.expression and ast.unparse(p.expression), p.query, p.listed)
        for p in grammar
    ]
