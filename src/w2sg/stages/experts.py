"""Stage experts: one demonstration per training task, rationales as thoughts (D_expert, eq. 4).

Two tables: what SFT learns from (the first training tasks), and the explored tasks (the last ones), for the ceiling.
"""

import sys
from collections.abc import Sequence
from functools import partial

import numpy as np

from w2sg.config import threads
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory, write_trajectories
from w2sg.environments.demonstrations import expert, key
from w2sg.environments.opener import opener
from w2sg.stages.workers import spread


def main(params: Params, *, environment: str) -> None:
    """Read the tasks, write the demonstrations that succeed; those that do not are counted on screen."""
    train = [task for task in Task.read(layout.tasks(environment)) if task.split == "train"]
    learned = {task.task_id for task in train[: params.experts.tasks]}
    explored = {task.task_id for task in train[-params.explore.tasks :]}
    wanted = [task for task in train if task.task_id in learned | explored]
    work = partial(demonstrate, params, environment)
    trajectories = spread(work, wanted, processes=threads.declared("experts"))
    good = [trajectory for trajectory in trajectories if trajectory.success]
    print(f"experts: {len(good)} of {len(trajectories)} demonstrations succeed", file=sys.stderr)
    for path, chosen in ((layout.experts(environment), learned), (layout.explored_experts(environment), explored)):
        write_trajectories(path, [trajectory for trajectory in good if trajectory.task_id in chosen])


def demonstrate(params: Params, environment: str, tasks: Sequence[Task]) -> list[Trajectory]:
    """Demonstrate each task; randomness is keyed by the task."""
    world = opener(environment, params)()
    done = [expert(environment, params, world, task, rng=np.random.default_rng(key(task, 0))) for task in tasks]
    world.close()
    return done
