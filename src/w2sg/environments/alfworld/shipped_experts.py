"""The two experts that ALFWorld ships, its handcoded one and Fast Downward's planner; they give no thoughts.

They serve to replay games (`w2sg replay alfworld`). Both need packages that a run does not: `make install-test`.
"""

import contextlib
import io
import random
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

from w2sg.contracts.errors import UserError
from w2sg.environments.alfworld.world.engine import Engine
from w2sg.environments.alfworld.world.translation import Game

NEEDS = {"handcoded": "textworld", "planner": "fast_downward"}


def check_installed(expert: str) -> None:
    """See that an expert has the package that it needs.

    Raises:
        UserError: it has not.
    """
    if expert in NEEDS:
        require(NEEDS[expert], of=expert)


def require(package: str, *, of: str) -> None:
    """Check that `package` is installed.

    Raises:
        UserError: it is not.
    """
    if find_spec(package) is None:
        raise UserError(f"the {of} expert needs the package {package}, which runs do not: `make install-test`")


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


def play_handcoded(game: Game, *, seed: int, max_steps: int = 150) -> list[tuple[str, str]]:
    """ALFWorld's handcoded expert on a game: its commands and the engine's answers, until won or given up.

    Two faults of the shipped expert are worked around: it knows only `move X to Y`, and after it, it still believes it
    is holding X (so it loses most games of two objects).

    Raises:
        UserError: TextWorld is not installed.
    """
    require("textworld", of="handcoded")
    import alfworld.gen.constants as constants
    from alfworld.agents.expert import HandCodedAgentTimeout, HandCodedTWAgent
    from alfworld.agents.expert.handcoded_expert import HandCodedAgentFailed

    engine = Engine(game)
    agent: Any = HandCodedTWAgent(max_steps=max_steps)
    parameters = {k: v.lower() if v in constants.OBJECTS else v for k, v in game.parameters.items()}
    agent.task_params = {**parameters, "task_type": game.task_type}
    agent.policy = agent.get_task_policy(agent.task_params)(agent.task_params, max_steps=max_steps)
    agent.observe(engine.intro())
    episode: list[tuple[str, str]] = []
    command, global_state = "look", random.getstate()
    random.seed(seed)  # the expert draws from the global generator
    try:
        while not engine.won() and len(episode) < max_steps:
            text = engine.act(command)
            episode.append((command, text))
            offered = {as_move(c): c for c in engine.commands()}
            state = {"feedback": text, "facts": _named_facts(engine), "admissible_commands": sorted(offered)}
            command = offered.get(agent.act(state, 0, engine.won(), as_put(command)), "look")
    except (HandCodedAgentTimeout, HandCodedAgentFailed, IndexError, KeyError):
        pass  # it has given up, one way or another
    finally:
        random.setstate(global_state)
    return episode


def _named_facts(engine: Engine) -> list[SimpleNamespace]:
    return [SimpleNamespace(name=fact[0], names=[engine.names[a] for a in fact[1:]]) for fact in sorted(engine.facts)]


def as_move(text: str) -> str:
    """A command of the older grammar (`put X in/on Y`), or its answer, in the words of the current one."""
    return _PUT.sub(r"\1move\2 \3 to \4", text)


def as_put(text: str) -> str:
    """A command of the current grammar (`move X to Y`), or its answer, in the words of the older one."""
    return _MOVE.sub(r"\1put\2 \3 in/on \4", text)


_PUT = re.compile(r"^(You )?put( the)? ([a-z]+ \d+) in/on (.*)$")
_MOVE = re.compile(r"^(You )?move( the)? ([a-z]+ \d+) to (.*)$")


def plan(game: Game) -> list[str]:
    """Fast Downward's plan for a game, as commands; empty where it finds none. Takes 0.2 to 30 s.

    The planner sees the whole state, so its plan walks straight to what it needs.

    Raises:
        UserError: Fast Downward is not installed, or cannot read the game.
    """
    require("fast_downward", of="planner")
    import fast_downward

    try:
        with translator():
            _, sas = fast_downward.pddl2sas(game.domain, game.problem, optimize=True)
    except SystemExit:
        raise UserError("Fast Downward cannot translate its PDDL") from None
    library = _planner()
    if not library.solve_sas(sas.encode(), False):
        return []
    operators = (fast_downward.Operator * library.get_last_plan_length())()
    library.get_last_plan(operators)
    engine = Engine(game)
    steps = [operator.name.split() for operator in operators]
    return [engine.command(name, tuple(arguments)) for name, *arguments in steps]


@lru_cache(maxsize=1)
def _planner() -> Any:
    """The planner's library; one copy serves the process, because each load leaks."""
    import fast_downward

    return fast_downward.load_lib()
