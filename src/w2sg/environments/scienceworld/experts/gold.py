"""An expert for every task: the simulator's own solution, with what it is for said before each action.

The solution walks from door to door. Where one may teleport, a walk becomes one teleport, which is what the prompt
suggests and keeps within the step caps, where the result still wins; otherwise the walk stays.
"""

import re
from collections.abc import Sequence

from w2sg.environments.scienceworld.experts.seeker import Style
from w2sg.environments.scienceworld.world.environment import Spec
from w2sg.environments.scienceworld.world.simulator import Simulator

_DOOR = re.compile(r"open door to (.+)")
_WALK = re.compile(r"go to (.+)")
_TAKEN = re.compile(r"You move the (.+) to the inventory\.$")
_PLACED = re.compile(r"You move the (.+) to the (?!inventory)")
_PURPOSES = (
    ("focus on ", "it is what the task is about"),
    ("pick up ", "I will need it"),
    ("move ", "that is where it has to be"),
    ("pour ", "the contents have to be there"),
    ("look ", "I must see what is here"),
    ("examine ", "I must see what it is"),
    ("read ", "it may tell more"),
    ("activate ", "it has to be on"),
    ("deactivate ", "it has to be off"),
    ("connect ", "the circuit needs it"),
    ("mix ", "the contents have to react"),
    ("wait", "it takes time"),
    ("use ", "it serves the task"),
    ("open ", "I need what is behind it"),
    ("close ", "it should stay shut"),
    ("go to ", "that is on the way"),
    ("teleport to ", "what comes next is there"),
)


def with_teleports(path: Sequence[str]) -> list[str]:
    """A path with each walk through doors as one teleport to where it ends."""
    short: list[str] = []
    end = ""
    for action in path:
        if walk := _WALK.fullmatch(action):
            end = walk[1]
        elif not (_DOOR.fullmatch(action)):
            short += [f"teleport to {end}"] if end else []
            short.append(action)
            end = ""
    return [*short, f"teleport to {end}"] if end else short


def solution(simulator: Simulator, spec: Spec) -> list[str]:
    """Actions that win the task, no further than that; the gold path where its teleports do not win.

    Raises:
        UserError: the Java machine was lost three times in a row.
    """

    def solve() -> list[str]:
        path = simulator.gold_path(spec.task, spec.variation, spec.simplifications)
        for candidate in (with_teleports(path), path):
            episode = simulator.load(spec.task, spec.variation, spec.simplifications)
            simulator.step(episode, "look around")
            played: list[str] = []
            for action in candidate:
                answer = simulator.step(episode, action)
                played.append(action)
                if answer.score >= 1.0:
                    return played
                if answer.completed or answer.score < 0.0:
                    break
        return path

    actions: list[str] = simulator.patiently(solve)
    return actions


class Follower:
    """Plays one episode along a given path, whatever happens: `read` after every observation, `decide` for the next.

    Args:
        description: the task, as the first observation says it.
        path: the actions, in order; after the last one it looks around.
    """

    def __init__(self, description: str, path: Sequence[str], *, style: Style = "brief") -> None:
        self._goal = _goal(description)
        self._left = list(path)
        self._style = style
        self._held: list[str] = []

    def read(self, action: str, observation: str) -> None:
        """Take in what `action` was answered."""
        if self._left and action == self._left[0]:
            del self._left[0]
        if taken := _TAKEN.match(observation):
            self._held.append(taken[1])
        elif (placed := _PLACED.match(observation)) and placed[1] in self._held:
            self._held.remove(placed[1])

    def decide(self) -> tuple[str, str]:
        """The next turn: thought and action."""
        action = self._left[0] if self._left else "look around"
        return self.think(action), action

    def think(self, action: str) -> str:
        """The thought that goes with `action` now: the goal, what is held, and what the action is for."""
        held = f"hold {', '.join(self._held)}" if self._held else "hold nothing"
        if self._style == "brief":
            return f"goal {self._goal}. {held}. {action}"
        purpose = next((why for start, why in _PURPOSES if action.startswith(start)), "it comes next")
        return f"My goal is to {self._goal}. I {held}. Next I {action}, because {purpose}."

    def wander(self, action: str) -> str:
        """The thought of a move that is not on the path."""
        return f"try {self._goal}" if self._style == "brief" else self.think(action)


def _goal(description: str) -> str:
    """What the first sentence of a description asks for."""
    return description.removeprefix("Your task is to ").split(".")[0].strip()
