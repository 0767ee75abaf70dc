"""Experts of ALFWorld: the searcher whose episodes are the demonstrations (D_expert, eq. 4), and the two shipped ones.

The handcoded expert of ALFWorld and Fast Downward's planner serve to replay games; they give no thoughts.
"""

import random
import re
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from w2sg.contracts.environment import Environment
from w2sg.contracts.errors import UserError
from w2sg.contracts.records import Step, Task, Trajectory
from w2sg.contracts.turns import format_response
from w2sg.environments.alfworld.experts.goals import parse_goal
from w2sg.environments.alfworld.experts.searcher import Searcher, Style
from w2sg.environments.alfworld.world.engine import Engine
from w2sg.environments.alfworld.world.rules import translator
from w2sg.environments.alfworld.world.translation import Game


@lru_cache(maxsize=256)
def likely_places(target: str) -> frozenset[str]:
    """Kinds of place that ALFRED lists for a kind of object; the same priors as the handcoded expert's."""
    import alfworld.gen.constants as constants

    fits = constants.VAL_RECEPTACLE_OBJECTS
    return frozenset(place.lower() for place, objects in fits.items() if target in {o.lower() for o in objects})


def searcher(task: Task, opening: str, *, style: Style = "brief") -> Searcher:
    """The expert for one episode of `task`, which begins with the observation `opening`.

    The "plain" expert searches likely places first; the "brief" one takes the room in order, which small models can
    follow.

    Raises:
        UserError: the task's instruction is not made from ALFWorld's goal templates.
    """
    goal = parse_goal(task.instruction)
    if goal is None:
        raise UserError(
            f"task {task.task_id}: instruction {task.instruction!r}, expected one of ALFWorld's goal templates"
        )
    return Searcher(goal, opening, likely=likely_places(goal.target) if style == "plain" else (), style=style)


def expert_trajectory(
    environment: Environment, task: Task, rng: np.random.Generator, *, style: Style = "brief"
) -> Trajectory:
    """One demonstration by the searcher, who needs no `rng`: the same task gives the same episode.

    Raises:
        UserError: see searcher.
    """
    observation, _ = environment.reset(task)
    agent = searcher(task, observation, style=style)
    steps: list[Step] = []
    while True:
        thought, action = agent.decide(environment.admissible())
        result = environment.step(action)
        response = format_response(thought, action)
        steps.append(Step(observation, thought, action, response, result.observation, result.score))
        agent.read(action, result.observation)
        observation = result.observation
        if result.terminated or result.truncated:
            return Trajectory(environment.name, task.task_id, "expert", 0, 0.0, 1.0, result.terminated, tuple(steps))


def play_handcoded(game: Game, *, seed: int, max_steps: int = 150) -> list[tuple[str, str]]:
    """ALFWorld's handcoded expert on a game: its commands and the engine's answers, until won or given up.

    Two faults of the shipped expert are worked around: it knows only `move X to Y`, and after it, it still believes it
    is holding X (so it loses most games of two objects).
    """
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
    """
    import fast_downward

    with translator():
        _, sas = fast_downward.pddl2sas(game.domain, game.problem, optimize=True)
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
