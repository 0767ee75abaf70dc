"""Game files, translated once into what the engine needs, so that a reset parses nothing."""

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from w2sg.contracts import files
from w2sg.contracts.errors import UserError, reason, shown
from w2sg.environments.alfworld.world.facts import Fact, Literal
from w2sg.environments.alfworld.world.pddl import Axiom, check_facts, read_domain, read_problem
from w2sg.environments.alfworld.world.rules import Rules, compile_rules, split_goal


@dataclass(frozen=True, slots=True, eq=False)
class Game:
    """One translated game; compared by identity, because `load` gives one object per file.

    Attributes:
        domain, grammar: the texts of its rules; the grammar with the goal's words replaced (rules.GOAL).
        instruction: the goal in words, e.g. "put some mug on desk".
        task_type: one of the six types, or "" where unknown.
        parameters: ALFRED's pddl_params of the goal (object_target, parent_target, toggle_target, …).
        objects: PDDL object and its type.
        facts: the facts of the start.
        goal: literals of the goal; axioms: the derived predicates they refer to.
        goal_pddl: the goal as PDDL, for the planner.
    """

    domain: str
    grammar: str
    instruction: str
    task_type: str
    parameters: dict[str, str]
    objects: dict[str, str]
    facts: tuple[Fact, ...]
    goal: tuple[Literal, ...]
    axioms: tuple[Axiom, ...]
    goal_pddl: str

    @property
    def rules(self) -> Rules:
        """The compiled rules; games of one domain and grammar share them."""
        return compile_rules(self.domain, self.grammar)

    @property
    def problem(self) -> str:
        """The game as a PDDL problem."""
        objects = "\n".join(f"{name} - {kind}" for name, kind in self.objects.items())
        facts = "\n".join(f"({' '.join(fact)})" for fact in self.facts)
        head = "(define (problem game)\n(:domain alfred)\n"
        return f"{head}(:objects\n{objects}\n)\n(:init\n(= (total-cost) 0)\n{facts}\n)\n{self.goal_pddl}\n)\n"


def check_texts(data: Mapping[str, Any]) -> None:
    """See that a game file has the texts of a game.

    Raises:
        UserError: one is missing or no text.
    """
    for key in ("pddl_domain", "pddl_problem", "grammar"):
        if not isinstance(data.get(key), str):
            found = f"is {shown(data[key])}" if key in data else "is missing"
            raise UserError(f"{key} {found}, expected a text of a TextWorld-PDDL game")


def translate(data: Mapping[str, Any], trajectory: Mapping[str, Any] | None = None) -> Game:
    """Translate a game file (`game.tw-pddl`, parsed) and, where it is known, its `traj_data.json`.

    Raises:
        UserError: a key is missing, or the PDDL or the grammar cannot be parsed.
    """
    check_texts(data)
    grammar, instruction = split_goal(data["grammar"])
    try:
        problem = read_problem(read_domain(data["pddl_domain"]), data["pddl_problem"])
        goal_pddl = _section(data["pddl_problem"], ":goal")
    except (ValueError, RecursionError) as error:
        raise UserError(f"not a PDDL problem of its domain ({reason(error)})") from None
    compile_rules(data["pddl_domain"], grammar)
    details = trajectory or {}
    return Game(
        domain=data["pddl_domain"],
        grammar=grammar,
        instruction=instruction,
        task_type=str(details.get("task_type", "")),
        parameters={k: str(v) for k, v in details.get("pddl_params", {}).items()},
        objects=problem.objects,
        facts=tuple(sorted(problem.facts)),
        goal=problem.goal,
        axioms=problem.axioms,
        goal_pddl=goal_pddl,
    )


def _section(problem: str, keyword: str) -> str:
    """The parenthesised section of a PDDL problem that begins with `keyword`, comments stripped."""
    text = "\n".join(line.split(";", 1)[0] for line in problem.splitlines())
    start = text.lower().rindex("(" + keyword)
    depth = 0
    for end in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0:
            return " ".join(text[start : end + 1].split())
    raise ValueError(f"{keyword} is not closed")


def save(directory: Path, name: str, game: Game) -> None:
    """Write `game` as `name` into a directory of translated games; shared rules are stored once."""
    rules = {"domain": game.domain, "grammar": game.grammar}
    digest = hashlib.sha256(json.dumps(rules).encode()).hexdigest()[:16]
    rules_path = directory / f"rules-{digest}.json.gz"
    if not rules_path.exists():
        _write(rules_path, rules)
    content = {key: value for key, value in asdict(game).items() if key not in rules}
    _write(directory / f"{name}.json.gz", {"rules": digest, **content})
    load.cache_clear()


@lru_cache(maxsize=256)
def load(directory: Path, name: str) -> Game:
    """Read a translated game.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = directory / f"{name}.json.gz"
    content = files.read_object(path)
    with files.reading(path, "a translated game"):
        rules = _read_rules(directory / f"rules-{content.pop('rules')}.json.gz")
        return _game(**rules, **content)


def _game(**content: Any) -> Game:
    """A game of its stored parts; a ValueError, TypeError or KeyError where one is of another kind."""
    content["objects"] = dict(zip(_texts(content["objects"]), _texts(content["objects"].values()), strict=True))
    content["parameters"] = dict(
        zip(_texts(content["parameters"]), _texts(content["parameters"].values(), empty=True), strict=True)
    )
    content["facts"] = tuple(map(_texts, content["facts"]))
    content["goal"] = _literals(content["goal"])
    content["axioms"] = tuple(
        Axiom(a["name"], tuple((n, kind) for n, kind in map(_texts, a["parameters"])), _literals(a["literals"]))
        for a in content["axioms"]
    )
    game = Game(**content)
    _texts((game.domain, game.grammar, game.instruction, game.task_type, game.goal_pddl), empty=True)
    check_facts(game.facts, objects=game.objects, domain=read_domain(game.domain))
    return game


def _literals(rows: list[list[Any]]) -> tuple[Literal, ...]:
    return tuple(Literal(_texts([predicate])[0], _texts(arguments), bool(no)) for predicate, arguments, no in rows)


def _texts(values: Iterable[Any], *, empty: bool = False) -> tuple[str, ...]:
    """Values that must be texts, and not empty unless they may be."""
    found = tuple(values)
    if odd := [value for value in found if not isinstance(value, str) or not (value or empty)]:
        raise TypeError(f"{shown(odd[0])} where a text is expected")
    return found


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with files.replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0))


@lru_cache(maxsize=8)
def _read_rules(path: Path) -> dict[str, Any]:
    return files.read_object(path)
