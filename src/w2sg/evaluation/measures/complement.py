"""What the weak and the strong SFT model each solve and the other does not, on the same tasks.

A strong model can learn from a weak one only what it does not do by itself: tasks on which the strong model's own play
fails and one of the weak model's M samples succeeds. Held-out tasks are played once by each. On explored tasks both
have samples and no greedy episode: there the sample of the lowest temperature stands for a model's own play, and the
first M, as many as a tree is made of, for its exploration.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from w2sg.config.data import ROLES
from w2sg.contracts.episodes import Episode
from w2sg.contracts.trajectories import Trajectory
from w2sg.evaluation.measures import statistics
from w2sg.evaluation.measures.episodes import REPORTED, GroupedEpisodes
from w2sg.evaluation.measures.statistics import Interval, Resampling

Outcome = Literal["both", "only weak", "only strong", "neither"]
OUTCOMES: tuple[Outcome, ...] = ("both", "only weak", "only strong", "neither")
EXPLORED = "explored"


@dataclass(frozen=True, slots=True)
class Attempts:
    """What one role's SFT model made of one explored task.

    Attributes:
        role: "weak" or "strong".
        samples: M.
        temperature: the lowest of them.
        once: the first sample of that temperature has G = 1.
        ever: any of the M has.
    """

    environment: str
    seed: int
    role: str
    task_id: str
    samples: int
    temperature: float
    once: bool
    ever: bool


@dataclass(frozen=True, slots=True)
class Complement:
    """Shares of the tasks of one environment that both, one, or none of the two solve (G = 1).

    Attributes:
        split: "explored", or that of the evaluation.
        weak, strong: what of each counts, such as "best of 6", "once, at 0.5" or "greedy".
        tasks, seeds: how many; every task counts under every seed.
        shares: with their intervals; they add up to 1.
    """

    environment: str
    split: str
    weak: str
    strong: str
    tasks: int
    seeds: int
    shares: dict[Outcome, Interval]


def attempts(
    trajectories: Iterable[Trajectory], *, environment: str, seed: int, role: str, samples: int
) -> list[Attempts]:
    """One for every task, of its samples below number `samples`."""
    by_task: dict[str, list[Trajectory]] = {}
    for trajectory in trajectories:
        if trajectory.sample < samples:
            by_task.setdefault(trajectory.task_id, []).append(trajectory)
    found = []
    for task, own in sorted(by_task.items()):
        coolest = min(own, key=lambda each: (each.temperature, each.sample))
        ever = any(each.success for each in own)
        found.append(Attempts(environment, seed, role, task, len(own), coolest.temperature, coolest.success, ever))
    return found


def complements(episodes: GroupedEpisodes, explored: Sequence[Attempts], *, resampling: Resampling) -> list[Complement]:
    """Per environment: the weak model's M samples against the strong one's own play, the reverse; held-out tasks."""
    found = []
    for environment in episodes.environments:
        here = [each for each in explored if each.environment == environment]
        of = {role: [each for each in here if each.role == role] for role in ROLES}
        if of["weak"] and of["strong"]:
            once = {role: f"once, at {own[0].temperature:g}" for role, own in of.items()}
            ever = {role: f"best of {own[0].samples}" for role, own in of.items()}
            for weak, strong in (("ever", "once"), ("once", "ever")):
                words = (ever if weak == "ever" else once)["weak"], (ever if strong == "ever" else once)["strong"]
                sides = [
                    {(a.task_id, a.seed): bool(getattr(a, name)) for a in of[role]}
                    for role, name in (("weak", weak), ("strong", strong))
                ]
                found += _complement(environment, EXPLORED, words, sides, resampling=resampling)
        played = [episodes.by_model(environment, REPORTED).get(f"sft_{role}", ()) for role in ROLES]
        if all(played):
            words = _how(played[0][0]), _how(played[1][0])
            sides = [{(e.trajectory.task_id, e.seed): e.trajectory.success for e in own} for own in played]
            found += _complement(environment, REPORTED, words, sides, resampling=resampling)
    return found


def _how(episode: Episode) -> str:
    temperature = episode.trajectory.temperature
    return f"once, at {temperature:g}" if temperature else "greedy"


def _complement(
    environment: str,
    split: str,
    words: tuple[str, str],
    sides: Sequence[dict[tuple[str, int], bool]],
    *,
    resampling: Resampling,
) -> list[Complement]:
    """One, or none where the two have no task in common under all seeds."""
    weak, strong = sides
    both = weak.keys() & strong.keys()
    seeds = sorted({seed for _, seed in both})
    tasks = sorted(task for task in {task for task, _ in both} if all((task, seed) in both for seed in seeds))
    if not tasks:
        return []
    solved = np.array([[(weak[task, seed], strong[task, seed]) for seed in seeds] for task in tasks])
    wanted = {"both": (True, True), "only weak": (True, False), "only strong": (False, True), "neither": (False, False)}
    shares = {name: _share((solved == wanted[name]).all(axis=2), resampling=resampling) for name in OUTCOMES}
    return [Complement(environment, split, *words, len(tasks), len(seeds), shares)]


def _share(values: NDArray[np.bool_], *, resampling: Resampling) -> Interval:
    """The bootstrap's interval; where every task agrees it has no width, and the exact bound is taken instead.

    Of n tasks none: 1 - (alpha/2)^(1/n), Clopper and Pearson's; seeds are no more tasks.
    """
    share = statistics.interval(values.astype(float), resampling=resampling)
    reach = 1 - (resampling.level / 2) ** (1 / len(values))
    if share.mean == 0:
        return Interval(0.0, 0.0, reach)
    return Interval(1.0, 1 - reach, 1.0) if share.mean == 1 else share
