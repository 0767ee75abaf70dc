"""What one episode scored, and the means of several (paper, section 4.1)."""

from collections.abc import Callable, Iterable

import numpy as np

from w2sg.contracts.trajectories import Trajectory

Measure = Callable[[Trajectory], float]


def average_reward(trajectory: Trajectory) -> float:
    """G, in [0, 1]."""
    return trajectory.score


MEASURES: dict[str, Measure] = {
    "average_reward": average_reward,
    "success_rate": lambda trajectory: float(trajectory.success),
    "completion_rate": lambda trajectory: float(trajectory.completed),
}


def means(trajectories: Iterable[Trajectory]) -> dict[str, float]:
    """Each measure's mean over at least one episode."""
    episodes = list(trajectories)
    return {name: float(np.mean([of(episode) for episode in episodes])) for name, of in MEASURES.items()}
