"""Stage evaluate: every model of one group on held-out tasks, seen and unseen (section 4.1, Table 4), every step kept.

An inference method plays several episodes per task, and the environment's own reward picks which one counts (A17).
"""

from collections.abc import Iterable
from pathlib import Path

from w2sg.agents import rollout
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.episodes import Episode, write_episodes
from w2sg.contracts.files import write_json
from w2sg.contracts.samples import best_sample
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory
from w2sg.evaluation.measures.scores import means
from w2sg.stages.groups import Contestant, contestants
from w2sg.stages.rollouts import Play, playing


def main(params: Params, *, environment: str, seed: int, group: str) -> None:
    """Read the tasks and the group's checkpoints, write the episodes and their metrics."""
    everything = Task.read(layout.tasks(environment))
    chosen = [
        task
        for split, count in (("seen", params.evaluate.seen), ("unseen", params.evaluate.unseen))
        for task in [task for task in everything if task.split == split][-count:]
    ]
    split_of = {task.task_id: task.split for task in chosen}
    episodes: list[Episode] = []
    cohort = params.evaluate.cohort
    table = f"evaluate-{group}"
    with playing(params, stage="evaluate", environment=environment, seed=seed, cohort=cohort, table=table) as rollouts:
        for name, contestant in contestants(params, environment=environment, seed=seed, group=group).items():
            trajectories = _played(rollouts.player(contestant.checkpoint, name=name), contestant, chosen)
            episodes += [Episode(name, seed, split_of[each.task_id], each) for each in best_by_task(trajectories)]
        write_episodes(layout.episodes(environment, seed, group), episodes)
        _write_metrics(layout.metrics(environment, seed, group), episodes)


def _write_metrics(path: Path, episodes: list[Episode]) -> None:
    """Average reward, success and completion by model and split, in the shape that `dvc metrics` shows."""
    places: dict[str, dict[str, list[Trajectory]]] = {}
    for episode in episodes:
        places.setdefault(episode.model, {}).setdefault(episode.split, []).append(episode.trajectory)
    values = {model: {split: means(own) for split, own in splits.items()} for model, splits in places.items()}
    write_json(path, values)


def best_by_task(trajectories: Iterable[Trajectory]) -> list[Trajectory]:
    """Of each task's episodes the best one. Tasks in their first order."""
    samples: dict[str, list[Trajectory]] = {}
    for each in trajectories:
        samples.setdefault(each.task_id, []).append(each)
    return [best_sample(own) for own in samples.values()]


def _played(play: Play, contestant: Contestant, tasks: list[Task]) -> list[Trajectory]:
    """All episodes, one sample of every task after the other.

    A task that is won (G = 1) is not played again: no further sample could be better.
    """
    played: list[Trajectory] = []
    for sample in range(contestant.samples):
        won = {trajectory.task_id for trajectory in played if trajectory.success}
        left = [task for task in tasks if task.task_id not in won]
        played += play([rollout.Request(task, sample, contestant.temperature, contestant.top_p) for task in left])
    return played
