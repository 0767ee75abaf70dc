"""What every model has been taught with: the ledger of supervision behind Table 1.

A gain over SFT strong is weak-to-strong generalization only where the student had no more of the expert than SFT strong
itself; so turns are counted by whose they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Supervision:
    """What one model of one environment and seed has read, its own start included.

    Attributes:
        init: the model that it starts from; "" for a base.
        play: turns of exploratory play, on tasks that nobody explores.
        expert: turns of expert demonstrations and of the sides of pairs that an expert made.
        models: turns that models made, as paths or on sides of pairs.
        updates: of the last training alone.
    """

    environment: str
    seed: int
    model: str
    init: str
    play: int
    expert: int
    models: int
    updates: int


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one training adds to the model that it starts from.

    Attributes:
        init: that model; "" for a base.
        play, expert, models: turns as in `Supervision`; demonstrations that the start has read do not count again.
    """

    init: str
    play: int = 0
    expert: int = 0
    models: int = 0


def ledger(
    lessons: Mapping[str, Lesson], *, updates: Mapping[str, int], environment: str, seed: int
) -> list[Supervision]:
    """One line for every model, in the order of the lessons, each after its start."""
    lines: dict[str, Supervision] = {}
    for model, lesson in lessons.items():
        start = lines.get(lesson.init)
        lines[model] = Supervision(
            environment=environment,
            seed=seed,
            model=model,
            init=lesson.init,
            play=lesson.play + (start.play if start else 0),
            expert=lesson.expert + (start.expert if start else 0),
            models=lesson.models + (start.models if start else 0),
            updates=updates.get(model, 0),
        )
    return list(lines.values())
