"""What every environment promises (contracts/environment.py), on tasks of its own making."""

import gc
from dataclasses import replace
from functools import partial
from itertools import islice, product

import numpy as np
import psutil
import pytest

from w2sg.config import params
from w2sg.config.environments import NAMES
from w2sg.config.fields import Splits
from w2sg.environments.demonstrations import expert, play
from w2sg.environments.opener import opener
from w2sg.environments.parts import provided
from w2sg.environments.tasks import make_tasks
from w2sg.stages.workers import spread

HOSTILE = [
    "",
    " ",
    "\n\n",
    "\0",
    "look around" * 2000,
    "go to " + "(" * 500,
    "search[" * 200,
    "click[\ud7ff\U0001f600]",
    "0",
    "-1",
    "Action: Action:",
    "'; DROP TABLE tasks; --",
    "${HOME} `id` $(id)",
    "%s %d {0} {x}",
    "\x1b[2J\x07\r\u202e",
]


class Made:
    """An environment as params.yaml has it, with a handful of tasks."""

    def __init__(self, name, folder, root):
        settings = params.load(root / "params.yaml")
        few = settings.environment(name).model_copy(update={"tasks": Splits(train=4, seen=2, unseen=2)})
        environments = settings.environments.model_copy(update={name: few})
        self.name, self.folder = name, folder
        self.settings = settings.model_copy(update={"environments": environments})
        self.tasks = make_tasks(name, self.settings, folder=folder)
        self.open = opener(name, self.settings, folder=folder)

    def expert(self, world, task, number=0):
        return expert(self.name, self.settings, world, task, rng=np.random.default_rng(number))

    def play(self, world, task, number=0, share=0.5):
        rng = np.random.default_rng(number)
        return play(self.name, self.settings, world, task, rng=rng, expert_share=share)


@pytest.fixture(scope="module", params=NAMES)
def made(request, tmp_path_factory, root):
    return Made(request.param, tmp_path_factory.mktemp(request.param), root)


@pytest.fixture
def world(made):
    world = made.open()
    yield world
    world.close()


def transcript(world, task, actions):
    """All that was said and scored, until the episode ends."""
    said = [world.reset(task, seed=7)[0]]
    for action in actions:
        result = world.step(action)
        said.append((result.observation, result.score, result.terminated, result.truncated))
        if result.terminated or result.truncated:
            break
    return said


def actions_of(trajectory):
    return [step.action for step in trajectory.steps]


def test_tasks(made):
    """Splits as asked for, nothing twice, and no unseen task is a training task under another name."""
    assert [task.split for task in made.tasks] == ["train"] * 4 + ["seen"] * 2 + ["unseen"] * 2
    assert len({task.task_id for task in made.tasks}) == len(made.tasks)
    assert len({task.spec for task in made.tasks}) == len(made.tasks)
    assert all(task.environment == made.name and task.instruction and task.max_steps > 1 for task in made.tasks)


def test_the_same_settings_make_the_same_tasks(made, tmp_path):
    assert make_tasks(made.name, made.settings, folder=tmp_path) == made.tasks
    files = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {p.relative_to(made.folder): p.read_bytes() for p in made.folder.rglob("*") if p.is_file()}


def test_first_observation_holds_the_instruction(made, world):
    for task in made.tasks:
        observation, info = world.reset(task)
        assert task.instruction in observation
        assert isinstance(info, dict)


def test_experts_succeed(made, world):
    """On most tasks: an instruction may be ambiguous."""
    trajectories = [made.expert(world, task) for task in made.tasks]
    assert np.mean([trajectory.score for trajectory in trajectories]) > 0.7
    for trajectory, task in zip(trajectories, made.tasks, strict=True):
        assert trajectory.task_id == task.task_id and trajectory.environment == made.name
        assert len(trajectory.steps) <= task.max_steps
        assert all(step.thought and step.action in step.response for step in trajectory.steps)
    assert all(0 <= step.score <= 1 for trajectory in trajectories for step in trajectory.steps)


def test_play_errs_and_is_repeatable(made, world):
    episodes = [made.play(world, task, number=1) for task in made.tasks]
    assert episodes == [made.play(world, task, number=1) for task in made.tasks]
    assert actions_of(episodes[0]) != actions_of(made.expert(world, made.tasks[0]))
    assert len({tuple(actions_of(made.play(world, made.tasks[0], number=n))) for n in range(4)}) > 1


def test_same_actions_same_answers(made, world):
    """In a used instance, in a new one, and after hostile input."""
    for task in made.tasks[:3]:
        actions = actions_of(made.play(world, task, number=2))
        first = transcript(world, task, actions)
        transcript(world, task, HOSTILE)
        assert transcript(world, task, actions) == first
        other = made.open()
        assert transcript(other, task, actions) == first
        other.close()


@pytest.mark.parametrize("action", HOSTILE, ids=range(len(HOSTILE)))
def test_any_text_is_answered(made, world, action):
    world.reset(made.tasks[0])
    result = world.step(action)
    assert isinstance(result.observation, str)
    assert 0 <= result.score <= 1
    assert not result.terminated


def test_refusals(made, world):
    """Beginnings of answers, and no first observation has one."""
    refusals = provided(f"w2sg.environments.{made.name}.refusals", "REFUSALS")
    assert isinstance(refusals, tuple) and all(isinstance(words, str) and words for words in refusals)
    assert not any(world.reset(task)[0].startswith(refusals) for task in made.tasks)


def test_the_step_cap_truncates(made, world):
    task = replace(made.tasks[0], max_steps=3)
    said = transcript(world, task, ["nonsense"] * 9)
    assert [entry[2:] for entry in said[1:]] == [(False, False), (False, False), (False, True)]


def test_no_step_outside_an_episode(made, world):
    fresh = made.open()
    with pytest.raises(AssertionError):
        fresh.step("look")
    fresh.close()
    transcript(world, replace(made.tasks[0], max_steps=1), ["nonsense"])
    with pytest.raises(AssertionError):
        world.step("nonsense")


def test_admissible_commands(made, world):
    world.reset(made.tasks[0])
    before = list(world.admissible())
    assert before == sorted(set(before)) and before
    assert list(world.admissible()) == before, "asking changes nothing"


def test_many_at_once(made):
    """Twelve episodes side by side, step by step in turn, go as they do alone."""
    worlds = [made.open() for _ in range(12)]
    jobs = list(islice(product(range(3), made.tasks), 12))
    plays = [actions_of(made.play(worlds[0], task, number=number)) for number, task in jobs]
    alone = [transcript(worlds[0], task, actions) for (_, task), actions in zip(jobs, plays, strict=True)]
    together = [[world.reset(task, seed=7)[0]] for world, (_, task) in zip(worlds, jobs, strict=True)]
    for turn in range(max(map(len, plays))):
        for world, actions, said in zip(worlds, plays, together, strict=True):
            if turn < len(actions) and not (turn and any(said[-1][2:])):
                result = world.step(actions[turn])
                said.append((result.observation, result.score, result.terminated, result.truncated))
    for world in worlds:
        world.close()
    assert together == alone


def test_several_processes(made):
    work = partial(_played, made.name, made.settings, made.folder)
    assert spread(work, made.tasks, processes=2, size=4) == spread(work, made.tasks, processes=1)


def _played(name, settings, folder, tasks):
    world = opener(name, settings, folder=folder)()
    episodes = [
        play(name, settings, world, task, rng=np.random.default_rng(3), expert_share=0.5).steps for task in tasks
    ]
    world.close()
    return episodes


def test_closing_twice_and_opening_again(made):
    world = made.open()
    world.reset(made.tasks[0])
    world.close()
    world.close()
    again = made.open()
    assert again.reset(made.tasks[0])[0]
    again.close()


def test_memory_is_bounded(made, world):
    def episodes(count):
        for number in range(count):
            task = made.tasks[number % len(made.tasks)]
            transcript(world, task, ["look around", "search[red]", "inventory", "nonsense"])
        gc.collect()
        process = psutil.Process()
        return sum(each.memory_info().rss for each in [process, *process.children(recursive=True)]) / 2**20

    warm = episodes(40)
    assert episodes(120) - warm < 40, "MiB after three times as many episodes"
