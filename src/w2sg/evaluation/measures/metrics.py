"""What a model scored on a split: rewards, success, completion (paper, section 4.1)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2sg.contracts.episodes import Episode
from w2sg.contracts.errors import UserError
from w2sg.contracts.trajectories import Trajectory
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.scores import means


@dataclass(frozen=True, slots=True)
class Table1Row:
    """One model, seed and split of an environment.

    Attributes:
        tasks: number of tasks, one episode each.
        average_reward: mean G, in [0, 1]; the paper's task score is 100 times it.
        success_rate: share of the tasks with G = 1.
        completion_rate: share of the episodes that the environment ended by itself, the paper's "success" (A18).
    """

    environment: str
    model: str
    seed: int
    split: str
    tasks: int
    average_reward: float
    success_rate: float
    completion_rate: float


def check(episodes: GroupedEpisodes) -> None:
    """Refuse a task that counts twice or a model that faced other tasks than the rest of its split.

    Raises:
        UserError: the environment, model, seed and split, and what is wrong with them.
    """
    if not episodes.environments:
        raise UserError("episodes: none found; run the evaluate stage first")
    wanted: dict[tuple[str, str], set[str]] = {}
    seeds: dict[tuple[str, str], dict[str, set[int]]] = {}
    for environment, model, seed, split, members in _by_seed(episodes):
        tasks = [episode.trajectory.task_id for episode in members]
        where = f"episodes of {model}, seed {seed}, on {environment} {split}"
        if twice := sorted(task for task, number in Counter(tasks).items() if number > 1):
            raise UserError(
                f"{where}: task {twice[0]} occurs more than once, expected one episode each; evaluate again"
            )
        if wanted.setdefault((environment, split), set(tasks)) != set(tasks):
            raise UserError(f"{where}: other tasks than the other models have, expected the same; evaluate again")
        seeds.setdefault((environment, split), {}).setdefault(model, set()).add(seed)
    for (environment, split), by_model in seeds.items():
        first, own = next(iter(by_model.items()))
        for model, others in by_model.items():
            if others != own:
                where = f"episodes of {model} on {environment} {split}"
                raise UserError(f"{where}: seeds {sorted(others)}, {first} has {sorted(own)}; evaluate again")


def table1(episodes: GroupedEpisodes) -> list[Table1Row]:
    """Table 1, one row per environment, model, seed and split, in that order and models in the order of the tables.

    Raises:
        UserError: see `check`.
    """
    check(episodes)
    rows = []
    for environment, model, seed, split, members in _by_seed(episodes):
        own = means(episode.trajectory for episode in members)
        rows.append(Table1Row(environment, model, seed, split, tasks=len(members), **own))
    return rows


def score_by_step(trajectories: Sequence[Trajectory], *, steps: int) -> NDArray[np.float64]:
    """Mean score reached by step t for t = 0 … `steps` (Figure 3), shape (steps + 1,).

    An episode that has ended keeps its last score; before the first action the score is 0.
    """
    reached = np.zeros((len(trajectories), steps + 1))
    for row, trajectory in zip(reached, trajectories, strict=True):
        scores = [0.0, *(step.score for step in trajectory.steps)]
        row[:] = [scores[min(step, len(scores) - 1)] for step in range(steps + 1)]
    return np.asarray(reached.mean(axis=0))


def _by_seed(episodes: GroupedEpisodes) -> Iterator[tuple[str, str, int, str, list[Episode]]]:
    """Environment, model, seed and split in that order, with the episodes there."""
    for environment in episodes.environments:
        splits = episodes.splits_of(environment)
        for model in episodes.models:
            seeds: dict[int, dict[str, list[Episode]]] = {}
            for split in splits:
                for episode in episodes.by_model(environment, split).get(model, ()):
                    seeds.setdefault(episode.seed, {}).setdefault(split, []).append(episode)
            for seed in sorted(seeds):
                for split, members in seeds[seed].items():
                    yield environment, model, seed, split, members
