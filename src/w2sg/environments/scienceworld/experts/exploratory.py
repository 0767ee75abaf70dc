"""Exploratory play: what a base model trained from scratch reads before any demonstration.

Episodes mix the expert's moves with stray, misplaced and broken ones, so that they show what is refused, menus, wrong
choices, and how to go on from there; expert demonstrations contain none of this.
"""

import re

import numpy as np

from w2sg.contracts.environment import Environment
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory
from w2sg.environments.episode import Decisions, played
from w2sg.environments.scienceworld.experts.demonstrations import guide
from w2sg.environments.scienceworld.experts.seeker import ROOMS, Style

_THING = re.compile(r"(?:^\t|, |: )(?:an?|the) ([a-z0-9' -]+)", re.MULTILINE)
_FREE = ("look around", "inventory", "wait1")
_ONE = ("pick up", "examine", "look at", "open", "close", "activate", "put down")
_TWO = ("move {} to {}", "pour {} into {}", "use {} on {}")


def play_trajectory(
    environment: Environment,
    task: Task,
    rng: np.random.Generator,
    expert_share: float,
    *,
    style: Style = "brief",
) -> Trajectory:
    """One episode in which each step is the expert's with probability `expert_share`.

    The expert reads along and continues from wherever the other moves have led. A stray move's thought says only what
    is wanted. Stray moves are made from the names on the screen: to list the valid ones takes ten times a step.

    Raises:
        UserError: the spec is malformed, the simulator does not know what it names, or the Java machine was lost
            three times in a row.
    """
    agent = guide(environment, task, style=style)

    def decide(_: str) -> Decisions:
        names: list[str] = ["picture", "door"]
        while True:
            if rng.random() < expert_share:
                thought, action = agent.decide()
            else:
                action = _stray(names, rng)
                thought = agent.wander(action)
            observation = yield thought, action
            agent.read(action, observation)
            names += [name.strip() for name in _THING.findall(observation) if name.strip() not in names]

    return played(environment, task, decide, policy="play")


def _stray(names: list[str], rng: np.random.Generator) -> str:
    """A move that is not the expert's: somewhere else, with something seen, a choice at random, or broken."""
    draw = rng.random()
    if draw < 0.2:
        return f"teleport to {rng.choice(ROOMS)}"
    if draw < 0.35:
        return str(rng.choice(_FREE))
    if draw < 0.65:
        return f"{rng.choice(_ONE)} {rng.choice(names)}"
    if draw < 0.75:
        return str(rng.choice(_TWO)).format(rng.choice(names), rng.choice(names))
    if draw < 0.85:
        # Usually wrong, which ends the episode.
        return f"focus on {rng.choice(names)}"
    words = f"{rng.choice(_ONE)} {rng.choice(names)}".split(" ")
    return " ".join(np.delete(words, rng.integers(len(words))))
