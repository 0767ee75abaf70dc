"""Demonstrations and play on ScienceWorld: who wins, what is thought, how one goes on after a mistake."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from w2sg.contracts.tasks import Task
from w2sg.contracts.turns import parse_response
from w2sg.environments.scienceworld.experts.demonstrations import expert_trajectory
from w2sg.environments.scienceworld.experts.exploratory import play_trajectory
from w2sg.environments.scienceworld.experts.gold import Follower, with_teleports
from w2sg.environments.scienceworld.experts.seeker import Seeker, knows, species
from w2sg.environments.scienceworld.world.environment import ScienceworldEnvironment

from .scienceworld_examples import LIFESPAN, make_task, running

DEFAULT_TASKS = [
    "lifespan-longest-lived",
    "lifespan-shortest-lived",
    "lifespan-longest-lived-then-shortest-lived",
    "find-non-living-thing",
    "find-plant",
    "find-animal",
    "find-living-thing",
]


@pytest.fixture(scope="module")
def environment() -> Iterator[ScienceworldEnvironment]:
    with running() as simulator:
        yield ScienceworldEnvironment(simulator)


def described(environment: ScienceworldEnvironment, task: Task) -> Task:
    """The task with its real instruction, as the task table has it."""
    return replace(task, instruction=environment.reset(task)[0])


@pytest.mark.parametrize("name", DEFAULT_TASKS)
def test_the_seeker_wins_from_what_it_sees(environment: ScienceworldEnvironment, name: str) -> None:
    for variation in (0, 61, 124):
        task = described(environment, make_task(name, variation, max_steps=6))
        trajectory = expert_trajectory(environment, task, np.random.default_rng(0))
        assert trajectory.success and trajectory.completed and knows(task.instruction)
        assert all(parse_response(step.response) == (step.thought, step.action) for step in trajectory.steps)


def test_thoughts_name_what_is_wanted_seen_and_held(environment: ScienceworldEnvironment) -> None:
    task = described(environment, make_task("find-animal", 0))
    steps = expert_trajectory(environment, task, np.random.default_rng(0)).steps
    assert [(step.thought, step.action) for step in steps] == [
        ("find animal for red box kitchen", "teleport to outside"),
        ("find animal for red box kitchen", "look around"),
        ("see blue jay egg, butterfly egg, dove egg. need animal for red box kitchen", "focus on blue jay egg"),
        ("take blue jay egg for red box kitchen", "pick up blue jay egg"),
        ("hold blue jay egg for red box kitchen", "teleport to kitchen"),
        ("hold blue jay egg for red box kitchen", "move blue jay egg to red box"),
    ]
    plain = expert_trajectory(environment, task, np.random.default_rng(0), style="plain").steps
    assert plain[-1].thought == (
        "I need to find a animal, focus on it, and move it to the red box in the kitchen. I hold the blue jay egg. "
        "Next I move blue jay egg to red box."
    )


def test_the_seeker_goes_on_after_strays_menus_and_things_that_grew(environment: ScienceworldEnvironment) -> None:
    strays = ["dance", "wait", "wait", "wait", "pick up picture", "teleport to hallway", "open door"]
    task = described(environment, make_task("find-animal", 152, max_steps=40))
    agent = Seeker(task.instruction)
    environment.reset(task)
    actions: list[str] = []
    while True:
        # The beaver that was picked up as a baby is a juvenile when it is put down.
        stray = actions.count("pick up baby beaver") and strays
        action = strays.pop(0) if stray else agent.decide()[1]
        result = environment.step(action)
        agent.read(action, result.observation)
        actions.append(action)
        if result.terminated or result.truncated:
            break
    assert result.score == 1.0
    assert "0" in actions and "inventory" in actions and actions[-1] == "move juvenile beaver to blue box"


def test_the_seeker_looks_elsewhere_when_nothing_fits() -> None:
    agent = Seeker(
        "Your task is to find a(n) animal. First, focus on the thing. Then, move it to the red box in the hall."
    )
    agent.read("teleport to outside", "You teleport to the outside.")
    agent.read(
        "look around",
        "This outside location is called the outside. Here you see: \n\tthe agent\n\tan axe\nYou also see:",
    )
    assert agent.decide() == ("find animal for red box hall", "teleport to greenhouse")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("parrot egg", "parrot"), ("baby brown bear", "brown bear"), ("axe", "axe"), ("caterpillar", "butterfly")],
)
def test_species(name: str, kind: str) -> None:
    assert species(name) == kind


def test_other_tasks_are_demonstrated_from_the_simulators_solution(environment: ScienceworldEnvironment) -> None:
    task = described(environment, make_task("chemistry-mix-paint-secondary-color", 0))
    trajectory = expert_trajectory(environment, task, np.random.default_rng(0))
    # The solution itself takes 20 steps, door by door; the cap is 15.
    assert trajectory.success and len(trajectory.steps) < 15
    assert trajectory.steps[0].action.startswith("teleport to ")
    assert all(step.thought.startswith("goal use chemistry to create ") for step in trajectory.steps)


def test_walks_become_teleports() -> None:
    path = ["open door to hall", "go to hall", "open door to kitchen", "go to kitchen", "look around", "go to bedroom"]
    assert with_teleports(path) == ["teleport to kitchen", "look around", "teleport to bedroom"]


def test_a_follower_says_what_it_holds_and_waits_where_it_was_disturbed() -> None:
    agent = Follower("Your task is to boil water. For that, act.", ["pick up pot", "move pot to sink"], style="plain")
    agent.read("dance", "No known action matches that input.")
    thought, action = agent.decide()
    assert action == "pick up pot"
    assert thought == "My goal is to boil water. I hold nothing. Next I pick up pot, because I will need it."
    agent.read(action, "You move the metal pot to the inventory.")
    assert agent.decide()[0].startswith("My goal is to boil water. I hold metal pot.")
    agent.read("move pot to sink", "You move the metal pot to the sink.")
    assert agent.decide() == (
        "My goal is to boil water. I hold nothing. Next I look around, because I must see what is here.",
        "look around",
    )


def test_play_is_keyed_by_its_generator_and_shows_more_than_the_expert(environment: ScienceworldEnvironment) -> None:
    task = replace(make_task("lifespan-longest-lived", 3, max_steps=10), instruction=LIFESPAN)
    first = play_trajectory(environment, task, np.random.default_rng(1), 0.3)
    assert play_trajectory(environment, task, np.random.default_rng(1), 0.3) == first
    assert play_trajectory(environment, task, np.random.default_rng(2), 0.3) != first
    assert any(step.thought == "try longest lived" for step in first.steps)
    episodes = [play_trajectory(environment, task, np.random.default_rng(seed), 0.6) for seed in range(12)]
    observations = [step.next_observation for episode in episodes for step in episode.steps]
    assert any(text.startswith("No known action") for text in observations)
    assert len({episode.score for episode in episodes}) > 1, "better and worse"
    assert all(play_trajectory(environment, task, np.random.default_rng(s), 1.0).success for s in range(2))
