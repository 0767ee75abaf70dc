"""What the tests of ScienceWorld share: a simulator, or a visible skip where there is no Java, and tasks."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from w2sg.contracts.errors import UserError
from w2sg.contracts.tasks import Task
from w2sg.environments.scienceworld.world.java import find_java
from w2sg.environments.scienceworld.world.simulator import Simulator

LIFESPAN = "Your task is to find the animal with the longest life span.  The animals are in the 'outside' location.  "
LIFESPAN += "Focus on the animal with the longest life span."


@contextmanager
def running(*, timeout: float = 120.0) -> Iterator[Simulator]:
    """A simulator that is ended afterwards."""
    try:
        find_java()
    except UserError as error:
        pytest.skip(f"ScienceWorld needs Java: {error}")
    simulator = Simulator(timeout=timeout)
    try:
        yield simulator
    finally:
        simulator.kill()


def make_task(name: str, variation: int, *, max_steps: int = 15, simplifications: str = "easy") -> Task:
    spec = {"task": name, "variation": variation, "simplifications": simplifications}
    return Task(
        environment="scienceworld",
        task_id=f"{name}-{variation}",
        split="train",
        task_type=name,
        instruction=LIFESPAN if name == "lifespan-longest-lived" else name,
        spec=json.dumps(spec),
        max_steps=max_steps,
    )
