"""Expert demonstrations and exploratory play of each environment."""

from typing import Literal

import numpy as np

from w2sg.config.params import Params
from w2sg.contracts.environment import Environment
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory
from w2sg.environments.parts import provided


def expert(name: str, params: Params, environment: Environment, task: Task, *, rng: np.random.Generator) -> Trajectory:
    """One demonstration of `task`, with rationales as thoughts.

    Raises:
        UserError: the environment has no experts.
    """
    demonstrate = provided(f"w2sg.environments.{name}.experts", "expert")
    demonstration: Trajectory = demonstrate(environment, task, rng, style=_style(name, params))
    return demonstration


def play(
    name: str, params: Params, environment: Environment, task: Task, *, rng: np.random.Generator, expert_share: float
) -> Trajectory:
    """One exploratory episode of `task`; a step is the expert's with probability `expert_share`.

    Raises:
        UserError: the environment has no play.
    """
    stray = provided(f"w2sg.environments.{name}.experts", "play")
    episode: Trajectory = stray(environment, task, rng, expert_share, style=_style(name, params))
    return episode


def key(task: Task, episode: int) -> list[int]:
    """Seed of one episode on one task, the same however the tasks are spread over processes."""
    return [episode, *task.task_id.encode()]


def _style(name: str, params: Params) -> Literal["brief", "plain"]:
    """Thoughts of the experts: short forms for the models that get the short prompt, English for the others."""
    return "brief" if params.environment(name).prompt == "short" else "plain"
