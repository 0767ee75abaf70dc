"""The expert of ALFWorld whose episodes are the demonstrations (D_expert, eq. 4): the searcher."""

from functools import lru_cache

import numpy as np

from w2sg.contracts.environment import Environment
from w2sg.contracts.errors import UserError
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory
from w2sg.environments.alfworld.experts.goals import parse_goal
from w2sg.environments.alfworld.experts.searcher import Searcher, Style
from w2sg.environments.episode import Decisions, played


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

    def decide(opening: str) -> Decisions:
        agent = searcher(task, opening, style=style)
        while True:
            thought, action = agent.decide(environment.admissible())
            agent.read(action, (yield thought, action))

    return played(environment, task, decide, policy="expert")
