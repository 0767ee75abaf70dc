"""Files that are whole at any moment, whoever is killed while he writes them."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import TextIO


def beside(path: str) -> str:
    """Where what is to take the place of a file is written."""
    folder, name = os.path.split(os.path.realpath(path))
    return os.path.join(folder, f".{name}.tmp")


@contextlib.contextmanager
def replacing(path: str) -> Iterator[TextIO]:
    """A new file that takes the place of `path` once its body has ended well; until then `path` stays as it is.

    It lies beside `path` under a name that the next writer takes too, so a killed one leaves one file, and not for
    long. Whoever writes has DVC's lock for `path`.
    """
    path, temporary = os.path.realpath(path), beside(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            yield file
        if os.path.exists(path):
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
