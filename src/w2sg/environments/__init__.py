"""The environments by name: how each makes its tasks, its experts and its play, and how it is opened.

To add one, write its module against `base.Environment` and give it a branch in each function here.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from w2sg import layout
from w2sg.environments.base import Environment
from w2sg.errors import UserError
from w2sg.params import Params
from w2sg.records import Task, Trajectory


def make_tasks(name: str, params: Params, folder: Path) -> list[Task]:
    """Make the tasks of all splits; write what resets need into `folder`."""
    match name:
        case "alfworld":
            from w2sg.environments.alfworld import task_table

            return task_table.make_tasks(params.environments.alfworld, folder)
    raise _unknown(name, params)


def opener(name: str, params: Params) -> Callable[[], Environment]:
    """A function that opens a new instance of the environment on the tasks that `make_tasks` made."""
    match name:
        case "alfworld":
            from w2sg.environments.alfworld.environment import AlfworldEnvironment

            return lambda: AlfworldEnvironment(layout.games(name))
    raise _unknown(name, params)


def expert(name: str, params: Params, environment: Environment, task: Task, *, rng: np.random.Generator) -> Trajectory:
    """One expert demonstration of `task`, with rationales as thoughts."""
    match name:
        case "alfworld":
            from w2sg.environments.alfworld import experts

            return experts.expert_trajectory(environment, task, rng, style=_style(params))
    raise _unknown(name, params)


def play(
    name: str, params: Params, environment: Environment, task: Task, *, rng: np.random.Generator, expert_share: float
) -> Trajectory:
    """One exploratory episode of `task`; a step is the expert's with probability `expert_share`."""
    match name:
        case "alfworld":
            from w2sg.environments.alfworld.play import play_trajectory

            return play_trajectory(environment, task, rng, expert_share, style=_style(params))
    raise _unknown(name, params)


def _style(params: Params) -> Literal["brief", "plain"]:
    """Thoughts of ALFWorld's experts: short forms for the models that get the short prompt, English for the others."""
    return "brief" if params.environments.alfworld.prompt == "short" else "plain"


def _unknown(name: str, params: Params) -> UserError:
    names = ", ".join(known for known, _ in params.environments.items())
    return UserError(f"--environment {name}: unknown; params.yaml has {names}")
