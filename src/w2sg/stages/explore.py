"""Stage explore: M trajectories per training task by an SFT model, over a spread of (T, top-p) (section 3.1, M4).

Resumable: finished cohorts lie under .resume/ until the whole table is written; a killed run repeats at most the rest.
"""

import shutil

from w2sg import layout
from w2sg.agents import rollout
from w2sg.agents.policies import TransformersPolicy
from w2sg.agents.prompts import prompt
from w2sg.environments.opener import opener
from w2sg.params import Params, Role
from w2sg.records import Task, write_trajectories
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


def main(params: Params, *, environment: str, role: Role, seed: int) -> None:
    """Read the tasks and the SFT checkpoint, write the trajectories."""
    settings = params.environment(environment)
    checkpoint = layout.sft(environment, seed, role)
    model, tokenizer = bases.load(checkpoint)
    name = f"explore-{layout.run_name(environment, seed)}-{role}"
    store = rollout.store(name, checkpoint, layout.tasks(environment), settings=(params.explore, settings))
    trajectories = rollout.play(
        TransformersPolicy(model, tokenizer),
        opener(environment, params),
        requests(params, Task.read(layout.tasks(environment))),
        name=f"sft_{role}",
        prompt=prompt(environment, style=settings.prompt),
        seed=seed,
        cohort=params.explore.cohort,
        max_new_tokens=params.explore.max_new_tokens,
        store=store,
    )
    write_trajectories(layout.explore(environment, seed, role), trajectories)
    shutil.rmtree(store)
