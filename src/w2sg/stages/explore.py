"""Stage explore: M trajectories per training task by an SFT model, over a spread of (T, top-p) (section 3.1, M4).

An entry of the schedule may let the weak base (A13) or the policy of eq. 5 (M5) play in place of SFT weak. The strong
model's samples are all its own: they are what eto and ceiling set against the best.

Resumable: finished cohorts lie under .resume/ until the whole table is written; a killed run repeats at most the rest.
"""

import shutil
from pathlib import Path

from w2sg.agents import rollout
from w2sg.agents.policies import TransformersPolicy
from w2sg.config.data import Role
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.records import Task, Trajectory, write_trajectories
from w2sg.environments.opener import opener
from w2sg.environments.prompts import prompt
from w2sg.training import bases


def requests(params: Params, tasks: list[Task]) -> list[rollout.Request]:
    """The episodes to play: the last `explore.tasks` training tasks, sample by sample within a task."""
    train = [task for task in tasks if task.split == "train"][-params.explore.tasks :]
    schedule = params.explore.schedule
    return [
        rollout.Request(
            task=task,
            sample=sample,
            temperature=schedule[sample % len(schedule)].temperature,
            top_p=schedule[sample % len(schedule)].top_p,
        )
        for task in train
        for sample in range(params.explore.samples)
    ]


def player(params: Params, *, role: Role, sample: int) -> str:
    """Who plays a sample: "sft", "base" or "diverse"."""
    schedule = params.explore.schedule
    return schedule[sample % len(schedule)].model if role == "weak" else "sft"


def main(params: Params, *, environment: str, role: Role, seed: int) -> None:
    """Read the tasks and the checkpoints that the schedule asks for, write the trajectories."""
    wanted = requests(params, Task.read(layout.tasks(environment)))
    checkpoints = {
        "sft": layout.sft(environment, seed, role),
        "base": layout.base(role),
        "diverse": layout.diverse(environment, seed),
    }
    played: dict[tuple[str, int], Trajectory] = {}
    stores = []
    for name in dict.fromkeys(player(params, role=role, sample=each.sample) for each in wanted):
        own = [each for each in wanted if player(params, role=role, sample=each.sample) == name]
        trajectories, store = _played(
            params, own, environment=environment, seed=seed, name=f"{name}_{role}", checkpoint=checkpoints[name]
        )
        stores.append(store)
        played |= {(each.task_id, each.sample): each for each in trajectories}
    write_trajectories(
        layout.explore(environment, seed, role), [played[each.task.task_id, each.sample] for each in wanted]
    )
    for store in stores:
        shutil.rmtree(store)


def _played(
    params: Params, wanted: list[rollout.Request], *, environment: str, seed: int, name: str, checkpoint: Path
) -> tuple[list[Trajectory], Path]:
    """The episodes of one policy, and the folder of its finished cohorts."""
    settings = params.environment(environment)
    model, tokenizer = bases.load(checkpoint)
    label = f"explore-{layout.run_name(environment, seed)}-{name}"
    store = rollout.store(label, checkpoint, layout.tasks(environment), settings=(params.explore, settings))
    trajectories = rollout.play(
        TransformersPolicy(model, tokenizer),
        opener(environment, params),
        wanted,
        name=name,
        prompt=prompt(environment, style=settings.prompt),
        seed=seed,
        cohort=params.explore.cohort,
        max_new_tokens=params.explore.max_new_tokens,
        store=store,
    )
    return trajectories, store
