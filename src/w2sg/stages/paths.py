"""Stage paths: one path per task for imitation (eq. 8, M10): e* of the tree search, or the best of the M samples (A7).

Every path is replayed in its environment; one whose observations or score come out otherwise is uncertified (A6).
"""

from collections.abc import Sequence

import numpy as np

from w2sg import layout
from w2sg.agents.prompts import prompt
from w2sg.environments.certification import expected, replay
from w2sg.environments.opener import opener
from w2sg.errors import UserError
from w2sg.params import Params
from w2sg.records import DemonstrationPath, Step, Task, conversation
from w2sg.trees.mcts import extract, search
from w2sg.trees.tree import TrajectoryTree, load


def main(params: Params, *, environment: str, seed: int, method: str) -> None:
    """Read the trees and the tasks, write the replayed paths.

    Raises:
        UserError: not a single path is good enough to imitate.
    """
    kind = params.imitation[method].data
    text = prompt(environment, style=params.environment(environment).prompt)
    tasks = {task.task_id: task for task in Task.read(layout.tasks(environment))}
    rng = np.random.default_rng(seed)
    world = opener(environment, params)()
    paths = []
    for task_id, tree in load(layout.trees(environment, seed)).items():
        steps, value, source = _searched(tree, params, rng=rng) if kind == "mcts" else _best_sample(tree)
        if value < params.mcts.minimum_score:
            continue
        score, same = replay(world, tasks[task_id], steps, seed=seed)
        paths.append(
            DemonstrationPath(
                environment=environment,
                task_id=task_id,
                kind=kind,
                messages=conversation(steps, prompt=text),
                tree_value=value,
                replay_score=score,
                source_sample=source,
                certified=same and expected(score, value),
            )
        )
    world.close()
    if not paths:
        raise UserError(
            f"{layout.paths(environment, seed, method)}: no path scores mcts.minimum_score "
            f"({params.mcts.minimum_score}) or more; lower it, or explore with a better model"
        )
    DemonstrationPath.write(layout.paths(environment, seed, method), paths)


def _searched(tree: TrajectoryTree, params: Params, *, rng: np.random.Generator) -> tuple[Sequence[Step], float, int]:
    statistics = search(tree, gamma=params.mcts.gamma, iterations=params.mcts.iterations, rng=rng)
    path = extract(tree, statistics=statistics, ties=params.mcts.ties)
    return path.steps, path.value, path.source_sample


def _best_sample(tree: TrajectoryTree) -> tuple[Sequence[Step], float, int]:
    best = min(tree.trajectories, key=lambda sample: (-sample.score, len(sample.steps), sample.sample))
    return best.steps, best.score, best.sample
