"""Which GPUs of a machine a command sees: jobs side by side would all take the first.

A job holds a lock for each card it has been given, a card's second place only when all first ones are taken, so that
jobs spread evenly; a killed job's places are free again. CUDA_VISIBLE_DEVICES, where it is set, names the cards there
are, as it does in a job of Slurm.
"""

import contextlib
import fcntl
import glob
import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

VISIBLE = "CUDA_VISIBLE_DEVICES"


def present(env: Mapping[str, str]) -> list[str]:
    """The cards that a command with this environment sees, by CUDA's names for them."""
    if (named := env.get(VISIBLE)) is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    return [str(number) for number in range(len(glob.glob("/dev/nvidia[0-9]*")))]


@contextlib.contextmanager
def shared_out(env: Mapping[str, str], *, count: int, locks: Path) -> Iterator[dict[str, str]]:
    """Within it, `count` of the cards are ours more than others'; the environment that shows a command these alone.

    Where there is nothing to choose, or none is asked for, the environment is as it was.
    """
    cards = present(env)
    if not 0 < count < len(cards):
        yield dict(env)
        return
    with contextlib.ExitStack() as held:
        chosen: list[str] = []
        for place, card in ((place, card) for place in itertools.count() for card in cards):
            if card not in chosen and _take(locks / f"card-{quote(card, safe='')}.{place}", held):
                chosen.append(card)
            if len(chosen) == count:
                break
        yield dict(env) | {VISIBLE: ",".join(sorted(chosen, key=cards.index))}


def _take(place: Path, held: contextlib.ExitStack) -> bool:
    """Lock a place if nobody has it; where the file system knows no locks, everybody has the first."""
    place.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    except OSError:
        pass
    held.callback(os.close, file)
    return True
