"""Cohorts that a stage plays, dealt to several processes, one a GPU, as `gpu: N` in its meta says (docs/cluster.md).

Nobody's episodes depend on who plays beside them in another cohort, so that all are those of one process; and each
cohort is stored when it is done, where whoever needs it finds it.
"""

import io
import multiprocessing
import os
import pickle
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TypeAlias

from w2sg.agents import rollout
from w2sg.contracts.errors import UserError

# Its requests, its number, and the folder where it is stored.
Cohort: TypeAlias = tuple[Sequence[rollout.Request], int, Path]
PlayCohort: TypeAlias = Callable[[Sequence[rollout.Request], int, Path], object]


class Players:
    """Processes that hold a model each and take the next cohort when they have played one.

    Args:
        prepare: gives what plays cohorts, called in each process before its first one; of a module, as it travels.
        count: most processes; no more begin than there are cohorts.
    """

    def __init__(self, prepare: Callable[[], PlayCohort], *, count: int) -> None:
        self._prepare, self._count = prepare, count
        self._context = multiprocessing.get_context("spawn")  # a card that was used cannot be forked
        self._players: list[tuple[Connection, multiprocessing.process.BaseProcess]] = []

    def play(self, requests: Sequence[rollout.Request], *, cohort: int, store: Path, name: str) -> None:
        """Play the cohorts of some requests that are not stored yet.

        Args:
            name: the policy's, for the line that tells how far it is.

        Raises:
            UserError: a process has ended; or what playing raises. The others end with it, what was finished is stored.
        """
        parts = enumerate(rollout.cohorts(requests, size=cohort))
        waiting: deque[Cohort] = deque(
            (part, number, store) for number, part in parts if rollout.stored(store, number, part) is None
        )
        done = len(requests) - sum(len(part) for part, *_ in waiting)
        clock = rollout.Progress(total=len(requests), what=f"{name}, {self._count} processes: episodes")
        while len(self._players) < min(self._count, len(waiting)):
            self._begin()
        playing: dict[Connection, int] = {}
        try:
            for connection, _ in self._players:
                self._deal(connection, waiting, playing)
            while playing:
                ready = wait(list(playing))
                for connection in [each for each in playing if each in ready]:
                    self._hear(connection)
                    done += playing.pop(connection)
                    clock.show(done)
                    self._deal(connection, waiting, playing)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the processes, whatever they do."""
        for connection, process in self._players:
            process.terminate()
            process.join()
            connection.close()
        self._players.clear()

    def _begin(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(self._prepare, len(self._players), theirs), daemon=True)
        process.start()
        theirs.close()
        self._players.append((ours, process))

    def _deal(self, connection: Connection, waiting: deque[Cohort], playing: dict[Connection, int]) -> None:
        if waiting:
            playing[connection] = len(waiting[0][0])
            try:
                connection.send(waiting.popleft())
            except ConnectionError:
                raise self._killed() from None

    def _hear(self, connection: Connection) -> None:
        """A process has played its cohort, or raised something, or is no more."""
        try:
            error = connection.recv()
        except (EOFError, ConnectionError):
            raise self._killed() from None
        if error is not None:
            raise error

    def _killed(self) -> UserError:
        return UserError(
            f"one of {len(self._players)} processes that play was killed, perhaps for its memory; finished cohorts are "
            "kept, so run the stage again, with a lower meta.gpu in dvc.yaml if it happens again"
        )


def _serve(prepare: Callable[[], PlayCohort], number: int, connection: Connection) -> None:
    """What a process does: takes its card, prepares when the first cohort comes, plays what it gets."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    play: PlayCohort | None = None
    while True:
        try:
            cohort = connection.recv()
            if play is None:
                play = _prepared(prepare, number)
            play(*cohort)
            connection.send(None)
        except (EOFError, KeyboardInterrupt):  # which the stage has got, too
            return
        except Exception as error:
            connection.send(_travelling(error))


def _prepared(prepare: Callable[[], PlayCohort], number: int) -> PlayCohort:
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(number)
    with redirect_stderr(io.StringIO() if number else sys.stderr):  # one of them tells what all would
        return prepare()


def _travelling(error: Exception) -> Exception:
    """What the stage is to raise: what it tells in one line as it is, anything else with where it was raised."""
    expected = isinstance(error, UserError | OSError) or type(error).__name__ == "OutOfMemoryError"
    try:
        if expected and type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:
        pass  # it cannot travel
    return RuntimeError(f"in a process that plays:\n{traceback.format_exc()}")


def _end_with_parent() -> None:
    """Else a process would play on where the stage is killed, or wait for work for ever, with its model."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
