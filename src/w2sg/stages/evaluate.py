"""Stage evaluate: every model of one group on held-out tasks, seen and unseen (M14, M15), every step kept."""

import shutil
from pathlib import Path

from w2sg import layout
from w2sg.agents import rollout
from w2sg.agents.policies import TransformersPolicy
from w2sg.agents.prompts import prompt
from w2sg.environments.opener import opener
from w2sg.evaluation.metrics import table1
from w2sg.files import write_json
from w2sg.params import Params
from w2sg.records import Episode, Task, Trajectory, write_episodes
from w2sg.stages.groups import checkpoints
from w2sg.training import bases


def main(params: Params, *, environment: str, seed: int, group: str) -> None:
    """Read the tasks and the group's checkpoints, write the episodes and their metrics."""
    everything = Task.read(layout.tasks(environment))
    chosen = [
        task
        for split, count in (("seen", params.evaluate.seen), ("unseen", params.evaluate.unseen))
        for task in [task for task in everything if task.split == split][:count]
    ]
    split_of = {task.task_id: task.split for task in chosen}
    episodes = []
    stores = []
    for name, checkpoint in checkpoints(params, environment=environment, seed=seed, group=group).items():
        trajectories, store = _evaluated(params, environment, seed, name, checkpoint, chosen)
        stores.append(store)
        episodes += [Episode(name, seed, split_of[each.task_id], each) for each in trajectories]
    write_episodes(layout.episodes(environment, seed, group), episodes)
    _write_metrics(layout.metrics(environment, seed, group), episodes)
    for store in stores:
        shutil.rmtree(store)


def _write_metrics(path: Path, episodes: list[Episode]) -> None:
    """Average reward, success and completion by model and split, in the shape that `dvc metrics` shows."""
    values: dict[str, dict[str, dict[str, float]]] = {}
    for row in table1(episodes):
        values.setdefault(row.model, {})[row.split] = {
            "average_reward": row.average_reward,
            "success_rate": row.success_rate,
            "completion_rate": row.completion_rate,
        }
    write_json(path, values)


def _evaluated(
    params: Params, environment: str, seed: int, name: str, checkpoint: Path, tasks: list[Task]
) -> tuple[list[Trajectory], Path]:
    """One episode per task, and the folder of its finished cohorts."""
    settings = params.evaluate
    style = params.environment(environment)
    model, tokenizer = bases.load(checkpoint)
    read = (settings, style, params.explore.max_new_tokens)
    label = f"evaluate-{layout.run_name(environment, seed)}-{name}"
    store = rollout.store(label, checkpoint, layout.tasks(environment), settings=read)
    trajectories = rollout.play(
        TransformersPolicy(model, tokenizer),
        opener(environment, params),
        [rollout.Request(task, 0, settings.temperature, settings.top_p) for task in tasks],
        name=name,
        prompt=prompt(environment, style=style.prompt),
        seed=seed,
        cohort=settings.cohort,
        max_new_tokens=params.explore.max_new_tokens,
        store=store,
    )
    return trajectories, store
