"""Command lines whose mistakes are one line, as all mistakes are."""

import argparse
import math
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from w2sg.contracts.errors import UserError, named, told

INTERRUPTED = 130  # 128 + SIGINT, as shells say it
LONGEST_NUMBER = 18  # digits, of what generators and tables can hold
# Of a launcher of torch or a notebook around this process; a command is one process, and draws into files.
FOREIGN = ("LOCAL_RANK", "RANK", "WORLD_SIZE", "MPLBACKEND")


class Parser(argparse.ArgumentParser):
    """A parser that tells a mistake in one line, without the usage before it, and echoes little of what was typed."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(2, f"{self.prog}: {' '.join(named(word) for word in message.split())}; see {self.prog} --help\n")


def status(name: str, command: Callable[[], int]) -> int:
    """Run a command; its own code, 2 with one line for each mistake, INTERRUPTED after Ctrl-C.

    Args:
        name: of the command, in front of each line.
    """
    for variable in FOREIGN:
        os.environ.pop(variable, None)
    try:
        code = command()
        if sys.stdout is not None:  # closed by who called (`>&-`)
            sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader has seen enough, such as `head`
        _drop_output()
        return 0
    except (UserError, OSError) as error:
        if isinstance(error, OSError) and error.filename is None:  # standard output cannot be written to
            _drop_output()
        for line in told(error):
            print(f"{name}: {line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED


def _drop_output() -> None:
    """What is still to be printed goes nowhere, or the interpreter would try once more when it ends."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def whole(text: str) -> int:
    """A number that seeds a generator or counts."""
    if not text.isdecimal() or len(text) > LONGEST_NUMBER:
        raise argparse.ArgumentTypeError(f"{named(text)}: must be a whole number from 0")
    return int(text)


def positive(text: str) -> int:
    """A number of things of which there is at least one."""
    if not text.isdecimal() or len(text) > LONGEST_NUMBER or not int(text):
        raise argparse.ArgumentTypeError(f"{named(text)}: must be a whole number from 1")
    return int(text)


def from_zero(text: str) -> float:
    """A number from 0 that is finite."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{named(text)}: must be a number from 0")
    return value


def cores(text: str) -> str:
    """As Snakemake takes them: a number from 1, or all; with 0 it would wait for ever."""
    if text != "all" and (not text.isdecimal() or not 1 <= int(text) <= 10**6):
        raise argparse.ArgumentTypeError(f"{named(text)}: must be a whole number from 1, or all")
    return text


class Once(argparse.Action):
    """Keeps a list of values, none of which may be named twice."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Refuse a value that was named before."""
        given = list(values) if isinstance(values, list) else [values]
        for number, value in enumerate(given):
            if value in given[:number]:
                parser.error(f"argument {option_string or self.dest}: {value}: named twice")
        setattr(namespace, self.dest, given)


NUMBERS: dict[str, Any] = {"type": whole, "nargs": "+", "action": Once, "metavar": "N"}
"""Of an argument that takes several numbers."""
