"""Stage paths: one path per task for imitation (eq. 7 and 8): e* of the tree search, or the best of the M samples (A7).

Controls: every sample that is good enough; the first sample as it is (what a weak teacher says without any reward);
the best of as many samples of the strong model itself, or of both models; the expert on the explored tasks (what right
labels would do); a demonstration that SFT knows in the place of every path (what further training alone would do).

Every path is replayed in its environment; one whose observations or score come out otherwise is uncertified (A6).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, groupby, islice
from typing import NamedTuple

from w2sg.config.data import Mcts
from w2sg.config.params import Params
from w2sg.config.rosters import STRONG_PATHS, PathKind
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.samples import best_sample
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Step, Trajectory, conversation, read_trajectories
from w2sg.environments.certification import act_out, expected
from w2sg.environments.opener import opener
from w2sg.environments.prompts import prompt
from w2sg.trees.mcts import extract, searches
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
    entry = params.imitation[method]
    settings = entry.mcts or params.mcts
    text = prompt(environment, style=params.environment(environment).prompt)
    tasks = {task.task_id: task for task in Task.read(layout.tasks(environment))}
    world = opener(environment, params)()
    paths = []
    for found in _found(settings, environment=environment, seed=seed, kind=entry.data):
        score, same = act_out(world, tasks[found.task_id], found.steps, seed=seed)
        paths.append(
            DemonstrationPath(
                environment=environment,
                task_id=found.task_id,
                kind=entry.data,
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
            f"({settings.minimum_score}) or more; lower it, or explore with a better model"
        )
    DemonstrationPath.write(layout.paths(environment, seed, method), paths)


def _found(settings: Mcts, *, environment: str, seed: int, kind: PathKind) -> Iterator[Found]:
    """The paths of one kind: those that are good enough, or as many demonstrations as there are trees."""
    trees = load(layout.trees(environment, seed))
    if kind == "demonstrations":
        for expert in islice(cycle(read_trajectories(layout.experts(environment))), len(trees)):
            yield Found(expert.task_id, expert.steps, expert.score, expert.sample)
        return
    for found in _candidates(settings, trees, environment=environment, seed=seed, kind=kind):
        if found.value >= settings.minimum_score:
            yield found


def _candidates(
    settings: Mcts, trees: Mapping[str, TrajectoryTree], *, environment: str, seed: int, kind: PathKind
) -> Iterator[Found]:
    if kind == "expert":
        for expert in read_trajectories(layout.explored_experts(environment)):
            if expert.task_id in trees:
                yield _as_it_is(expert)
        return
    if kind in STRONG_PATHS:
        explored = read_trajectories(layout.explore(environment, seed, "strong"))
        for task_id, group in groupby(explored, key=lambda sample: sample.task_id):
            weak = trees[task_id].trajectories
            own = [sample for sample in group if sample.sample < len(weak)]
            # Where both are alike, the weak model's is taken.
            yield _as_it_is(best_sample([*weak, *own] if kind == "both" else own))
        return
    if kind == "mcts":
        found = searches(trees, gamma=settings.gamma, iterations=settings.iterations, seed=seed)
        for task_id, statistics in found:
            path = extract(trees[task_id], statistics=statistics, ties=settings.ties, words=settings.words)
            yield Found(task_id, path.steps, path.value, path.source_sample)
        return
    for tree in trees.values():
        if kind == "best_of_m":
            yield _as_it_is(best_sample(tree.trajectories))
        else:
            yield from map(_as_it_is, tree.trajectories if kind == "wins" else tree.trajectories[:1])


def _as_it_is(sample: Trajectory) -> Found:
    return Found(sample.task_id, sample.steps, sample.score, sample.sample)
