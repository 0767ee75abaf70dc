"""Demonstrations of WebShop (D_expert, eq. 4): episodes of the scripted shopper."""

import numpy as np

from w2sg.contracts.environment import Environment
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory
from w2sg.environments.episode import Decisions, played
from w2sg.environments.webshop.experts.shopper import Shopper, Style


def expert_trajectory(
    environment: Environment, task: Task, rng: np.random.Generator, *, style: Style = "brief"
) -> Trajectory:
    """One demonstration by the shopper, who needs no `rng`: the same task gives the same episode.

    It sees the pages only, never the goal, so it does not always reach a reward of 1.
    """

    def decide(opening: str) -> Decisions:
        agent = Shopper(opening, max_steps=task.max_steps, style=style)
        while True:
            offered = environment.admissible()
            thought, action = agent.decide(offered)
            agent.read(action, (yield thought, action), offered=offered)

    return played(environment, task, decide, policy="expert")
