"""Play: on which tasks, and under whose instruction."""

import contextlib

import pytest

from w2sg.config import params
from w2sg.contracts import layout
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory, read_trajectories, write_trajectories
from w2sg.training.tokenizer import train_tokenizer

from .conftest import Project

OPTIMIZATION = {
    "epochs": 1,
    "batch": 1,
    "micro_tokens": None,
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "warmup": 0.0,
    "weight_decay": 0.0,
    "adam_beta2": 0.95,
    "precision": "fp32",
}
ALFWORLD = ("--environment", "alfworld")


def played(project: Project) -> tuple[dict[str, Task], list[Trajectory]]:
    with contextlib.chdir(project.path):
        tasks = {task.task_id: task for task in Task.read(layout.tasks("alfworld"))}
        return tasks, read_trajectories(layout.play("alfworld"))


def test_nobody_plays_an_explored_or_evaluated_task(built: Project) -> None:
    tasks, episodes = played(built)
    train = [task.task_id for task in tasks.values() if task.split == "train"]
    with contextlib.chdir(built.path):
        settings = params.load()
        explored = {each.task_id for each in read_trajectories(layout.explore("alfworld", 0, "weak"))}
    assert len(train) == 4 and len(explored) == settings.explore.tasks == 3
    assert [each.task_id for each in episodes] == train[:1] * settings.play.episodes_per_task
    assert not explored & {each.task_id for each in episodes}


@pytest.mark.parametrize("misdirected", [0.0, 1.0])
def test_an_episode_may_be_told_under_another_instruction(built: Project, tmp_path, misdirected: float) -> None:
    """Only the instruction differs: what is done and seen is the same, and the task stands where it was."""
    project = built.copy(tmp_path / "project")
    project.edit(play={"episodes_per_task": 3, "misdirected": misdirected}, explore={"tasks": 1})
    assert project.run("play", *ALFWORLD)[0] == 0
    tasks, episodes = played(project)
    instructions = [task.instruction for task in tasks.values() if task.split == "train"][:3]
    own = [tasks[each.task_id].instruction for each in episodes]
    told = [each.steps[0].observation.rpartition("Your task is to: ")[2].removesuffix(".") for each in episodes]
    assert len(episodes) == 9
    if misdirected:
        assert set(told) <= set(instructions) and told != own
    else:
        assert told == own
    project.edit(play={"misdirected": 0.0})
    assert project.run("play", *ALFWORLD)[0] == 0
    _, straight = played(project)
    assert [[step.action for step in each.steps] for each in straight] == [
        [step.action for step in each.steps] for each in episodes
    ]


def test_a_model_from_scratch_needs_play(built: Project, tmp_path) -> None:
    """An environment may have fewer tasks than were asked for, and then all of them are explored."""
    project = built.copy(tmp_path / "project")
    with contextlib.chdir(project.path):
        for name in params.load().environments.names:
            write_trajectories(layout.play(name), [])
        tokenizer = train_tokenizer(["Thought: so. Action: look"], vocabulary=300, context=128)
        tokenizer.save_pretrained(layout.tokenizer())
    project.edit(pretrain={role: {"copying": None, "play": dict(OPTIMIZATION)} for role in ("weak", "strong")})
    before = project.contents()
    code, lines = project.run("pretrain", "--seed", "0", "--role", "weak")
    assert code == 2 and project.contents() == before
    assert lines == [
        "pretrain: data/play: nobody has played, as all training tasks are explored; a model from scratch learns from "
        "play, so lower explore.tasks"
    ]
