"""The tasks of ScienceWorld that the parameters ask for."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from w2sg.contracts import files
from w2sg.contracts.errors import UserError
from w2sg.contracts.tasks import SPLITS, Task
from w2sg.environments.scienceworld.settings import Settings
from w2sg.environments.scienceworld.tasks import splits
from w2sg.environments.scienceworld.world.environment import ScienceworldEnvironment, Spec
from w2sg.environments.scienceworld.world.java import DETERMINISTIC
from w2sg.environments.scienceworld.world.simulator import Episode, Simulator

EASY = ("teleportAction", "openDoors", "selfWateringFlowerPots", "noElectricalAction")
SIMPLIFICATIONS = ("easy", *EASY, "openContainers")


def make_tasks(settings: Settings, folder: Path) -> list[Task]:
    """List the tasks of all splits, and write into `folder` what decides how they answer: versions and options.

    Raises:
        UserError: an unknown task or simplification, or more tasks than there are.
    """
    for name in settings.task_types:
        if name not in splits.TASKS:
            allowed = ", ".join(splits.TASKS)
            raise UserError(f"environments.scienceworld.task_types: {name!r} is unknown; allowed: {allowed}")
        simplification_string(settings.simplifications, name)
    simulator = Simulator(java_home=settings.java_home, heap_mb=settings.heap_mb, timeout=settings.timeout)
    simulator.retain()
    try:
        chosen = _choose(settings, simulator)
        tasks = [
            _describe(settings, simulator, split, name, number) for split in SPLITS for name, number in chosen[split]
        ]
    finally:
        simulator.release()
    made_with = {"scienceworld": version("scienceworld"), "java_options": DETERMINISTIC}
    files.write_json(folder / "simulator.json", made_with)
    return tasks


def simplification_string(names: Sequence[str], task: str) -> str:
    """Simplifications as the simulator takes them for `task`: no task about electricity loses its own actions.

    Raises:
        UserError: an unknown name.
    """
    for name in names:
        if name not in SIMPLIFICATIONS:
            allowed = ", ".join(SIMPLIFICATIONS)
            raise UserError(f"environments.scienceworld.simplifications: {name!r} is unknown; allowed: {allowed}")
    if tuple(names) == ("easy",):
        return "easy"
    wanted = {part for name in names for part in (EASY if name == "easy" else (name,))}
    if "power-component" in task or "conductivity" in task:
        wanted.discard("noElectricalAction")
    return ",".join(name for name in SIMPLIFICATIONS if name in wanted)


def _choose(settings: Settings, simulator: Simulator) -> dict[str, list[tuple[str, int]]]:
    """Task and variation of every item, by split; every type evenly spread over the list."""
    chosen: dict[str, list[tuple[str, int]]] = {}
    available = {
        name: splits.by_eto(name, simulator.variations(name))
        if settings.splits == "eto"
        else splits.by_package(simulator.variations(name))
        for name in settings.task_types
    }
    counts = {"train": settings.tasks.train, "seen": settings.tasks.seen, "unseen": settings.tasks.unseen}
    for split in SPLITS:
        try:
            taken = splits.shares([len(available[name][split]) for name in settings.task_types], counts[split])
        except ValueError as error:
            raise UserError(f"environments.scienceworld.tasks.{split}: {error} in these task_types") from None
        places: list[tuple[float, str, int]] = []
        for name, count in zip(settings.task_types, taken, strict=True):
            # Neighbouring variations are alike, so a part of them is drawn from all over the range.
            drawn = sorted(available[name][split], key=lambda number: _hash(f"{name} {number}"))[:count]
            places += [((place + 0.5) / count, name, number) for place, number in enumerate(drawn)]
        chosen[split] = [(name, number) for _, name, number in sorted(places)]
    return chosen


def _describe(settings: Settings, simulator: Simulator, split: str, name: str, number: int) -> Task:
    simplifications = simplification_string(settings.simplifications, name)

    def look() -> tuple[Episode, float]:
        episode = simulator.load(name, number, simplifications)
        return episode, simulator.step(episode, "look around").score

    episode, start_score = simulator.patiently(look)
    return Task(
        environment=ScienceworldEnvironment.name,
        task_id=f"{name}-{number}",
        split=split,
        task_type=name,
        instruction=episode.description,
        spec=json.dumps(asdict(Spec(name, number, simplifications, start_score))),
        max_steps=settings.max_steps or splits.STEP_CAPS[name],
    )


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
