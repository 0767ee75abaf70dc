"""Demonstrations of WebShop (D_expert, eq. 4): episodes of the scripted shopper."""

import numpy as np

from w2sg.contracts.environment import Environment
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Step, Trajectory
from w2sg.contracts.turns import format_response
from w2sg.environments.webshop.experts.shopper import Shopper, Style


def expert_trajectory(
    environment: Environment, task: Task, rng: np.random.Generator, *, style: Style = "brief"
) -> Trajectory:
    """One demonstration by the shopper, who needs no `rng`: the same task gives the same episode.

    It sees the pages only, never the goal, so it does not always reach a reward of 1.
    """
    observation, _ = environment.reset(task)
    agent = Shopper(observation, max_steps=task.max_steps, style=style)
    steps: list[Step] = []
    while True:
        offered = environment.admissible()
        thought, action = agent.decide(offered)
        result = environment.step(action)
        response = format_response(thought, action)
        steps.append(Step(observation, thought, action, response, result.observation, result.score))
        if result.terminated or result.truncated:
            return Trajectory(environment.name, task.task_id, "expert", 0, 0.0, 1.0, result.terminated, tuple(steps))
        agent.read(action, result.observation, offered=offered)
        observation = result.observation
