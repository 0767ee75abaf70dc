"""The contract that every environment fulfils (paper, section 2: a POMDP with text observations).

An environment object is reused for many tasks. Every method is deterministic given the task and the seed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from w2sg.contracts.tasks import Task


class StepResult(NamedTuple):
    """What one action led to.

    Attributes:
        observation: the text the agent sees next.
        score: G reached so far, in [0, 1]; the score of the episode is that of its last step.
        terminated: the environment ended the episode.
        truncated: the task's step cap was reached first.
        info: environment-specific extras; "admissible" (a sequence of commands) where the environment lists them.
    """

    observation: str
    score: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


class Environment(Protocol):
    """One text environment. Not thread-safe; many instances may live in one process."""

    name: str

    def reset(self, task: Task, *, seed: int = 0) -> tuple[str, dict[str, Any]]:
        """Start an episode of `task`; return the first observation (the instruction included) and info."""

    def step(self, action: str) -> StepResult:
        """Act. Any text is answered: illegal, empty or hostile actions never raise.

        Raises:
            AssertionError: before the first reset or after the end of the episode.
        """

    def admissible(self) -> Sequence[str]:
        """The commands that would do something now, sorted; enumerated only when asked for."""

    def close(self) -> None:
        """Release everything; closing twice is fine."""
