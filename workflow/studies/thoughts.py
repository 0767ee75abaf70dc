"""How far the paths that a student imitates say what the expert says: `python workflow/studies/thoughts.py .study`.

A path may be right for a wrong reason: a winning sample that guessed, or e* with a word of its own. Of each path of a
method, turn by turn beside the expert's trajectory of the same task as long as the actions agree: how many turns that
is, and in how many of them the thought is the expert's, too. After the first other action the two are in different
states, and nothing is compared. Prints a table.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from w2sg.config import params
from w2sg.contracts import layout
from w2sg.contracts.command_line import NUMBERS, Parser, status
from w2sg.contracts.errors import UserError
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.trajectories import Trajectory, read_trajectories
from w2sg.contracts.turns import parse_response
from w2sg.evaluation.measures.models import environment_label
from w2sg.evaluation.paper import paper


@dataclass(frozen=True, slots=True)
class Agreement:
    """Turns of all paths of one environment and seed: all of them, those that act as the expert, and think so too."""

    environment: str
    seed: int
    paths: int
    turns: int
    actions: int
    thoughts: int

    def row(self) -> str:
        """Of a Markdown table."""
        shares = [
            f"{100 * part / whole:.0f} %" if whole else "–"
            for part, whole in ((self.actions, self.turns), (self.thoughts, self.actions))
        ]
        cells = [environment_label(self.environment), self.seed, self.paths, self.turns, *shares]
        return f"| {' | '.join(map(str, cells))} |"


def main() -> int:
    """Read a run's paths and demonstrations, print how far they agree."""
    parser = Parser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("run", type=Path, nargs="?", default=Path(), help="workspace of a run; this folder")
    parser.add_argument("--seeds", **NUMBERS, help="that the run has played; its own")
    parser.add_argument("--method", default="w2s_mcts", help="of the roster imitation; w2s_mcts")
    options = parser.parse_args()
    return status("thoughts", lambda: show(options))


def show(options: argparse.Namespace) -> int:
    """Print the table.

    Raises:
        UserError: see `agreements`.
    """
    with contextlib.chdir(options.run):
        found = list(agreements(options.method, options.seeds))
    print("| environment | seed | paths | turns | acts as the expert | of these thinks so, too |")
    print("|---|---:|---:|---:|---:|---:|")
    print("\n".join(each.row() for each in found))
    return 0


def agreements(method: str, seeds: Sequence[int] | None) -> Iterator[Agreement]:
    """Of the run in this folder, by environment and seed; of all its seeds if none are named.

    Raises:
        UserError: it has no such method, or has not made its paths.
    """
    settings = params.load()
    if method not in settings.imitation:
        raise UserError(f"--method {method}: params.yaml has {', '.join(settings.imitation)}")
    for environment in paper.in_order(settings.environments.names):
        experts = {each.task_id: each for each in read_trajectories(layout.explored_experts(environment))}
        for seed in seeds or settings.seeds:
            paths = DemonstrationPath.read(layout.paths(environment, seed, method))
            counts = [agreement(path, experts[path.task_id]) for path in paths if path.task_id in experts]
            turns, actions, thoughts = map(sum, zip(*counts, strict=True)) if counts else (0, 0, 0)
            yield Agreement(environment, seed, len(counts), turns, actions, thoughts)


def agreement(path: DemonstrationPath, expert: Trajectory) -> tuple[int, int, int]:
    """Turns of a path, those before its first other action than the expert's, and those of them with its thought."""
    said = [parse_response(message["content"]) for message in path.messages[1::2]]
    actions = thoughts = 0
    for turn, step in zip(said, expert.steps, strict=False):
        if turn is None or turn[1] != step.action:
            break
        actions += 1
        thoughts += turn[0] == step.thought
    return len(said), actions, thoughts


if __name__ == "__main__":
    sys.exit(main())
