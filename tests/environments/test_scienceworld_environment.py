"""ScienceWorld behind the contract of every environment, with machines that die and hang."""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from w2sg.contracts.environment import Environment
from w2sg.contracts.errors import UserError
from w2sg.contracts.tasks import Task
from w2sg.environments.scienceworld.world.environment import Memory, ScienceworldEnvironment, read_spec
from w2sg.environments.scienceworld.world.simulator import REFUSED, Simulator

from .scienceworld_examples import LIFESPAN, make_task, running


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running() as simulator:
        yield simulator


@pytest.fixture
def environment(simulator: Simulator) -> Environment:
    return ScienceworldEnvironment(simulator)


def test_the_first_observation_is_the_task_and_the_start_score_is_told(environment: Environment) -> None:
    first, info = environment.reset(make_task("lifespan-longest-lived", 0))
    assert first == LIFESPAN and info["start_score"] == 0.0
    assert info["look"].startswith("This room is called the hallway.")
    first, info = environment.reset(make_task("find-plant", 0))
    assert first.startswith("Your task is to find a(n) plant.") and info["start_score"] == pytest.approx(1 / 12)


def test_the_score_is_the_running_maximum_from_the_start_on_and_a_wrong_focus_ends_the_episode(
    environment: Environment,
) -> None:
    environment.reset(make_task("lifespan-longest-lived", 0))
    there = environment.step("teleport to outside")
    assert (there.score, there.info) == (0.5, {"raw_score": 0.5})
    wrong = environment.step("focus on baby mouse")
    assert (wrong.score, wrong.terminated, wrong.info) == (0.5, True, {"raw_score": -1.0})
    environment.reset(make_task("lifespan-longest-lived", 0))
    environment.step("teleport to outside")
    right = environment.step("focus on baby brown bear")
    assert (right.score, right.terminated, right.truncated) == (1.0, True, False)


def test_hostile_actions_are_answered_cost_a_step_and_change_nothing(environment: Environment) -> None:
    hostile = [
        "",
        "\n",
        "dance",
        "take ☃",
        "\x00",
        "take " * 100_000,
        "\ud800",
        "{0}",
        "look around\nfocus on axe",
        "\\n",
    ]
    environment.reset(make_task("find-plant", 0, max_steps=len(hostile) + 1))
    before = environment.admissible()
    for action in hostile:
        assert environment.step(action).observation == REFUSED, action
    assert environment.admissible() == before == sorted(before)
    assert environment.step("dance").truncated


def test_stepping_needs_a_running_episode(environment: Environment) -> None:
    with pytest.raises(AssertionError):
        environment.step("look around")
    environment.reset(make_task("find-plant", 0, max_steps=1))
    assert environment.step("look around").truncated
    with pytest.raises(AssertionError):
        environment.step("look around")


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "{}",
        "[1]",
        '{"task": "boil"}',
        '{"task": 1, "variation": 1, "simplifications": "easy"}',
        '{"task": "boil", "variation": -1, "simplifications": "easy"}',
        '{"game": 1}',
    ],
)
def test_a_spec_of_another_form_is_a_users_error(spec: str) -> None:
    task = Task("scienceworld", "x", "train", "boil", "Boil.", spec, 10)
    with pytest.raises(UserError, match=r'^task x: spec .* expected {"task"'):
        read_spec(task)


def test_an_unknown_variation_is_a_users_error(environment: Environment) -> None:
    with pytest.raises(UserError, match=r"^task find-plant-999: .*exceeds the total number of variations"):
        environment.reset(make_task("find-plant", 999))


ACTIONS = ["teleport to outside", "pick up axe", "open door", "0", "focus on axe", "wait", "look around"]


def test_episodes_survive_a_killed_and_a_hung_machine(capsys: pytest.CaptureFixture[str]) -> None:
    with running() as simulator:
        undisturbed = ScienceworldEnvironment(simulator)
        undisturbed.reset(make_task("find-non-living-thing", 0))
        expected = [undisturbed.step(action) for action in ACTIONS]
        undisturbed.close()
    assert simulator.pid is None

    # Long enough for a machine to start, short enough to wait for.
    with running(timeout=10.0) as simulator:
        two = [ScienceworldEnvironment(simulator) for _ in range(2)]
        for environment in two:
            environment.reset(make_task("find-non-living-thing", 0))
        heard: list[list[object]] = [[], []]
        for number, action in enumerate(ACTIONS):
            # Killed before the choice from a menu; hung before the last step.
            if disturbance := {3: signal.SIGKILL, 6: signal.SIGSTOP}.get(number):
                assert simulator.pid is not None
                os.kill(simulator.pid, disturbance)
            for steps, environment in zip(heard, two, strict=True):
                steps.append(environment.step(action))
        assert heard == [expected, expected]
        assert simulator.machines >= 3 and capsys.readouterr().err.count("lost a Java machine") >= 2
        assert two[0].admissible() == two[1].admissible()
        two[0].close()
        assert simulator.pid is not None
        two[1].close()
        two[1].close()
        assert simulator.pid is None


# A lost machine takes its end of py4j's socket along; ours is collected, with a warning, as the test ends.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_lost_machine_costs_one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as simulator:
        environment = ScienceworldEnvironment(simulator)
        environment.reset(make_task("find-non-living-thing", 0))
        attempts = []
        patiently = simulator.patiently

        def counted(ask: Callable[[], Any]) -> Any:
            return patiently(lambda: attempts.append(1) or ask())

        monkeypatch.setattr(simulator, "patiently", counted)
        assert simulator.pid is not None
        os.kill(simulator.pid, signal.SIGKILL)
        environment.step("look around")
        assert len(attempts) == 2  # one that finds out, one that is answered
    gc.collect()


def test_what_was_said_before_is_said_again_without_a_machine() -> None:
    """Episodes that share their beginnings: every answer as if played, and a start only where they part."""
    episodes = [ACTIONS, ACTIONS, [*ACTIONS[:3], "1", "look around", "wait"], ACTIONS[:5], ["wait", *ACTIONS[1:]]]
    task = make_task("find-non-living-thing", 0)
    with running() as simulator:

        def play(environment: ScienceworldEnvironment) -> list[list[object]]:
            heard: list[list[object]] = []
            for actions in episodes:
                heard.append([environment.reset(task), *(environment.step(action) for action in actions)])
            environment.close()
            return heard

        expected = play(ScienceworldEnvironment(simulator))
        loads: list[str] = []
        load = simulator.load
        simulator.load = lambda *which: loads.append(which[0]) or load(*which)  # type: ignore[func-returns-value]
        memory = Memory()
        assert play(ScienceworldEnvironment(simulator, memory)) == expected
        assert len(loads) == 3, "the first, and the two that leave it"
        assert play(ScienceworldEnvironment(simulator, memory)) == expected and len(loads) == 3
        remembered = ScienceworldEnvironment(simulator, memory)
        remembered.reset(task)
        remembered.step(ACTIONS[0])
        played = ScienceworldEnvironment(simulator)
        played.reset(task)
        played.step(ACTIONS[0])
        assert remembered.admissible() == played.admissible()
        small = Memory(limit=4)
        assert play(ScienceworldEnvironment(simulator, small)) == expected and len(loads) > 4
        remembered.close()
        played.close()


def test_a_closed_environment_can_be_reset() -> None:
    with running() as simulator:
        environment = ScienceworldEnvironment(simulator)
        environment.close()
        environment.reset(make_task("find-plant", 0))
        assert environment.step("inventory").observation.startswith("In your inventory, you see:")
