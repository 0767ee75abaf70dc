"""Exploratory play: mistakes of every kind, and what comes after them."""

import random
from statistics import mean

import numpy as np
import pytest

from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory
from w2sg.environments.webshop.experts.demonstrations import expert_trajectory
from w2sg.environments.webshop.experts.exploratory import play_trajectory
from w2sg.environments.webshop.tasks.generator import generate
from w2sg.environments.webshop.world.catalogue import load
from w2sg.environments.webshop.world.environment import WebshopEnvironment, make_task
from w2sg.environments.webshop.world.goals import draw_goals, draw_prices


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> WebshopEnvironment:
    folder = tmp_path_factory.mktemp("catalogue")
    generate(folder, products=300, seed=2, aisles=["clothes", "drinks"])
    return WebshopEnvironment(folder)


@pytest.fixture(scope="module")
def tasks(environment: WebshopEnvironment, tmp_path_factory: pytest.TempPathFactory) -> list[Task]:
    folder = tmp_path_factory.mktemp("again")
    generate(folder, products=300, seed=2, aisles=["clothes", "drinks"])
    catalogue, rng = load(folder), random.Random(0)
    goals = draw_goals(catalogue, draw_prices(catalogue, rng), rng, human=True)[:60]
    return [
        make_task(goal, task_id=f"{n}", split="train", task_type=goal.category, seed=0, max_steps=10)
        for n, goal in enumerate(goals)
    ]


def episodes(environment: WebshopEnvironment, tasks: list[Task], share: float) -> list[Trajectory]:
    return [play_trajectory(environment, task, np.random.default_rng(n), share) for n, task in enumerate(tasks)]


def test_play_shows_mistakes_and_recoveries(environment: WebshopEnvironment, tasks: list[Task]) -> None:
    played = episodes(environment, tasks, 0.7)
    steps = [step for episode in played for step in episode.steps]
    strays = [step for step in steps if step.thought.startswith("try ")]
    assert 0.2 < len(strays) / len(steps) < 0.4
    unanswered = [step for step in strays if step.observation == step.next_observation]
    assert 0.2 < len(unanswered) / len(strays) < 0.7
    assert mean(episode.completed for episode in played) > 0.8
    assert 0.6 < mean(episode.score for episode in played) < 0.95


@pytest.mark.parametrize(
    "kind",
    [
        "search[",
        "click[< prev]",
        "click[next >]",
        "click[description]",
        "click[back to search]",
        "click[search]",
        "buy[",
    ],
)
def test_play_without_the_expert_does_everything_there_is(
    environment: WebshopEnvironment, tasks: list[Task], kind: str
) -> None:
    assert any(step.action.startswith(kind) for episode in episodes(environment, tasks, 0.0) for step in episode.steps)


def test_the_more_expert_the_better(environment: WebshopEnvironment, tasks: list[Task]) -> None:
    scores = [mean(e.score for e in episodes(environment, tasks, share)) for share in (0.0, 0.5, 1.0)]
    assert scores[0] < 0.3 < scores[1] < 0.85 < scores[2]


def test_play_is_seeded(environment: WebshopEnvironment, tasks: list[Task]) -> None:
    def episode(seed: int, share: float) -> Trajectory:
        return play_trajectory(environment, tasks[0], np.random.default_rng(seed), share)

    assert episode(1, 0.5) == episode(1, 0.5) != episode(2, 0.5)
    assert episode(1, 1.0).steps == expert_trajectory(environment, tasks[0], np.random.default_rng(0)).steps
