"""Experts of ScienceWorld: one demonstration of a task, with thoughts (D_expert, eq. 4)."""

from functools import lru_cache

import numpy as np

from w2sg.contracts.environment import Environment
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory
from w2sg.environments.episode import Decisions, played
from w2sg.environments.scienceworld.experts.gold import Follower, solution
from w2sg.environments.scienceworld.experts.seeker import Seeker, Style, knows
from w2sg.environments.scienceworld.world.environment import ScienceworldEnvironment, Spec, read_spec
from w2sg.environments.scienceworld.world.simulator import Simulator


def guide(environment: Environment, task: Task, *, style: Style = "brief") -> Seeker | Follower:
    """The expert for one episode of `task`: one that sees where there is one, else one that knows the solution.

    Raises:
        UserError: the task's spec is malformed, or the Java machine was lost three times in a row.
    """
    assert isinstance(environment, ScienceworldEnvironment), "these experts play ScienceWorld"
    spec = read_spec(task)
    if knows(task.instruction) and ("teleportAction" in spec.simplifications or spec.simplifications == "easy"):
        return Seeker(task.instruction, style=style)
    return Follower(task.instruction, _solution(environment.simulator, spec), style=style)


@lru_cache(maxsize=64)
def _solution(simulator: Simulator, spec: Spec) -> tuple[str, ...]:
    return tuple(solution(simulator, spec))


def expert_trajectory(
    environment: Environment, task: Task, rng: np.random.Generator, *, style: Style = "brief"
) -> Trajectory:
    """One demonstration, which needs no `rng`: the same task gives the same episode.

    Raises:
        UserError: the spec is malformed, the simulator does not know what it names, or the Java machine was lost
            three times in a row.
    """
    agent = guide(environment, task, style=style)

    def decide(_: str) -> Decisions:
        while True:
            thought, action = agent.decide()
            agent.read(action, (yield thought, action))

    return played(environment, task, decide, policy="expert")
