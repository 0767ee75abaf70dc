"""Stage paths: one path per task for imitation (eq. 7 and 8): e* of the tree search, or the best of the M samples (A7).

As a control, an expert demonstration stands in the place of every path: what further training alone would do.

Every path is replayed in its environment; one whose observations or score come out otherwise is uncertified (A6).
"""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import NamedTuple

import numpy as np

from w2sg.config.params import Params
from w2sg.config.rosters import PathKind
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Step, conversation, read_trajectories
from w2sg.environments.certification import act_out, expected
from w2sg.environments.opener import opener
from w2sg.environments.prompts import prompt
from w2sg.trees.mcts import extract, search
from w2sg.trees.tree import TrajectoryTree, load


class Found(NamedTuple):
    """A path before its replay: whose task it solves, its steps, the score it promises, the sample it comes from."""

    task_id: str
    steps: Sequence[Step]
    value: float
    source: int


def main(params: Params, *, environment: str, seed: int, method: str) -> None:
    """Read the trees, the experts and the tasks, write the replayed paths.

    Raises:
        UserError: not a single path is good enough to imitate.
    """
    kind = params.imitation[method].data
    text = prompt(environment, style=params.environment(environment).prompt)
    tasks = {task.task_id: task for task in Task.read(layout.tasks(environment))}
    world = opener(environment, params)()
    paths = []
    for found in _found(params, environment=environment, seed=seed, kind=kind):
        score, same = act_out(world, tasks[found.task_id], found.steps, seed=seed)
        paths.append(
            DemonstrationPath(
                environment=environment,
                task_id=found.task_id,
                kind=kind,
                messages=conversation(found.steps, prompt=text),
                tree_value=found.value,
                replay_score=score,
                source_sample=found.source,
                certified=same and expected(score, found.value),
            )
        )
    world.close()
    if not paths:
        raise UserError(
            f"{layout.paths(environment, seed, method)}: no path scores mcts.minimum_score "
            f"({params.mcts.minimum_score}) or more; lower it, or explore with a better model"
        )
    DemonstrationPath.write(layout.paths(environment, seed, method), paths)


def _found(params: Params, *, environment: str, seed: int, kind: PathKind) -> Iterator[Found]:
    """The paths of one kind: those of the trees that are good enough, or as many demonstrations as there are trees."""
    trees = load(layout.trees(environment, seed))
    if kind == "demonstrations":
        for expert in islice(cycle(read_trajectories(layout.experts(environment))), len(trees)):
            yield Found(expert.task_id, expert.steps, expert.score, expert.sample)
        return
    rng = np.random.default_rng(seed)
    for task_id, tree in trees.items():
        found = _searched(task_id, tree, params, rng=rng) if kind == "mcts" else _best_sample(task_id, tree)
        if found.value >= params.mcts.minimum_score:
            yield found


def _searched(task_id: str, tree: TrajectoryTree, params: Params, *, rng: np.random.Generator) -> Found:
    statistics = search(tree, gamma=params.mcts.gamma, iterations=params.mcts.iterations, rng=rng)
    path = extract(tree, statistics=statistics, ties=params.mcts.ties)
    return Found(task_id, path.steps, path.value, path.source_sample)


def _best_sample(task_id: str, tree: TrajectoryTree) -> Found:
    best = min(tree.trajectories, key=lambda sample: (-sample.score, len(sample.steps), sample.sample))
    return Found(task_id, best.steps, best.score, best.sample)
