"""Replay: whether recorded or recombined steps really happen in their environment (A6)."""

from collections.abc import Sequence

from w2sg.contracts.environment import Environment
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Step

ROUNDING = 1e-9  # a tree's value is a mean of scores


def act_out(environment: Environment, task: Task, steps: Sequence[Step], *, seed: int) -> tuple[float, bool]:
    """Act out `steps`; return G reached, and whether every observation was as recorded."""
    observation, _ = environment.reset(task, seed=seed)
    score, same = 0.0, True
    for step in steps:
        same = same and observation == step.observation
        result = environment.step(step.action)
        score = result.score
        # What a turn without an action was told does not come from the environment.
        observation = result.observation if step.valid else step.next_observation
        if result.terminated or result.truncated:
            break
    return score, same


def expected(score: float, value: float) -> bool:
    """Whether a replay's score is the value that the tree promised."""
    return abs(score - value) < ROUNDING
