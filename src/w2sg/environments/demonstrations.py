"""Expert demonstrations and exploratory play of each environment."""

from typing import Literal

import numpy as np

from w2sg.config.params import Params
from w2sg.contracts.environment import Environment
from w2sg.contracts.errors import UserError
from w2sg.contracts.records import Task, Trajectory


def expert(name: str, params: Params, environment: Environment, task: Task, *, rng: np.random.Generator) -> Trajectory:
    """One demonstration of `task`, with rationales as thoughts.

    Raises:
        UserError: the environment has no experts.
    """
    match name:
        case "alfworld":
            from w2sg.environments.alfworld.experts.demonstrations import expert_trajectory

            return expert_trajectory(environment, task, rng, style=_style(name, params))
        case "scienceworld":
            from w2sg.environments.scienceworld.experts.demonstrations import expert_trajectory as experiment

            return experiment(environment, task, rng, style=_style(name, params))
        case "webshop":
            from w2sg.environments.webshop.experts.demonstrations import expert_trajectory as shop

            return shop(environment, task, rng, style=_style(name, params))
    raise UserError(f"--environment {name}: has no experts")


def play(
    name: str, params: Params, environment: Environment, task: Task, *, rng: np.random.Generator, expert_share: float
) -> Trajectory:
    """One exploratory episode of `task`; a step is the expert's with probability `expert_share`.

    Raises:
        UserError: the environment has no play.
    """
    match name:
        case "alfworld":
            from w2sg.environments.alfworld.experts.play import play_trajectory

            return play_trajectory(environment, task, rng, expert_share, style=_style(name, params))
        case "scienceworld":
            from w2sg.environments.scienceworld.experts.play import play_trajectory as play_experiment

            return play_experiment(environment, task, rng, expert_share, style=_style(name, params))
        case "webshop":
            from w2sg.environments.webshop.experts.play import play_trajectory as play_shop

            return play_shop(environment, task, rng, expert_share, style=_style(name, params))
    raise UserError(f"--environment {name}: has no play")


def _style(name: str, params: Params) -> Literal["brief", "plain"]:
    """Thoughts of the experts: short forms for the models that get the short prompt, English for the others."""
    return "brief" if params.environment(name).prompt == "short" else "plain"
