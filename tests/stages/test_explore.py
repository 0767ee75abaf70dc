"""Stages explore and evaluate with tiny real checkpoints: killed and resumed runs give the same bytes."""

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from w2sg.agents import rollout
from w2sg.config import params
from w2sg.contracts import layout
from w2sg.contracts.episodes import read_episodes
from w2sg.contracts.files import read_json
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Step, Trajectory, read_trajectories
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.metrics import table1
from w2sg.stages import evaluate, explore
from w2sg.training import bases
from w2sg.training.tokenizer import train_tokenizer

RUN = {"environment": "alfworld", "seed": 0}
EXPLORED = layout.explore("alfworld", 0, "weak")


@pytest.fixture(scope="module")
def trained(built, tmp_path_factory):
    """The project with checkpoints of both roles that have learned nothing."""
    project = built.copy(tmp_path_factory.mktemp("trained"), only=frozenset({"data/tasks", "data/games", "data/play"}))
    with contextlib.chdir(project.path):
        settings = params.load()
        played = read_trajectories(layout.play("alfworld"))
        texts = [message["content"] for each in played for message in each.messages()]
        tokenizer = train_tokenizer(texts, vocabulary=400, context=256)
        for seed, role in enumerate(("weak", "strong")):
            model = bases.create(getattr(settings.models, role), tokenizer=tokenizer, context=256, seed=seed)
            bases.save(model, tokenizer, layout.sft("alfworld", 0, role))
    return project


@pytest.fixture(scope="module")
def explored(trained, tmp_path_factory) -> bytes:
    """The table of a run that nothing disturbed."""
    with contextlib.chdir(trained.copy(tmp_path_factory.mktemp("explored")).path):
        explore.main(params.load(), role="weak", **RUN)
        return EXPLORED.read_bytes()


def die_in_cohort(monkeypatch, number: int) -> list[int]:
    """Let the process die when the numbered cohort starts; the sizes of those that were played."""
    sizes: list[int] = []
    play_cohort = rollout.play_cohort

    def dying(policy, environments, requests, **settings):
        if len(sizes) == number:
            raise KeyboardInterrupt
        sizes.append(len(requests))
        return play_cohort(policy, environments, requests, **settings)

    monkeypatch.setattr(rollout, "play_cohort", dying)
    return sizes


def test_samples_of_the_last_training_tasks(explored, here):
    EXPLORED.parent.mkdir(parents=True)
    EXPLORED.write_bytes(explored)
    tasks = Task.read(layout.tasks("alfworld"))
    trajectories = read_trajectories(EXPLORED)
    assert [(each.task_id, each.sample) for each in trajectories] == [
        (t.task_id, n) for t in tasks[1:4] for n in range(4)
    ]
    schedule = here.explore.schedule
    for each in trajectories:
        assert each.policy == "sft_weak"
        assert (each.temperature, each.top_p) == (schedule[each.sample].temperature, schedule[each.sample].top_p)
        assert each.completed or len(each.steps) == 8


def test_the_schedule_starts_again(here):
    six = {"samples": 8, "tasks": 1, "schedule": here.explore.schedule[:6]}
    settings = here.model_copy(update={"explore": here.explore.model_copy(update=six)})
    drawn = explore.requests(settings, Task.read(layout.tasks("alfworld")))
    assert [each.sample for each in drawn] == list(range(8))
    assert [(each.temperature, each.top_p) for each in drawn[6:]] == [(0.5, 1.0), (0.7, 0.95)]


@pytest.mark.parametrize("cohort", [0, 1, 2])
def test_killed_and_resumed(explored, here, monkeypatch, cohort):
    """DVC deletes the outputs before the stage runs again; the finished cohorts are elsewhere."""
    with monkeypatch.context() as patched:
        die_in_cohort(patched, cohort)
        with pytest.raises(KeyboardInterrupt):
            explore.main(here, role="weak", **RUN)
    assert not EXPLORED.exists()
    sizes = die_in_cohort(monkeypatch, 99)
    explore.main(here, role="weak", **RUN)
    assert sizes == [5, 5, 2][cohort:]
    assert EXPLORED.read_bytes() == explored
    assert list(Path(".resume").iterdir()) == []


@pytest.mark.parametrize("change", ["settings", "checkpoint", "tasks"])
def test_what_belongs_to_another_run_is_not_resumed(here, monkeypatch, change):
    with monkeypatch.context() as patched:
        die_in_cohort(patched, 2)
        with pytest.raises(KeyboardInterrupt):
            explore.main(here, role="weak", **RUN)
    if change == "settings":
        here = here.model_copy(update={"explore": here.explore.model_copy(update={"max_new_tokens": 11})})
    elif change == "checkpoint":
        weights = layout.sft("alfworld", 0, "weak") / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    else:
        tasks = Task.read(layout.tasks("alfworld"))
        Task.write(layout.tasks("alfworld"), tasks[1:])
    sizes = die_in_cohort(monkeypatch, 99)
    explore.main(here, role="weak", **RUN)
    assert sizes == [5, 5, 2]


def test_evaluation_of_a_group(here, monkeypatch):
    """One greedy episode per model and held-out task; killed and resumed, the same bytes."""
    path, metrics = layout.episodes("alfworld", 0, "sft"), layout.metrics("alfworld", 0, "sft")
    evaluate.main(here, group="sft", **RUN)
    first = path.read_bytes(), metrics.read_bytes()
    path.unlink()
    with monkeypatch.context() as patched:
        die_in_cohort(patched, 3)
        with pytest.raises(KeyboardInterrupt):
            evaluate.main(here, group="sft", **RUN)
    assert not path.exists()
    sizes = die_in_cohort(monkeypatch, 99)
    evaluate.main(here, group="sft", **RUN)
    assert sizes == [1], "of two models with cohorts of 2 and 1 tasks each"
    assert (path.read_bytes(), metrics.read_bytes()) == first
    episodes = read_episodes(path)
    tasks = {task.task_id: task.split for task in Task.read(layout.tasks("alfworld"))}
    assert [(each.model, each.split) for each in episodes] == [
        (f"sft_{role}", split) for role in ("weak", "strong") for split in ("seen", "seen", "unseen")
    ]
    assert all(each.split == tasks[each.trajectory.task_id] for each in episodes)
    assert all(each.trajectory.temperature == 0.0 for each in episodes)
    values = read_json(metrics)
    for row in table1(GroupedEpisodes(episodes)):
        assert values[row.model][row.split]["average_reward"] == row.average_reward
    assert set(values) == {"sft_weak", "sft_strong"}


def test_best_of_n(here, monkeypatch):
    """Up to N episodes of each held-out task, none after one that is won; the reward picks what counts."""
    method = next(iter(here.inference.values())).model_copy(update={"samples": 3})
    here = here.model_copy(update={"inference": {"best_of_three": method}})
    played = []
    play = rollout.play

    def remembering(*values, **settings):
        found = play(*values, **settings)
        if settings["name"] == "best_of_three" and len(played) == 0:
            # The untrained model wins nothing by itself.
            found[0] = replace(found[0], steps=(*found[0].steps[:-1], replace(found[0].steps[-1], score=1.0)))
        played.extend(found)
        return found

    monkeypatch.setattr(rollout, "play", remembering)
    evaluate.main(here, group="inference", **RUN)
    tasks = Task.read(layout.tasks("alfworld"))
    seen, unseen = ([task for task in tasks if task.split == split] for split in ("seen", "unseen"))
    assert len(seen) >= here.evaluate.seen and len(unseen) > here.evaluate.unseen, "the last ones are taken"
    held_out = seen[-here.evaluate.seen :] + unseen[-here.evaluate.unseen :]
    assert len(held_out) == 3
    rounds = [held_out, held_out[1:], held_out[1:]]
    assert [(each.task_id, each.sample) for each in played] == [
        (task.task_id, sample) for sample, tasks in enumerate(rounds) for task in tasks
    ]
    assert {(each.temperature, each.top_p) for each in played} == {(1.0, 1.0)}
    assert len({each.steps for each in played if each.task_id == held_out[1].task_id}) == 3, "samples differ"
    episodes = read_episodes(layout.episodes("alfworld", 0, "inference"))
    assert [each.model for each in episodes] == ["best_of_three"] * 3
    assert [each.trajectory for each in episodes] == evaluate.best_by_task(played)
    assert set(read_json(layout.metrics("alfworld", 0, "inference"))) == {"best_of_three"}


def test_which_episode_is_the_best():
    """The highest score, then the shorter, then the first; one for each task, in their order."""

    def episode(task: str, sample: int, *, score: float, steps: int) -> Trajectory:
        step = Step("o", "t", "a", "r", "n", score)
        return Trajectory("alfworld", task, "sft_strong", sample, 1.0, 1.0, True, (step,) * steps)

    first = [
        episode("b", 0, score=0.5, steps=1),
        episode("b", 1, score=1.0, steps=3),
        episode("b", 2, score=1.0, steps=2),
        episode("b", 3, score=1.0, steps=2),
    ]
    second = [episode("a", number, score=0.0, steps=5) for number in range(2)]
    assert evaluate.best_by_task(first + second) == [first[2], second[0]]


def test_nothing_but_trained_models(here):
    """An empty roster of inference methods leaves an empty table."""
    evaluate.main(here.model_copy(update={"inference": {}}), group="inference", **RUN)
    assert read_episodes(layout.episodes("alfworld", 0, "inference")) == []
    assert read_json(layout.metrics("alfworld", 0, "inference")) == {}
