"""What a reset and a step of ScienceWorld need."""

from collections.abc import Callable
from pathlib import Path

from w2sg.contracts.environment import Environment
from w2sg.environments.scienceworld.settings import Settings
from w2sg.environments.scienceworld.world.environment import Memory, ScienceworldEnvironment
from w2sg.environments.scienceworld.world.simulator import Simulator


def open(settings: Settings, folder: Path) -> Callable[[], Environment]:
    """A function that opens an instance; all of them share one simulator and what it has said.

    `folder` holds only what the stage `tasks` records of the simulator, which no reset needs.
    """
    simulator = Simulator(java_home=settings.java_home, heap_mb=settings.heap_mb, timeout=settings.timeout)
    memory = Memory()
    return lambda: ScienceworldEnvironment(simulator, memory)
