"""Exploratory play: what a base model trained from scratch reads before any demonstration.

Episodes mix the expert's moves with other searches, other products, wrong options, and clicks on what is not there, so
that they show what each leads to and how to go on from there; expert demonstrations contain none of this.
"""

from collections.abc import Sequence

import numpy as np

from w2sg.contracts.environment import Environment
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory
from w2sg.environments.episode import Decisions, played
from w2sg.environments.webshop.experts.shopper import Shopper, Style

_BUY = "click[buy now]"


def play_trajectory(
    environment: Environment,
    task: Task,
    rng: np.random.Generator,
    expert_share: float,
    *,
    style: Style = "brief",
) -> Trajectory:
    """One episode in which each step is the expert's with probability `expert_share`.

    The expert reads along and continues from wherever the other moves have led; in the last turns it buys what is at
    hand. A stray move's thought says only what is wanted (`Shopper.wander`).
    """

    def decide(opening: str) -> Decisions:
        agent = Shopper(opening, max_steps=task.max_steps, style=style)
        known: list[str] = []
        while True:
            offered = environment.admissible()
            known += [command for command in offered if command not in known and command != _BUY]
            if rng.random() < expert_share:
                thought, action = agent.decide(offered)
            else:
                thought, action = agent.wander(), _stray(agent, offered, known, rng)
            agent.read(action, (yield thought, action), offered=offered)

    return played(environment, task, decide, policy="play")


def _stray(agent: Shopper, offered: Sequence[str], known: Sequence[str], rng: np.random.Generator) -> str:
    """A move that is not the expert's: another click or search, a click on what another page had, or a broken one."""
    clicks = [command for command in offered if command.startswith("click[") and command != _BUY]
    draw = rng.random()
    if draw < 0.1 or not clicks:
        words = agent.query().split(" ")
        kept = [word for word in words if rng.random() < 0.5]
        return f"search[{' '.join(kept or words[:1])}]"
    if draw < 0.15 and _BUY in offered:
        return _BUY
    if draw < 0.7:
        # Half of the clicks go to products and options, of which there are many or few.
        things = [command for command in clicks if command not in _BUTTONS]
        return str(rng.choice(things if things and rng.random() < 0.5 else clicks))
    if draw < 0.9:
        elsewhere = [command for command in known if command not in offered and command.startswith("click[")]
        return str(rng.choice(elsewhere or [_BUY]))
    return _broken(str(rng.choice(clicks)), rng)


def _broken(command: str, rng: np.random.Generator) -> str:
    """A command that no page understands."""
    argument = command.removeprefix("click[").removesuffix("]")
    return str(rng.choice([f"click {argument}", f"buy[{argument}]", argument, f"click[{argument}", "click[search]"]))


_BUTTONS = frozenset(
    f"click[{name}]"
    for name in ("back to search", "next >", "< prev", "description", "features", "reviews", "attributes", "search")
)
