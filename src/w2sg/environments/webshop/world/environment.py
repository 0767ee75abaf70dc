"""WebShop as an environment of this project (paper, section 4.1)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from w2sg.contracts import files
from w2sg.contracts.environment import StepResult
from w2sg.contracts.errors import UserError, named, shown, within
from w2sg.contracts.tasks import Task
from w2sg.environments.webshop.world.goals import Goal
from w2sg.environments.webshop.world.session import Session, open_shop

SEARCH = "search[...]"
"""Stands for every search among the admissible commands."""


class WebshopEnvironment:
    """Shops in the catalogue of one folder; see contracts.environment.Environment.

    All instances of a process share the catalogue and its index. Observations are the pages' texts as they are; ETO's
    agents saw "Observation:" and a line break before all but the first. The score is the reward of the purchase,
    which ends the episode, and 0.0 before.

    Args:
        folder: holds the catalogue's files (catalogue.load).
    """

    name = "webshop"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._session: Session | None = None
        self._steps = 0
        self._max_steps = 0
        self._over = True

    def reset(self, task: Task, *, seed: int = 0) -> tuple[str, dict[str, Any]]:
        """Start an episode of `task`; nothing is random, the prices are the task's, so `seed` changes nothing.

        Raises:
            UserError: the task's spec is not WebShop's, or the folder's files are missing or damaged.
        """
        goal, prices, nouns = read_spec(task)
        self._session = Session(open_shop(self._folder, seed=prices, nouns=nouns), goal)
        self._steps, self._max_steps, self._over = 0, task.max_steps, False
        return self._session.observation, {}

    def step(self, action: str) -> StepResult:
        """Act; what is neither a search nor a click on what is there changes nothing.

        After a purchase, info has the parts of the reward under "reward" (reward.reward). A purchase at the last step
        counts.

        Raises:
            AssertionError: before the first reset or after the end of the episode.
        """
        assert self._session is not None and not self._over, "step needs a running episode: reset first"
        observation, score, bought = self._session.act(action)
        self._steps += 1
        truncated = not bought and self._steps >= self._max_steps
        self._over = bought or truncated
        info = {"reward": self._session.reward_info} if bought else {}
        return StepResult(observation, score, bought, truncated, info)

    def admissible(self) -> Sequence[str]:
        """The clicks that are possible now, and "search[...]", sorted; searches are answered on every page.

        Raises:
            AssertionError: before the first reset.
        """
        assert self._session is not None, "admissible needs a running episode: reset first"
        clicks = (text for text in self._session.clickables if text not in ("", "search"))
        return sorted([SEARCH, *(f"click[{text}]" for text in clicks)])

    def close(self) -> None:
        """Release the episode; the catalogue stays for others."""
        self._session, self._over = None, True


def read_spec(task: Task) -> tuple[Goal, int, str]:
    """The goal of a task, the seed of the prices, and what tells nouns (nouns.extractor).

    Raises:
        UserError: the spec is not of WebShop's form.
    """
    try:
        spec = files.parsed(task.spec.encode())
        goal, seed, nouns = spec["goal"], spec["seed"], spec["nouns"]
    except (ValueError, KeyError, TypeError):
        goal = seed = nouns = None
    if not isinstance(seed, int) or nouns not in ("rule", "spacy"):
        expected = 'expected {"goal": {...}, "seed": number, "nouns": "rule" or "spacy"}'
        raise UserError(f"task {named(task.task_id)}: spec {shown(task.spec)}, {expected}")
    with within(f"task {named(task.task_id)}"):
        return Goal.from_record(goal), seed, nouns


def make_task(
    goal: Goal, *, task_id: str, split: str, task_type: str, seed: int, max_steps: int, nouns: str = "rule"
) -> Task:
    """The task of reaching `goal` at the prices of `seed`; beside the catalogue's folder it needs nothing else."""
    return Task(
        environment=WebshopEnvironment.name,
        task_id=task_id,
        split=split,
        task_type=task_type,
        instruction=goal.instruction_text,
        spec=json.dumps({"goal": goal.record(), "seed": seed, "nouns": nouns}),
        max_steps=max_steps,
    )
