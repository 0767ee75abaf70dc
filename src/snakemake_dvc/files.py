"""Files that are whole at any moment, whoever is killed while he writes them."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import TextIO


@contextlib.contextmanager
def replacing(path: str) -> Iterator[TextIO]:
    """A new file that takes the place of `path` once its body has ended well; until then `path` stays as it is.

    It lies beside `path` under a name that the next writer takes too, so a killed one leaves one file, and not for
    long. Whoever writes has DVC's lock for `path`.
    """
    path = os.path.realpath(path)
    beside = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.tmp")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside)
    try:
        with open(beside, "w", encoding="utf-8") as file:
            yield file
        if os.path.exists(path):
            shutil.copymode(path, beside)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
