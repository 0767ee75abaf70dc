"""Which GPUs of a machine a command sees: jobs side by side would all take the first.

A job holds a lock for each card it has been given, the next place of the card that has the fewest, so that jobs spread
evenly; a killed job's places are free again. The locks are the machine's, not the folder's, as its cards are.
CUDA_VISIBLE_DEVICES, where it is set, names the cards there are, as it does in a job of Slurm.
"""

import contextlib
import fcntl
import glob
import itertools
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

VISIBLE = "CUDA_VISIBLE_DEVICES"


def present(env: Mapping[str, str]) -> list[str]:
    """The cards that a command with this environment sees, by CUDA's names for them, which end at the first -1."""
    if (named := env.get(VISIBLE)) is not None:
        names = itertools.takewhile(lambda name: name != "-1", (name.strip() for name in named.split(",")))
        return list(dict.fromkeys(filter(None, names)))
    # A node that may not be opened is another job's, and CUDA does not count it.
    nodes = [node for node in glob.glob("/dev/nvidia[0-9]*") if os.access(node, os.R_OK | os.W_OK)]
    return [str(number) for number in range(len(nodes))]


def of_this_machine() -> Path:
    """Where all calls of a user on this machine have their locks."""
    return Path(tempfile.gettempdir()) / f"snakemake-dvc-cards-{os.getuid()}"


@dataclass(frozen=True)
class Share:
    """The cards of one job.

    Attributes:
        env: what shows them, and no others, to a command; empty where there is nothing to choose.
        locks: descriptors; the cards are the job's until all copies of them are closed.
    """

    env: dict[str, str]
    locks: tuple[int, ...] = ()


def take(env: Mapping[str, str], *, count: int, locks: Path) -> Share:
    """`count` of the cards that a command with this environment sees, those that the fewest others have.

    Where no locks can be had, these are the first ones.
    """
    cards = present(env)
    if not 0 < count < len(cards):
        return Share({})
    with contextlib.suppress(OSError):
        locks.mkdir(parents=True, exist_ok=True)
    looking = _lock(locks / "looking", wait=True)  # one job at a time looks and takes
    places = {card: _places(locks, card) for card in cards}
    chosen = sorted(cards, key=lambda card: sum(places[card]))[:count]
    taken = [_lock(_place(locks, card, [*places[card], False].index(False))) for card in chosen]
    _close(looking)
    return Share({VISIBLE: ",".join(sorted(chosen, key=cards.index))}, tuple(lock for lock in taken if lock >= 0))


def _place(locks: Path, card: str, place: int) -> Path:
    return locks / f"{quote(card, safe='')}.{place}"


def _places(locks: Path, card: str) -> list[bool]:
    """Whether each of a card's places that there have been is taken."""
    found: list[bool] = []
    while (path := _place(locks, card, len(found))).exists():
        try:
            _close(_lock(path))
        except BlockingIOError:
            found.append(True)
        else:
            found.append(False)
    return found


def _lock(path: Path, *, wait: bool = False) -> int:
    """A descriptor that locks a file; -1 where there can be no lock. Raises BlockingIOError if somebody else has it."""
    file = -1
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        _close(file)
        raise
    except OSError:
        _close(file)
        return -1
    return file


def _close(lock: int) -> None:
    if lock >= 0:
        os.close(lock)
