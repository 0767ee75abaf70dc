"""What a hostile input led to."""

import contextlib
import io
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from w2sg.contracts.errors import UserError, told

ACCEPTED, REFUSED = "accepted", "refused in one line"
TRACEBACK, HANG, SILENT, UNCLEAR, CRASH = "TRACEBACK", "HANG", "SILENT", "UNCLEAR", "CRASH"
BAD = (TRACEBACK, HANG, SILENT, UNCLEAR, CRASH)
SECONDS = 20  # of processor time, after which an input counts as one that hangs
WAITING = 6  # times as long, on the clock: a busy machine is slow as well
LONGEST = 700  # characters of a line, of which at most 80 are the input's at a time


@dataclass(frozen=True, slots=True)
class Case:
    """One hostile input.

    Attributes:
        what: what is wrong with it, for the one who looks into it.
        read: reads it; returns, or raises UserError.
        names: what every line of a refusal must name, such as the file.
    """

    what: str
    read: Callable[[], object]
    names: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Class of an outcome (ACCEPTED, REFUSED or one of BAD), and what was said."""

    kind: str
    said: str = ""


class _Alarm(BaseException):
    """No library catches it."""


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise _Alarm in the block after so many seconds of work, or WAITING times as many on the clock."""

    def ring(*_: object) -> None:
        raise _Alarm

    timers = ((signal.ITIMER_PROF, signal.SIGPROF, seconds), (signal.ITIMER_REAL, signal.SIGALRM, WAITING * seconds))
    before = [(which, signal.signal(which, ring)) for _, which, _ in timers]
    for timer, _, after in timers:
        signal.setitimer(timer, after)
    try:
        yield
    finally:
        for timer, _, _ in timers:
            signal.setitimer(timer, 0)
        for which, handler in before:
            signal.signal(which, handler)


def outcome(case: Case, *, seconds: float = SECONDS) -> Outcome:
    """Read an input and judge what came of it."""
    try:
        with alarm(seconds), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            case.read()
    except _Alarm:
        return Outcome(HANG, f"nothing after {seconds:g} s")
    except UserError as error:
        return judged(told(error) if str(error).strip() else [], names=case.names)
    except OSError as error:
        return judged(told(error), names=case.names)
    except BaseException:
        return Outcome(TRACEBACK, traceback.format_exc())
    return Outcome(ACCEPTED)


def judged(lines: list[str], *, names: str) -> Outcome:
    """Whether the lines of a refusal are clear."""
    text = "\n".join(lines)
    if not lines:
        return Outcome(SILENT)
    for line in lines:
        if names not in line:
            return Outcome(UNCLEAR, f"does not name {names}: {line}")
        if not line.isprintable():
            return Outcome(UNCLEAR, f"has characters that do not show: {line!r}")
        if len(line) - len(names) > LONGEST:
            return Outcome(UNCLEAR, f"is {len(line)} characters long: {line}")
        if "Traceback" in line or "object at 0x" in line:
            return Outcome(UNCLEAR, f"is Python's: {line}")
    return Outcome(REFUSED, text)
