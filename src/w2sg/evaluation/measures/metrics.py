"""What a model did on a split: rewards, success, completion (paper, eq. 3 and section 4.1) and how it behaved."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from w2sg.contracts.errors import UserError
from w2sg.contracts.records import SPLITS, Episode, Step, Trajectory

LABELS = {  # in the order of Table 1, then the controls that the paper does not have
    "sft_weak": "SFT weak",
    "w2s_dpo": "W2S TreeDPO",
    "w2s_mcts": "W2S MCTS",
    "sft_strong": "SFT strong",
    "eto": "ETO",
    "best_of_n": "Best of N (reward known)",
    "ceiling": "Ceiling",
    "random_dpo": "DPO on random pairs",
    "best_of_m": "SFT on best of M",
    "more_sft": "SFT strong, trained on",
    "base_weak": "Base weak",
    "base_strong": "Base strong",
}
CONTROLS = ("random_dpo", "best_of_m", "more_sft", "base_weak", "base_strong")
_REFUSALS = ("Nothing happens", "No known action matches that input")  # ALFWorld, ScienceWorld

BySeed = dict[str, list[float]]  # by task id, one value per seed

MEASURES: dict[str, Callable[[Trajectory], float]] = {
    "average_reward": lambda trajectory: trajectory.score,
    "success_rate": lambda trajectory: float(trajectory.success),
    "completion_rate": lambda trajectory: float(trajectory.completed),
}


def label(model: str) -> str:
    """The name a reader knows a model by; a method of unknown name keeps its own."""
    return LABELS.get(model, model)


def roster(models: Iterable[str]) -> list[str]:
    """Distinct models in the order of Table 1; below it methods of other names as they come, then the controls."""
    known = list(LABELS)
    first_control = known.index(CONTROLS[0])

    def rank(model: str) -> tuple[int, int]:
        number = known.index(model) if model in known else first_control
        return number, model in known

    return sorted(dict.fromkeys(models), key=rank)


def splits(episodes: Iterable[Episode]) -> list[str]:
    """The splits that occur, seen before unseen."""
    present = {episode.split for episode in episodes}
    return [split for split in SPLITS if split in present]


def environments(episodes: Iterable[Episode]) -> list[str]:
    """The environments that occur, sorted."""
    return sorted({episode.trajectory.environment for episode in episodes})


def binary(episodes: Iterable[Episode]) -> bool:
    """Whether every G is 0 or 1, so that average reward and success rate are one number (A19)."""
    return all(episode.trajectory.score in (0.0, 1.0) for episode in episodes)


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


@dataclass(frozen=True, slots=True)
class ConductRow:
    """How a model behaved on a split, over all its seeds.

    Attributes:
        steps: mean number of steps of an episode.
        unparsed: share of the steps whose response held no action.
        refused: share of the steps that the environment answered with a refusal such as "Nothing happens".
        repeated: share of the steps whose response is word for word the one before it.
    """

    environment: str
    model: str
    split: str
    episodes: int
    steps: float
    unparsed: float
    refused: float
    repeated: float


def check(episodes: Sequence[Episode]) -> None:
    """Refuse a task that counts twice or a model that faced other tasks than the rest of its split.

    Raises:
        UserError: the environment, model, seed and split, and what is wrong with them.
    """
    if not episodes:
        raise UserError("episodes: none found; run the evaluate stage first")
    wanted: dict[tuple[str, str], set[str]] = {}
    for (environment, model, seed, split), members in _grouped(episodes):
        tasks = [episode.trajectory.task_id for episode in members]
        where = f"episodes of {model}, seed {seed}, on {environment} {split}"
        if twice := sorted(task for task, number in Counter(tasks).items() if number > 1):
            raise UserError(
                f"{where}: task {twice[0]} occurs more than once, expected one episode each; evaluate again"
            )
        if wanted.setdefault((environment, split), set(tasks)) != set(tasks):
            raise UserError(f"{where}: other tasks than the other models have, expected the same; evaluate again")


def table1(episodes: Sequence[Episode]) -> list[Table1Row]:
    """Table 1, one row per environment, model, seed and split, in that order and models in roster order.

    Raises:
        UserError: see `check`.
    """
    check(episodes)
    rows = []
    for (environment, model, seed, split), members in _grouped(episodes):
        means = {name: float(np.mean([of(e.trajectory) for e in members])) for name, of in MEASURES.items()}
        rows.append(Table1Row(environment, model, seed, split, tasks=len(members), **means))
    return rows


def conduct(episodes: Sequence[Episode]) -> list[ConductRow]:
    """How every model behaved, in the order of `table1`, seeds taken together."""
    rows = []
    for (environment, model, _, split), members in _grouped(episodes, by_seed=False):
        steps = [step for episode in members for step in episode.trajectory.steps]
        repeats = sum(
            after.response == before.response
            for episode in members
            for before, after in zip(episode.trajectory.steps, episode.trajectory.steps[1:], strict=False)
        )
        total = max(1, len(steps))
        rows.append(
            ConductRow(
                environment=environment,
                model=model,
                split=split,
                episodes=len(members),
                steps=len(steps) / len(members),
                unparsed=sum(not step.valid for step in steps) / total,
                refused=sum(refused(step) for step in steps) / total,
                repeated=repeats / total,
            )
        )
    return rows


def refused(step: Step) -> bool:
    """The action was read, and the environment would not do it."""
    return step.valid and step.next_observation.startswith(_REFUSALS)


def per_task(
    episodes: Iterable[Episode], *, environment: str, model: str, split: str, measure: str
) -> dict[str, float]:
    """One value per task, in [0, 1] and by task id: the mean over the seeds that the model has."""
    values: dict[str, list[float]] = {}
    for episode in episodes:
        trajectory = episode.trajectory
        if (trajectory.environment, episode.model, episode.split) == (environment, model, split):
            values.setdefault(trajectory.task_id, []).append(MEASURES[measure](trajectory))
    return {task: float(np.mean(values[task])) for task in sorted(values)}


def per_task_and_seed(
    episodes: Iterable[Episode], *, environment: str, model: str, split: str, measure: Callable[[Trajectory], float]
) -> BySeed:
    """One value per seed and task, by task id and in the order of the seeds."""
    values: dict[str, dict[int, float]] = {}
    for episode in episodes:
        trajectory = episode.trajectory
        if (trajectory.environment, episode.model, episode.split) == (environment, model, split):
            values.setdefault(trajectory.task_id, {})[episode.seed] = measure(trajectory)
    return {task: [values[task][seed] for seed in sorted(values[task])] for task in sorted(values)}


def repeated(trajectory: Trajectory) -> float:
    """Share of an episode's steps whose response is word for word the one before it."""
    pairs = zip(trajectory.steps, trajectory.steps[1:], strict=False)
    return sum(after.response == before.response for before, after in pairs) / max(1, len(trajectory.steps))


def score_by_step(trajectories: Sequence[Trajectory], *, steps: int) -> NDArray[np.float64]:
    """Mean score reached by step t for t = 0 … `steps` (the paper's Figure 3), shape (steps + 1,).

    An episode that has ended keeps its last score; before the first action the score is 0.
    """
    reached = np.zeros((len(trajectories), steps + 1))
    for row, trajectory in zip(reached, trajectories, strict=True):
        scores = [0.0, *(step.score for step in trajectory.steps)]
        row[:] = [scores[min(step, len(scores) - 1)] for step in range(steps + 1)]
    return np.asarray(reached.mean(axis=0))


_Key = tuple[str, str, int, str]


def _grouped(episodes: Sequence[Episode], *, by_seed: bool = True) -> list[tuple[_Key, list[Episode]]]:
    """Episodes by environment, model (roster order), seed and split (seen first)."""
    rank = {model: number for number, model in enumerate(roster(episode.model for episode in episodes))}

    def key(episode: Episode) -> tuple[str, int, int, int]:
        seed = episode.seed if by_seed else 0
        return episode.trajectory.environment, rank[episode.model], seed, SPLITS.index(episode.split)

    groups = []
    for (environment, _, seed, split), group in groupby(sorted(episodes, key=key), key=key):
        members = list(group)
        groups.append(((environment, members[0].model, seed, SPLITS[split]), members))
    return groups
