"""`w2sg replay scienceworld`: play the simulator's own solutions twice and compare everything it says."""

import argparse
import sys
from collections.abc import Sequence

from w2sg.contracts.errors import UserError, named
from w2sg.environments.scienceworld.tasks.splits import TASKS
from w2sg.environments.scienceworld.world.simulator import Answer, Simulator, Variations


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--tasks", default="all", metavar="NAME[,NAME]", help="experiments; all without it")
    parser.add_argument("--variations", type=int, default=3, metavar="N", help="of each, spread over its range")


def run(arguments: argparse.Namespace) -> int:
    """What the command does; see compare."""
    return compare(arguments.tasks, arguments.variations)


def compare(
    tasks: str, variations: int, *, java_home: str | None = None, heap_mb: int = 256, timeout: float = 120.0
) -> int:
    """Replay gold paths and print `score 1.0: K of N; identical: K of N`; 0 if all are both, else 1.

    Args:
        tasks: names joined by commas, or "all".
        variations: how many of each task, spread over its whole range.

    Raises:
        UserError: an unknown task, or no variation asked for.
    """
    names = TASKS if tasks == "all" else tuple(tasks.split(","))
    if unknown := [name for name in names if name not in TASKS]:
        raise UserError(f"--tasks {named(','.join(unknown))}: unknown; allowed are all, {', '.join(TASKS)}")
    if variations < 1:
        raise UserError(f"--variations {variations}: allowed is 1 or more")
    simulator = Simulator(java_home=java_home, heap_mb=heap_mb, timeout=timeout)
    simulator.retain()
    won = same = total = 0
    try:
        for name in names:
            for variation in spread(simulator.patiently(lambda: simulator.variations(name)), variations):  # noqa: B023
                first, second = simulator.patiently(lambda: _twice(simulator, name, variation))  # noqa: B023
                total += 1
                won += (wins := first[-1].score == 1.0)
                same += (agrees := first == second)
                if not (wins and agrees):
                    what = "texts or scores differ" if wins else f"score {first[-1].score:.2f}"
                    print(f"{name} {variation}: {what}", file=sys.stderr)
    finally:
        simulator.release()
    print(f"score 1.0: {won} of {total}; identical: {same} of {total}")
    return 0 if won == same == total else 1


def spread(variations: Variations, count: int) -> list[int]:
    """`count` variations from the first to the last of all ranges, or all of them where there are fewer."""
    every: Sequence[int] = [*variations.train, *variations.dev, *variations.test]
    last = len(every) - 1
    return [every[place] for place in sorted({round(number * last / max(count - 1, 1)) for number in range(count)})]


def _twice(simulator: Simulator, name: str, variation: int) -> tuple[list[Answer], list[Answer]]:
    path = simulator.gold_path(name, variation, "easy")
    return _play(simulator, name, variation, path), _play(simulator, name, variation, path)


def _play(simulator: Simulator, name: str, variation: int, path: list[str]) -> list[Answer]:
    """The answers to the first look and to the actions, until the task is completed or failed."""
    episode = simulator.load(name, variation, "easy")
    answers = [simulator.step(episode, "look around")]
    for action in path:
        answers.append(simulator.step(episode, action))
        if answers[-1].completed or answers[-1].score < 0.0:
            break
    return answers
