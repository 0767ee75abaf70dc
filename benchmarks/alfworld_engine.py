"""Our ALFWorld engine against TextWorld's, on the same games and commands, with the same texts.

    python benchmarks/alfworld_engine.py [--games N] [--steps N] [--data FOLDER]

Without FOLDER (game.tw-pddl files in the official layout), games are generated at their full size. Prints medians in
milliseconds and the ratio; fails if a text differs.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from w2sg.contracts.command_line import Parser, positive, status
from w2sg.contracts.errors import UserError
from w2sg.environments.alfworld.tasks.games import GameSettings, draw_game
from w2sg.environments.alfworld.tasks.official import game_folders, read_game
from w2sg.environments.alfworld.world.engine import Engine
from w2sg.environments.alfworld.world.translation import load, save, translate


def clocked(times: list[float], action: Callable[[], Any]) -> Any:
    """Run `action`, add its milliseconds to `times`, return its result."""
    start = time.perf_counter()
    result = action()
    times.append(1000 * (time.perf_counter() - start))
    return result


def compare(data: dict[str, Any], name: str, folder: Path, *, original: Any, steps: int, times: dict[str, Any]) -> None:
    """Play random commands in both engines and keep the times."""
    rng = random.Random(name)

    def reset_original() -> Any:
        original.load(data)
        return original.reset()

    state = clocked(times["load and reset"][0], reset_original)
    save(folder, name, clocked(times["translate, once a game"][1], lambda: translate(data)))
    engine = clocked(times["load and reset"][1], lambda: Engine(load(folder, name)))
    assert engine.intro() == state.feedback, f"{name}: the opening differs"
    for _ in range(steps):
        command = rng.choice(engine.commands())
        state, _, _ = clocked(times["step"][0], lambda command=command: original.step(command))
        answer, offered, won = clocked(
            times["step"][1], lambda command=command: (engine.act(command), engine.commands(), engine.won())
        )
        same = answer == state.feedback and offered == state.admissible_commands and won == state.won
        assert same, f"{name}: {command}: the answers differ"


def main() -> int:
    """Print the comparison."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=positive, default=5)
    parser.add_argument("--steps", type=positive, default=20)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    argv = list(sys.argv)

    import textworld
    from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
    from textworld.envs.pddl.pddl import PddlEnv

    if options.data is None:
        drawn = (draw_game(GameSettings(), split="train", index=n, seed=0)[0] for n in range(options.games))
        games = {f"train-{number:04d}": game for number, game in enumerate(drawn)}
    else:
        if not (folders := game_folders(options.data)):
            raise UserError(f"{options.data}: holds no game.tw-pddl")
        folders = random.Random(0).sample(folders, min(options.games, len(folders)))
        games = {folder.name: read_game(folder)[0] for folder in folders}
    times: dict[str, Any] = {row: ([], []) for row in ("translate, once a game", "load and reset", "step")}
    original = AlfredDemangler(PddlEnv(textworld.EnvInfos(won=True, admissible_commands=True)))
    with tempfile.TemporaryDirectory() as folder:
        for name, data in games.items():
            compare(data, name, Path(folder), original=original, steps=options.steps, times=times)
            sys.argv[:] = argv  # the original's translator overwrites it
    print(f"{len(games)} games, {options.steps} random steps each; texts identical")
    print(f"{'median ms':<24}{'TextWorld':>12}{'w2sg':>12}{'ratio':>8}")
    for row, (theirs, ours) in times.items():
        mine = statistics.median(ours)
        if theirs:
            other = statistics.median(theirs)
            print(f"{row:<24}{other:>12.1f}{mine:>12.2f}{other / mine:>8.0f}")
        else:
            print(f"{row:<24}{'':>12}{mine:>12.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(status("alfworld_engine", main))
