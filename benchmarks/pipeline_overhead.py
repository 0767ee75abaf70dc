"""What scheduling costs: Snakemake over the bridge against `dvc repro`, on stages that do nothing.

    python benchmarks/pipeline_overhead.py [--repetitions 3] [--stages 24] [--sizes 50 100 200 500]

Both tools run in turn on copies of the same pipeline in a temporary folder. Prints seconds of wall time (median, least
to greatest) and the median seconds of processor time. Stages depend on as many source files as the project's do.
Linux only (/proc/locks).
"""

import argparse
import contextlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from snakemake_dvc.stages import open_repo  # noqa: E402
from w2sg.contracts.command_line import Parser, positive, status  # noqa: E402

SOURCES = 15
CHAIN = 6  # stages in a row that each take the output of the one before
MEGABYTES = 512


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, and seconds of processor time, which say more on a busy machine."""

    wall: float
    processor: float

    @staticmethod
    def now() -> "Cost":
        mine, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return Cost(time.perf_counter(), sum(usage.ru_utime + usage.ru_stime for usage in (mine, children)))

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.wall - other.wall, self.processor - other.processor)

    def __truediv__(self, parts: int) -> "Cost":
        return Cost(self.wall / parts, self.processor / parts)


def make_pipeline(folder: Path, *, stages: int, sources: int = SOURCES) -> None:
    """A pipeline whose stages print the parameter `round`, as if it had run."""
    table = {}
    for number in range(stages):
        deps = [f"src/{source}.py" for source in range(sources)]
        deps += [f"out/{number - 1:03}.txt"] if number % CHAIN else []
        out = f"out/{number:03}.txt"
        table[f"stage{number:03}"] = {
            "cmd": f"grep round params.yaml > {out}",
            "deps": deps,
            "params": ["round"],
            "outs": [out],
        }
    make_workspace(folder, table)
    for source in range(sources):
        write(folder / f"src/{source}.py", f"source {source}\n")
    for number in range(stages):
        write(folder / f"out/{number:03}.txt", "round: 0\n")
    with contextlib.chdir(folder), open_repo() as repo, repo.lock:
        for stage in repo.index.stages:
            stage.save()
            stage.commit()
        # All at once: stage by stage, DVC would read and write dvc.lock anew for each.
        repo.index.stages[0].dvcfile.dump_stages(repo.index.stages, update_pipeline=False)


def make_workspace(folder: Path, table: dict[str, dict[str, object]]) -> None:
    """A git and DVC repository with the project's Snakefile and bridge over another stage table."""
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder)
    write(folder / "dvc.yaml", yaml.safe_dump({"stages": table}, sort_keys=False))
    write(folder / "params.yaml", "round: 0\n")
    call(folder, "git init --quiet")
    call(folder, "dvc init --quiet")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def call(folder: Path, command: str) -> Cost:
    """Run a command to its end."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "DVC_NO_ANALYTICS": "1",
    }
    start = Cost.now()
    done = subprocess.run(command.split(), cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}: {done.stdout}{done.stderr}")
    return Cost.now() - start


def in_turn(repetitions: int, *actions: Callable[[int], Cost]) -> list[list[Cost]]:
    """What each action measures, called in turn after one round that does not count; called with the round's number."""
    rounds = [[action(number) for action in actions] for number in range(1, repetitions + 2)]
    return [list(values) for values in zip(*rounds[1:], strict=True)]


def median(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(cost.wall for cost in costs), statistics.median(cost.processor for cost in costs))


def shown(costs: list[Cost]) -> str:
    walls = [cost.wall for cost in costs]
    middle = median(costs)
    return f"{middle.wall:.2f} ({min(walls):.2f} to {max(walls):.2f}); {middle.processor:.2f}"


def whole_pipeline(folder: Path, *, stages: int, repetitions: int) -> Iterator[tuple[str, ...]]:
    """A check of a pipeline that is up to date, then what a stage costs that runs, one after the other."""
    commands = ("snakemake --cores 1", "dvc repro")
    folders = [folder / "snakemake", folder / "dvc"]
    for each in folders:
        make_pipeline(each, stages=stages)
    places = list(zip(folders, commands, strict=True))
    checks = in_turn(repetitions, *(lambda _, p=place: call(*p) for place in places))
    yield f"{stages} stages, nothing to do", *map(shown, checks)

    def all_run(number: int, place: tuple[Path, str]) -> Cost:
        write(place[0] / "params.yaml", f"round: {number}\n")
        return call(*place)

    runs = in_turn(repetitions, *(lambda number, p=place: all_run(number, p) for place in places))
    extra = [[(value - median(check)) / stages for value in values] for values, check in zip(runs, checks, strict=True)]
    yield f"each of {stages} stages that run, beyond that", *map(shown, extra)


def lock_held(folder: Path, *, repetitions: int) -> tuple[str, ...]:
    """The longest time for which a stage with a large output holds DVC's lock, while no other can begin or end."""
    table = {
        "large": {"cmd": f"head -c {MEGABYTES}M /dev/urandom > large.bin", "params": ["round"], "outs": ["large.bin"]}
    }
    folders = [folder / "large-snakemake", folder / "large-dvc"]
    for each in folders:
        make_workspace(each, table)

    def longest(number: int, place: Path, command: str) -> Cost:
        write(place / "params.yaml", f"round: {number}\n")
        with watched(place / ".dvc/tmp/lock") as times:
            cost = call(place, command)
        shutil.rmtree(place / ".dvc/cache")
        return Cost(max(times), cost.processor)

    commands = ("snakemake --cores 1", "dvc repro")
    values = in_turn(
        repetitions,
        *(lambda number, p=place: longest(number, *p) for place in zip(folders, commands, strict=True)),
    )
    return f"longest time the lock is held, {MEGABYTES} MB of output", *map(shown, values)


@contextlib.contextmanager
def watched(lock: Path) -> Iterator[list[float]]:
    """Collects how long the file was locked each time, by looking at the kernel's list every 5 ms."""
    times: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        since = None
        while not ended.wait(0.005):
            inode = f":{lock.stat().st_ino} " if lock.exists() else None
            held = inode is not None and inode in Path("/proc/locks").read_text()
            if held and since is None:
                since = time.perf_counter()
            elif not held and since is not None:
                times.append(time.perf_counter() - since)
                since = None

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield times
    finally:
        ended.set()
        thread.join()


PLAN = "load_pipeline(Mode.SHOW, [], scratch=Path('.dvc/tmp'))"
CHECK = "repo.reproduce()"
CLOCKED = """
import sys
from pathlib import Path
sys.path[:0] = {path}
import pipeline_overhead
from snakemake_dvc.command_line import Mode
from snakemake_dvc.plan import load_pipeline
from snakemake_dvc.stages import open_repo
with open_repo() as repo:
    start = pipeline_overhead.Cost.now()
    {action}
    cost = pipeline_overhead.Cost.now() - start
print(cost.wall, cost.processor)
"""


def clocked(folder: Path, action: str) -> Cost:
    """What an action costs in a process of its own, which has imported DVC and read nothing yet."""
    code = CLOCKED.format(path=[str(ROOT / "src"), str(ROOT / "benchmarks")], action=action)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return Cost(*map(float, done.stdout.split()[-2:]))


def plan(folder: Path, *, stages: int, repetitions: int) -> tuple[str, ...]:
    """The plan itself, without starting Python and Snakemake, against DVC finding nothing to do, likewise."""
    make_pipeline(folder, stages=stages)
    mine, other = in_turn(repetitions, *(lambda _, action=action: clocked(folder, action) for action in (PLAN, CHECK)))
    return str(stages), shown(mine), shown(other), f"{1000 * median(mine).processor / stages:.1f}"


def print_row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> int:
    """Print the tables."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=positive, default=3)
    parser.add_argument("--stages", type=positive, default=24)
    parser.add_argument("--sizes", type=positive, nargs="*", default=[50, 100, 200, 500])
    options = parser.parse_args()
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {options.repetitions} rounds in turn. "
        "Seconds: median (least to greatest); median of processor time.\n"
    )
    with tempfile.TemporaryDirectory() as name:
        os.environ["DVC_SITE_CACHE_DIR"] = f"{name}/site"
        print_row("", "snakemake", "dvc repro")
        print("|---|---:|---:|")
        for row in whole_pipeline(Path(name), stages=options.stages, repetitions=options.repetitions):
            print_row(*row)
        print_row(*lock_held(Path(name), repetitions=options.repetitions))
        print()
        print_row("stages", "plan", "dvc finds nothing to do", "plan, processor ms a stage")
        print("|---:|---:|---:|---:|")
        for size in options.sizes:
            print_row(*plan(Path(name) / f"plan{size}", stages=size, repetitions=options.repetitions))
    return 0


if __name__ == "__main__":
    sys.exit(status("pipeline_overhead", main))
