"""Stage play: exploratory episodes on the training tasks, invalid actions and recoveries included.

A base trained from scratch learns from them what acting and failing look like; a hub model needs none.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from w2sg.config import threads
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory, write_trajectories
from w2sg.environments.demonstrations import key, play
from w2sg.environments.opener import opener
from w2sg.stages.workers import spread


def main(params: Params, *, environment: str) -> None:
    """Read the tasks, write the episodes."""
    train = [task for task in Task.read(layout.tasks(environment)) if task.split == "train"]
    work = partial(play_all, params, environment)
    write_trajectories(layout.play(environment), spread(work, train, processes=threads.declared("play")))


def play_all(params: Params, environment: str, tasks: Sequence[Task]) -> list[Trajectory]:
    """Play every task `play.episodes_per_task` times, each time with an expert share drawn from the list."""
    world = opener(environment, params)()
    episodes = []
    for task in tasks:
        for number in range(params.play.episodes_per_task):
            rng = np.random.default_rng(key(task, 1 + number))
            share = float(rng.choice(params.play.expert_shares))
            episode = play(environment, params, world, task, rng=rng, expert_share=share)
            episodes.append(replace(episode, sample=number))
    world.close()
    return episodes
