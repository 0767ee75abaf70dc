"""Time and peak memory of trees, pairs and search as the tasks grow: linear in their number, or not.

    python benchmarks/tree_scale.py FOLDER [--environment alfworld] [--tasks 100 1000 10000]

FOLDER is a project that has run: its exploration is played again, as it were, by further tasks whose texts differ from
all others by a number, so that the distinct texts grow as well; a text's vector is that of the original.
Each stage runs in a process of its own. Linux only (/proc).
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from w2sg.config import params  # noqa: E402
from w2sg.contracts import layout  # noqa: E402
from w2sg.contracts.command_line import Parser, positive, status  # noqa: E402
from w2sg.contracts.trajectories import Step, Trajectory, read_trajectories, write_trajectories  # noqa: E402
from w2sg.trees.embeddings import read_embeddings, write_embeddings  # noqa: E402

# What each process does, after its imports: seconds and MiB are of this alone, and of all.
MEASURED = """
import resource, sys
from pathlib import Path
from w2sg.config import params
from w2sg.contracts import layout
from w2sg.stages import pairs, trees
from w2sg.trees.mcts import extract, searches
from w2sg.trees.tree import load
def search(settings, *, environment, seed):
    found, mcts = load(layout.trees(environment, seed)), settings.mcts
    for task_id, each in searches(found, gamma=mcts.gamma, iterations=mcts.iterations, seed=seed):
        extract(found[task_id], statistics=each, ties=mcts.ties, words=mcts.words)
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
settings, (stage, environment) = params.load(), sys.argv[1:]
before, start = peak(), resource.getrusage(resource.RUSAGE_SELF)
own = {"method": "w2s_dpo"} if stage == "pairs" else {}
{"trees": trees.main, "pairs": pairs.main, "search": search}[stage](settings, environment=environment, seed=0, **own)
end = resource.getrusage(resource.RUSAGE_SELF)
print(end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime, peak(), before)
"""


def main() -> int:
    """Print a table: a row a number of tasks and a stage."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--environment", default="alfworld")
    parser.add_argument("--tasks", type=positive, nargs="+", default=[100, 1000, 10000])
    options = parser.parse_args()
    print(f"{options.environment}, {params.load(options.folder / 'params.yaml').tree.breadth} samples a tree")
    print(f"{'tasks':>6} {'stage':<7} {'processor s':>11} {'ms a task':>10} {'peak MiB':>9} {'KiB a task':>11}")
    for tasks in options.tasks:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            grow(options.folder, folder, environment=options.environment, tasks=tasks)
            for stage in ("trees", "pairs", "search"):
                seconds, peak, before = measure(folder, stage, environment=options.environment)
                each = f"{1000 * seconds / tasks:10.2f} {peak:9.0f} {1024 * (peak - before) / tasks:11.1f}"
                print(f"{tasks:6} {stage:<7} {seconds:11.2f} {each}", flush=True)
    return 0


def grow(source: Path, target: Path, *, environment: str, tasks: int) -> None:
    """A project with the exploration of `tasks` tasks, those of `source` over and over, and its embeddings."""
    shutil.copy2(source / "params.yaml", target / "params.yaml")
    explored = read_trajectories(source / layout.explore(environment, 0, "weak"))
    vectors = read_embeddings(source / layout.embeddings(environment, 0))
    own = list(dict.fromkeys(trajectory.task_id for trajectory in explored))
    texts: dict[str, np.ndarray] = {}

    def again() -> Iterator[Trajectory]:
        for number in range(tasks):
            turn, place = divmod(number, len(own))
            for trajectory in explored:
                if trajectory.task_id == own[place]:
                    steps = [_told(step, turn) for step in trajectory.steps]
                    for step, new in zip(trajectory.steps, steps, strict=True):
                        if step.observation in vectors:
                            texts[new.observation] = vectors[step.observation]
                    yield replace(trajectory, task_id=f"task-{number:06}", steps=tuple(steps))

    write_trajectories(target / layout.explore(environment, 0, "weak"), list(again()))
    write_embeddings(target / layout.embeddings(environment, 0), list(texts), np.stack(list(texts.values())))


def _told(step: Step, turn: int) -> Step:
    """The step with its texts marked."""
    return replace(
        step,
        observation=f"{step.observation} ({turn})",
        next_observation=f"{step.next_observation} ({turn})",
    )


def measure(folder: Path, stage: str, *, environment: str) -> tuple[float, float, float]:
    """Seconds of processor time of a stage, peak of its process in MiB, and the peak before it began."""
    command = [sys.executable, "-c", MEASURED, stage, environment]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT / "src")}, check=True, capture_output=True, text=True
    )
    seconds, peak, before = map(float, done.stdout.split())
    return seconds, peak, before


if __name__ == "__main__":
    sys.exit(status("tree_scale", main))
