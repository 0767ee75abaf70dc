"""ALFWorld as an environment of this project (paper, section 4.1)."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from w2sg.contracts import files
from w2sg.contracts.environment import StepResult
from w2sg.contracts.errors import UserError, named, shown, within
from w2sg.contracts.tasks import Task
from w2sg.environments.alfworld.world import translation
from w2sg.environments.alfworld.world.engine import Engine

_BANNER = "-= Welcome to TextWorld, ALFRED! =-"
_ARRIVAL = re.compile(r"You arrive at loc \d+\. ")


def opening(intro: str) -> str:
    """The first observation: the engine's text without its banner, one line for the room and one for the task."""
    return intro.removeprefix(_BANNER).strip().replace("\n\n", "\n")


def answer(text: str) -> str:
    """A later observation: the engine's text without the location's number, as ETO's transcripts have it."""
    return _ARRIVAL.sub("", text, count=1) if text.startswith("You arrive at loc ") else text


class AlfworldEnvironment:
    """Plays the translated games in one directory; see contracts.environment.Environment.

    Commands and answers follow each game's own grammar: `move X to Y` in current games, `put X in/on Y` in older ones.
    The score is 1.0 once the goal is met, which ends the episode, and 0.0 before.

    Args:
        directory: holds the games that the tasks' specs name (translation.save).
    """

    name = "alfworld"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = directory
        self._engine: Engine | None = None
        self._steps = 0
        self._max_steps = 0
        self._over = True

    def reset(self, task: Task, *, seed: int = 0) -> tuple[str, dict[str, Any]]:
        """Start an episode of `task`; nothing is random, so `seed` changes nothing.

        Raises:
            UserError: the task's spec names no game of the directory.
        """
        name = game_name(task)
        self._file = self._directory / f"{name}.json.gz"
        game = translation.load(self._directory, name)
        with within(self._file):
            self._engine = Engine(game)
            intro = self._engine.intro()
        self._steps, self._max_steps, self._over = 0, task.max_steps, False
        return opening(intro), {}

    def step(self, action: str) -> StepResult:
        """Act; whatever is not an admissible command is answered "Nothing happens.".

        Raises:
            AssertionError: before the first reset or after the end of the episode.
            UserError: the game's rules are broken.
        """
        assert self._engine is not None and not self._over, "step needs a running episode: reset first"
        with within(self._file):
            observation = answer(self._engine.act(action))
            won = self._engine.won()
        self._steps += 1
        truncated = not won and self._steps >= self._max_steps
        self._over = won or truncated
        return StepResult(observation, 1.0 if won else 0.0, won, truncated, {})

    def admissible(self) -> Sequence[str]:
        """The commands that would do something now, sorted.

        Raises:
            AssertionError: before the first reset.
        """
        assert self._engine is not None, "admissible needs a running episode: reset first"
        with within(self._file):
            return self._engine.commands()

    def close(self) -> None:
        """Release the episode."""
        self._engine, self._over = None, True


def game_name(task: Task) -> str:
    """The game that a task's spec names.

    Raises:
        UserError: the spec is not of ALFWorld's form, {"game": name}.
    """
    try:
        name = files.parsed(task.spec.encode())["game"]
    except (ValueError, KeyError, TypeError):
        name = None
    if not isinstance(name, str) or Path(name).name != name or "\0" in name:
        raise UserError(f'task {named(task.task_id)}: spec {shown(task.spec)}, expected {{"game": name}}')
    return name


def make_task(name: str, game: translation.Game, *, split: str, max_steps: int) -> Task:
    """The task of playing `game`, stored as `name`."""
    return Task(
        environment=AlfworldEnvironment.name,
        task_id=name,
        split=split,
        task_type=game.task_type,
        instruction=game.instruction,
        spec=json.dumps({"game": name}),
        max_steps=max_steps,
    )
