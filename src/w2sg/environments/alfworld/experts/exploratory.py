"""Exploratory play: what a base model trained from scratch reads before any demonstration.

Episodes mix the expert's moves with random, wrong and broken ones, so that they show "Nothing happens.", its causes,
and how to go on from there; expert demonstrations contain none of this.
"""

from collections.abc import Sequence

import numpy as np

from w2sg.contracts.environment import Environment
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory
from w2sg.environments.alfworld.experts.demonstrations import searcher
from w2sg.environments.alfworld.experts.searcher import Searcher, Style
from w2sg.environments.episode import Decisions, played


def play_trajectory(
    environment: Environment,
    task: Task,
    rng: np.random.Generator,
    expert_share: float,
    *,
    style: Style = "brief",
) -> Trajectory:
    """One episode in which each step is the expert's with probability `expert_share`.

    The expert reads along and continues from wherever the other moves have led. A stray
    move's thought says only what is wanted (`Searcher.wander`).

    Raises:
        UserError: the task's instruction is not made from ALFWorld's goal templates.
    """

    def decide(opening: str) -> Decisions:
        agent = searcher(task, opening, style=style)
        while True:
            admissible = environment.admissible()
            if rng.random() < expert_share:
                thought, action = agent.decide(admissible)
            else:
                action = _stray(agent, admissible, rng)
                thought = agent.wander(action)
            agent.read(action, (yield thought, action))

    return played(environment, task, decide, policy="play")


def _stray(agent: Searcher, admissible: Sequence[str], rng: np.random.Generator) -> str:
    """A move that is not the expert's: admissible (half of them handling things), out of place, or broken."""
    # "help" lists every kind of command in a hundred words, which no small context can spare.
    admissible = [command for command in admissible if command != "help"]
    draw = rng.random()
    if draw < 0.35:
        return str(rng.choice(admissible))
    if draw < 0.7:
        handling = [c for c in admissible if not c.startswith(("go to", "examine", "inventory", "look"))]
        return str(rng.choice(handling or admissible))
    words = str(rng.choice(admissible)).split(" ")
    if draw < 0.9:
        return _misplaced(words, agent, rng)
    return " ".join(np.delete(words, rng.integers(len(words)))) or "go"


def _misplaced(words: list[str], agent: Searcher, rng: np.random.Generator) -> str:
    """An admissible command with its last name exchanged for one from elsewhere in the room."""
    names = agent.places + sorted({item for items in agent.contents.values() for item in items})
    other = str(rng.choice(names))
    return " ".join([*words[:-2], other]) if len(words) > 2 else f"open {other}"
