"""Run the stale stages in their order, side by side where there are processors for it."""

import fcntl
import glob
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter
from itertools import takewhile
from pathlib import Path

from w2sg.commands.run import lock_file, stage_table
from w2sg.commands.run.stage_table import Stage
from w2sg.contracts.errors import UserError, told

# No file of the project's: an editor puts another in its place.
ALONE = Path(".w2sg-run.lock")


def run(*, targets: Sequence[str] = (), cores: int, dry: bool) -> int:
    """Run what is stale; a stage that fails stops those that have not begun.

    Args:
        targets: these stages and what they need, by name or by that before @; all if there are none.
        cores: processors to be used; a stage takes as many as dvc.yaml gives it threads.
        dry: only say what would run.

    Returns:
        0, or 1 if a stage failed.
    """
    table = stage_table.read()
    _check(table)
    stages = stage_table.needed(table, targets)
    for path, reader in stage_table.given(table).items():
        if reader in stages and not Path(path).exists():
            raise UserError(f"{reader}: {path}, which it reads, is not there")
    order = TopologicalSorter(stage_table.before(list(stages.values())))
    try:
        order.prepare()
    except CycleError as error:
        raise UserError(f"{stage_table.TABLE}: stages depend on each other: {' -> '.join(error.args[1])}") from None
    if dry:
        return _say(stages, order)
    with _alone() as lock:
        return _Run(stages, order, cores=cores, lock=lock).all()


def _check(stages: Sequence[Stage]) -> None:
    """Ask the commands of the table whether the parameters are right, as Snakemake's plan does."""
    for command in dict.fromkeys(stage.check for stage in stages if stage.check):
        done = subprocess.run(command, shell=True, env=_environment(), stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise UserError(done.stderr.strip() or f"{stage_table.TABLE}: `{command}` has failed")


@contextmanager
def _alone() -> Iterator[int]:
    """Keep a second `w2sg run` out of this folder; on a file system that knows no locks, nobody is kept out.

    Yields a descriptor, which stages inherit: those that a killed call leaves at work have the folder until they end.
    """
    with ALONE.open("w") as file:  # to be written: NFS locks nothing that is only read
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{Path.cwd().name}: another `w2sg run` is at work in this folder, or what one has left"
            ) from None
        except OSError:
            pass
        yield file.fileno()


def _say(stages: dict[str, Stage], order: "TopologicalSorter[str]") -> int:
    """One line for each stage that would run, and for each that may have to after them."""
    entries, contents = lock_file.read(), lock_file.Contents()
    before = stage_table.before(list(stages.values()))
    touched: set[str] = set()
    while order.is_active():
        for name in order.get_ready():
            order.done(name)
            if earlier := sorted(before[name] & touched):
                print(f"{name}: if the outputs of {', '.join(earlier[:3])}{', …' if len(earlier) > 3 else ''} change")
                touched.add(name)
            elif why := lock_file.reason(stages[name], entries.get(name), contents):
                print(f"{name}: {why}")
                touched.add(name)
    if not touched:
        print("all stages are up to date")
    return 0


class _Run:
    """One run: what is ready begins when processors are free; dvc.lock is written after each stage."""

    def __init__(self, stages: dict[str, Stage], order: "TopologicalSorter[str]", *, cores: int, lock: int) -> None:
        self._stages, self._order, self._cores, self._lock = stages, order, cores, lock
        self._entries, self._contents = lock_file.read(), lock_file.Contents()
        self._waiting: list[Stage] = []
        self._running: dict[Future[int], Stage] = {}
        self._cards, self._taken = _cards(), dict[Future[int], list[str]]()
        self._failed: list[str] = []
        self._ran = 0
        self._written = _written()

    def all(self) -> int:
        for path in _unfinished(lock_file.LOCK):
            path.unlink()
        with ThreadPoolExecutor(self._cores) as pool:
            while self._order.is_active():
                self._take_ready()
                while not self._failed and self._waiting and self._fits(self._waiting[0]):
                    if changed := [name for name, content in _written().items() if content != self._written[name]]:
                        self._failed.append(f"{changed[0]}: changed while this call worked by it; call again to go on")
                        break
                    stage = self._waiting.pop(0)
                    chosen = self._choose(stage.cards)
                    future = pool.submit(_execute, stage, chosen, self._lock)
                    self._running[future], self._taken[future] = stage, chosen
                if not self._running:
                    break
                for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                    del self._taken[future]
                    self._end(self._running.pop(future), future)
        for line in self._failed:
            print(f"w2sg run: {line}", file=sys.stderr)
        if not self._failed:
            print(f"{self._ran} stages have run" if self._ran else "all stages are up to date")
        return 1 if self._failed else 0

    def _take_ready(self) -> None:
        """Put what is ready and stale into the queue; what follows from a fresh stage is ready at once."""
        while ready := self._order.get_ready():
            for name in ready:
                try:
                    why = lock_file.reason(self._stages[name], self._entries.get(name), self._contents)
                except (UserError, OSError) as error:  # what runs beside it is to be recorded all the same
                    self._failed += told(error)
                    continue
                if why is None:
                    self._order.done(name)
                else:
                    print(f"{name}: {why}", flush=True)
                    self._waiting.append(self._stages[name])

    def _fits(self, stage: Stage) -> bool:
        busy = sum(min(each.threads, self._cores) for each in self._running.values())
        return busy + min(stage.threads, self._cores) <= self._cores

    def _choose(self, count: int) -> list[str]:
        """Where there are more GPUs than a stage uses, those that the fewest stages have."""
        if not 0 < count < len(self._cards):
            return []
        users = Counter(card for cards in self._taken.values() for card in cards)
        return sorted(self._cards, key=users.__getitem__)[:count]

    def _end(self, stage: Stage, done: Future[int]) -> None:
        self._contents.forget(stage.outs)
        try:
            if status := done.result():
                self._failed.append(f"{stage.name}: failed (exit code {status}); its own line is above")
                return
            self._entries[stage.name] = lock_file.entry(stage, self._contents)
        except OSError as error:
            self._failed += [f"{stage.name}: {line}" for line in told(error)]
            return
        except UserError as error:
            self._failed.append(str(error))
            return
        lock_file.write(self._entries)
        self._ran += 1
        self._order.done(stage.name)


def _unfinished(path: Path) -> list[Path]:
    """What killed processes were about to move there (files.replacing)."""
    return sorted(path.parent.glob(f".{glob.escape(path.name)}.*.tmp"))


def _written() -> dict[Path, bytes | None]:
    """What a run works by, which stages read as they begin."""
    return {path: path.read_bytes() if path.is_file() else None for path in (stage_table.PARAMS, stage_table.TABLE)}


def _cards() -> list[str]:
    """The GPUs that there are, by CUDA's names for them, which end at the first that is none."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        names = takewhile(lambda name: name != "-1", (name.strip() for name in named.split(",")))
        return list(dict.fromkeys(filter(None, names)))
    nodes = [node for node in glob.glob("/dev/nvidia[0-9]*") if os.access(node, os.R_OK | os.W_OK)]
    return [str(number) for number in range(len(nodes))]


def _execute(stage: Stage, cards: Sequence[str], lock: int) -> int:
    """Run a command of the stage table, its outputs removed before, as DVC does.

    Args:
        cards: the only GPUs that it sees; all if none are named.
        lock: a descriptor that it inherits.
    """
    for out in map(Path, stage.outs):
        for old in (out, *_unfinished(out)):
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink(missing_ok=True)
        out.parent.mkdir(parents=True, exist_ok=True)
    visible = {"CUDA_VISIBLE_DEVICES": ",".join(cards)} if cards else {}
    return subprocess.run(stage.command, shell=True, env=_environment() | visible, pass_fds=[lock]).returncode


def _environment() -> dict[str, str]:
    """That of commands, whose `python` is the one that runs this."""
    return os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    }
