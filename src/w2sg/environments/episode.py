"""An expert's episode: what it decides, turn by turn, acted out and kept."""

from collections.abc import Callable, Generator
from typing import Literal, TypeAlias

from w2sg.contracts.environment import Environment
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Step, Trajectory
from w2sg.contracts.turns import format_response

Decisions: TypeAlias = Generator[tuple[str, str], str, None]
"""Yields thought and action of each turn, gets what the environment answered, and never ends by itself."""


def played(
    environment: Environment, task: Task, decide: Callable[[str], Decisions], *, policy: Literal["expert", "play"]
) -> Trajectory:
    """Reset to `task` and do what is decided until the episode ends; sample 0 of the policy.

    Args:
        decide: begins the decisions, given the first observation. They get no answer to the last action.

    Raises:
        UserError: the environment's reset or the decisions do.
    """
    observation, _ = environment.reset(task)
    decisions = decide(observation)
    thought, action = next(decisions)
    steps: list[Step] = []
    while True:
        result = environment.step(action)
        response = format_response(thought, action)
        steps.append(Step(observation, thought, action, response, result.observation, result.score))
        if result.terminated or result.truncated:
            temperature = 1.0 if policy == "play" else 0.0
            return Trajectory(
                environment.name, task.task_id, policy, 0, temperature, 1.0, result.terminated, tuple(steps)
            )
        observation = result.observation
        thought, action = decisions.send(observation)
