"""Our way of calling ScienceWorld against the package's own environment, on the same episodes, with the same texts.

    python benchmarks/scienceworld_engine.py [--episodes N] [--task NAME]

Plays the simulator's own solutions in both, prints median milliseconds per start and per step and the ratios; fails if
a text or a score differs. Both run with the same Java and the same options.
"""

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from w2sg.contracts.command_line import Parser, positive, status
from w2sg.environments.scienceworld.replay import spread
from w2sg.environments.scienceworld.world.java import DETERMINISTIC, find_java
from w2sg.environments.scienceworld.world.simulator import Simulator

TASKS = ("lifespan-longest-lived", "find-plant", "find-non-living-thing", "chemistry-mix", "use-thermometer")


def clocked(times: list[float], action: Callable[[], Any]) -> Any:
    """Run `action`, add its milliseconds to `times`, return its result."""
    start = time.perf_counter()
    result = action()
    times.append(1000 * (time.perf_counter() - start))
    return result


def original() -> Any:
    """The package's environment, with our Java and options, which it has no arguments for."""
    import py4j.java_gateway as gateway
    import scienceworld.scienceworld as package

    def launch(**arguments: Any) -> Any:
        return gateway.launch_gateway(**arguments, java_path=str(find_java()), javaopts=list(DETERMINISTIC))

    package.launch_gateway = launch
    return package.ScienceWorldEnv("")


def play(simulator: Simulator, package: Any, task: str, variation: int, times: dict[str, Any]) -> None:
    """One solution in both, step by step."""
    path = simulator.gold_path(task, variation, "easy")

    def start_package() -> str:
        package.load(task, variation, "easy")
        return str(package.reset()[0])

    def start() -> Any:
        episode = simulator.load(task, variation, "easy")
        return episode, simulator.step(episode, "look around").text

    look = clocked(times["start"][0], start_package)
    episode, text = clocked(times["start"][1], start)
    assert text == look, f"{task} {variation}: the first look differs"
    for action in path:
        observation, _, done, info = clocked(times["step"][0], lambda action=action: package.step(action))
        answer = clocked(times["step"][1], lambda action=action: simulator.step(episode, action))
        same = answer.text == observation and round(100 * answer.score) == info["score"]
        assert same, f"{task} {variation}: {action}: the answers differ"
        if done:
            break


def main() -> int:
    """Print the comparison."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=positive, default=3, help="variations of each task")
    parser.add_argument("--task", choices=TASKS, help="only this one")
    options = parser.parse_args()
    times: dict[str, Any] = {row: ([], []) for row in ("start", "step")}
    simulator = Simulator()
    simulator.retain()
    package = original()
    try:
        for task in [options.task] if options.task else TASKS:
            for variation in spread(simulator.variations(task), options.episodes):
                play(simulator, package, task, variation, times)
    finally:
        simulator.release()
        package.close()
    print(f"{'medians':8}{'package, ms':>14}{'ours, ms':>12}{'ratio':>9}")
    for row, pair in times.items():
        theirs, ours = map(statistics.median, pair)
        print(f"{row:8}{theirs:14.1f}{ours:12.1f}{theirs / ours:9.1f}")
    steps, seconds = len(times["step"][1]), sum(itertools.chain(*(ours for _, ours in times.values()))) / 1000
    print(f"{steps / seconds:.0f} steps/s, starts included; the same {steps} texts and scores")
    return 0


if __name__ == "__main__":
    sys.exit(status("scienceworld_engine", main))
