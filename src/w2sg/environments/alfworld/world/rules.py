"""What the games of one PDDL domain and text grammar share, read once per process."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from w2sg.contracts.errors import UserError, reason
from w2sg.environments.alfworld.world.grammar import Piece, Production, read_grammar
from w2sg.environments.alfworld.world.pddl import Schema, read_domain

GOAL = "UNKNOWN GOAL"
"""Stands in the grammar for the words of the goal, which differ from game to game."""

_TASK_LINE = re.compile(r'(Your task is to: )([^"\\#{}\[\]|<>;]+)(\.)')


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
        first, *_ = self.commands.get("putobject", ("",))
        if not isinstance(first, str) or not first.split():
            raise UserError("grammar: its action putobject does not begin with a verb, as ALFWorld's does")
        return first.split()[0]


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
        read = read_domain(domain)
        words = read_grammar(grammar)
        if silent := sorted({schema.name for schema in read.schemas} - words.commands.keys()):
            raise ValueError(f"grammar: no words for the action {silent[0]}")
    except (ValueError, RecursionError, MemoryError) as error:  # the last is Python's, of expressions nested too deeply
        raise UserError(f"not a PDDL domain with a TextWorld grammar ({reason(error)})") from None
    return Rules(read.supertypes, read.schemas, words.commands, words.feedbacks, words.productions)
