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
    """Read the tasks, write the episodes on those that are not explored: no base has seen anybody act on these."""
    train = [task for task in Task.read(layout.tasks(environment)) if task.split == "train"]
    known = train[: max(0, len(train) - params.explore.tasks)]
    work = partial(play_all, params, environment, [task.instruction for task in known])
    write_trajectories(layout.play(environment), spread(work, known, processes=threads.declared("play")))


def play_all(params: Params, environment: str, instructions: Sequence[str], tasks: Sequence[Task]) -> list[Trajectory]:
    """Play every task `play.episodes_per_task` times, each time with an expert share drawn from the list.

    Args:
        instructions: of all tasks that are played on, of which a misdirected episode is told one.
    """
    world = opener(environment, params)()
    episodes = []
    for task in tasks:
        for number in range(params.play.episodes_per_task):
            rng = np.random.default_rng(key(task, 1 + number))
            share = float(rng.choice(params.play.expert_shares))
            episode = play(environment, params, world, task, rng=rng, expert_share=share)
            if rng.random() < params.play.misdirected:
                episode = misdirected(episode, task, instructions[int(rng.integers(len(instructions)))])
            episodes.append(replace(episode, sample=number))
    world.close()
    return episodes


def misdirected(episode: Trajectory, task: Task, instruction: str) -> Trajectory:
    """The episode as if the instruction had been another one: what was done shows skill, and not what was asked for.

    The counterpart of a pretrained model, which has seen a great deal of competent text and hardly any of it in answer
    to an instruction; that is left to SFT.
    """
    steps = tuple(
        replace(
            step,
            observation=step.observation.replace(task.instruction, instruction),
            next_observation=step.next_observation.replace(task.instruction, instruction),
        )
        for step in episode.steps
    )
    return replace(episode, steps=steps)
