"""The one error that users see, and how other libraries' errors and texts are told in it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 80  # characters of somebody else's text in a line
LONGEST_PATH = 300

_REMEDIES = {
    errno.ENOSPC: "make room",
    errno.EACCES: "change its permissions",
    errno.EPERM: "change its permissions",
    errno.EROFS: "use a place that can be written to",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "name a folder",
    errno.ENOENT: "name one that is there",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


class UserError(ValueError):
    """Something the user gave is wrong. Its text is one line: file or key, what is wrong, what would be right.

    The commands print it without a traceback and exit with code 2.
    """


def told(error: UserError | OSError) -> list[str]:
    """The lines in which an error is printed: at least one, without characters that would not show."""
    text = of_system(error) if isinstance(error, OSError) else str(error)
    return [printable(line) for line in text.split("\n") if line.strip()] or [f"no reason given ({_kind(error)})"]


def of_system(error: OSError) -> str:
    """An error of the operating system: which file, what is wrong, what would be right."""
    where = os.fsdecode(error.filename)[:LONGEST_PATH] if isinstance(error.filename, str | bytes) else None
    if error.errno is None or error.strerror is None:  # a library's own
        return f"{where}: {reason(error)}" if where else reason(error)
    remedy = f"; {_REMEDIES[error.errno]}" if error.errno in _REMEDIES else ""
    return f"{where or 'standard output'}: {error.strerror.lower()}{remedy}"


def of_library(error: BaseException) -> bool:
    """Whether a library failed: with an Exception, or with a panic in Rust, which is made to be no Exception."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def reason(error: BaseException) -> str:
    """The first line of an error, cut."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return _cut(printable(lines[0])) if lines else _kind(error)


def shown(value: object) -> str:
    """A value that somebody gave, as it is echoed: texts and numbers as Python writes them, cut; else its type."""
    if value is None or isinstance(value, bool | int | float | str):
        return _cut(repr(value[: LONGEST + 1]) if isinstance(value, str) else repr(value))
    return type(value).__name__


def named(text: str) -> str:
    """A name that somebody gave, as it is echoed: cut, without quotes."""
    return _cut(printable(text[: LONGEST + 1]))


def printable(text: str) -> str:
    """A text with escapes in the place of what would not show, break the line or steer a terminal."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


@contextmanager
def within(where: object) -> Iterator[None]:
    """Begin the line of a UserError that is raised inside with the file or the part that it is about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _kind(error: BaseException) -> str:
    return type(error).__name__
