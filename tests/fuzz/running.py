"""Many inputs of every kind, each repeatable by the seed, its kind and its number."""

import contextlib
import importlib
import multiprocessing
import random
import tempfile
import warnings
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from .outcomes import CRASH, HANG, SECONDS, WAITING, Case, Outcome, outcome

# A kind is made ready (models, games, a simulator) before its first input.
READY = 300


class Told(NamedTuple):
    """One input and what came of it."""

    kind: str
    number: int
    what: str
    outcome: Outcome


def kinds() -> list[str]:
    """The modules of this folder that have a Kind."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if "\nclass Kind" in path.read_text())


def kind_of(name: str) -> Any:
    """The Kind of a module."""
    return importlib.import_module(f"fuzz.{name}").Kind


def shares(total: int) -> dict[str, int]:
    """How many inputs of each kind, by their weights; one at least."""
    weights = {name: kind_of(name).weight for name in kinds()}
    return {name: max(1, round(total * weight / sum(weights.values()))) for name, weight in weights.items()}


def case(kind: Any, name: str, *, seed: int, number: int) -> Case:
    """An input; the same one whenever it is asked for."""
    found: Case = kind.case(random.Random(f"{seed}/{name}/{number}"))
    return found


def here(name: str, *, seed: int, first: int, count: int) -> Iterator[Told]:
    """Read inputs in this process."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = kind_of(name)(Path(folder).resolve())
        try:
            for number in range(first, first + count):
                given = case(kind, name, seed=seed, number=number)
                yield Told(name, number, given.what, outcome(given))
        finally:
            if close := getattr(kind, "close", None):
                close()


def apart(name: str, *, seed: int, first: int, count: int) -> Iterator[Told]:
    """Read inputs in a process of their own: one that ends it, or that no alarm wakes, is told, and the next go on."""
    number, end = first, first + count
    while number < end:
        ours, theirs = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("spawn")
        child = context.Process(target=_child, args=(theirs, name, seed, number, end - number), daemon=True)
        child.start()
        theirs.close()
        wait = READY
        try:
            while number < end and ours.poll(wait):
                yield ours.recv()
                number, wait = number + 1, 2 * WAITING * SECONDS
            hung = number < end
        except EOFError:
            hung = False
        if number < end:
            child.kill() if hung else None
            child.join()
            yield Told(name, number, "", Outcome(HANG if hung else CRASH, f"exit code {child.exitcode}"))
            number += 1
        else:
            child.join()


def _child(pipe: Connection, name: str, seed: int, first: int, count: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody listens any more
        for told in here(name, seed=seed, first=first, count=count):
            pipe.send(told)
