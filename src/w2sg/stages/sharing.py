"""Cohorts that a stage plays, dealt to several processes, one a GPU, as `gpu: N` in its meta says (docs/cluster.md).

Nobody's episodes depend on who plays beside them in another cohort, so that all are those of one process; and each
cohort is stored when it is done, where whoever needs it finds it.
"""

import io
import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr
from multiprocessing.connection import wait
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import TypeAlias

from w2sg.agents import rollout
from w2sg.contracts.errors import UserError

# Plays one cohort and stores it: its requests, its number, the folder.
PlayCohort: TypeAlias = Callable[[Sequence[rollout.Request], int, Path], object]


class Players:
    """Processes that hold a model each and take the next cohort when they have played one.

    Args:
        prepare: gives what plays cohorts, called in each process before its first one; of a module, as it travels.
        count: number of processes.
    """

    def __init__(self, prepare: Callable[[], PlayCohort], *, count: int) -> None:
        context = multiprocessing.get_context("spawn")  # a card that was used cannot be forked
        numbers = context.SimpleQueue()
        for number in range(count):
            numbers.put(number)
        self._pool = ProcessPoolExecutor(count, context, initializer=_begin, initargs=(prepare, numbers))
        self._count = count

    def play(self, requests: Sequence[rollout.Request], *, cohort: int, store: Path, name: str) -> None:
        """Play the cohorts of some requests that are not stored yet.

        Args:
            name: the policy's, for the line that tells how far it is.

        Raises:
            UserError: a process has ended; or what playing raises. What was finished is stored.
        """
        parts = list(enumerate(rollout.cohorts(requests, size=cohort)))
        left = [(number, part) for number, part in parts if not rollout.stored(store, number).exists()]
        done = len(requests) - sum(len(part) for _, part in left)
        clock = rollout.Progress(total=len(requests), what=f"{name}, {self._count} processes: episodes")
        futures = {self._pool.submit(_play, part, number, store): len(part) for number, part in left}
        try:
            for future in as_completed(futures):
                future.result()
                done += futures[future]
                clock.show(done)
        except BrokenProcessPool:
            raise UserError(
                f"one of {self._count} processes that play was killed, perhaps for its memory; finished cohorts are "
                "kept, so run the stage again, with a lower meta.gpu in dvc.yaml if it happens again"
            ) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let the processes end, those that play when their cohort is over."""
        self._pool.shutdown(cancel_futures=True)


_prepare: Callable[[], PlayCohort]
_play_cohort: PlayCohort | None = None


def _begin(prepare: Callable[[], PlayCohort], numbers: "SimpleQueue[int]") -> None:
    """What a process does first: takes its card."""
    global _prepare
    import torch

    threading.Thread(target=_end_with_parent, daemon=True).start()
    number = numbers.get()
    if torch.cuda.is_available():
        torch.cuda.set_device(number)
    _prepare = prepare


def _end_with_parent() -> None:
    """A pool's processes wait for work for ever, with their models, where the stage is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _play(part: Sequence[rollout.Request], number: int, store: Path) -> None:
    global _play_cohort
    if _play_cohort is None:
        _play_cohort = _prepare()
    with redirect_stderr(io.StringIO()):  # the stage tells how far all are
        _play_cohort(part, number, store)
