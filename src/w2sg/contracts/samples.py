"""Which of several samples of one task is the best and which the worst, for everything that chooses one."""

from collections.abc import Iterable

from w2sg.contracts.trajectories import Trajectory


def best_sample(samples: Iterable[Trajectory]) -> Trajectory:
    """The one with the highest G; of equals that with the fewest steps, then the first by number."""
    return min(samples, key=lambda sample: (-sample.score, len(sample.steps), sample.sample))


def worst_sample(samples: Iterable[Trajectory]) -> Trajectory:
    """The one with the lowest G; of equals that with the fewest steps, then the first by number."""
    return min(samples, key=lambda sample: (sample.score, len(sample.steps), sample.sample))
