"""Run a command of Python's that is killed while it writes: `python killed.py FILE MOMENT MODULE WORDS`.

FILE is how the path ends, or a part of DVC's cache. It dies with half of its text written, by whatever name, or just
before the whole one is moved into place, or before the file system is asked for a copy that shares blocks.
"""

import builtins
import fcntl
import os
import runpy
import signal
import sys

file, moment, module, *words = sys.argv[1:]
FICLONE = 0x40049409
# Under the project's own name, or a temporary one beside it.
names = {file, f".{file}.tmp"}


def is_it(path):
    return isinstance(path, str | os.PathLike) and (
        os.path.basename(path) in names or (file in ("runs", "files") and f"/cache/{file}/" in os.path.abspath(path))
    )


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class Dying:
    """A file that keeps half of what is written first."""

    def __init__(self, real):
        self._real = real

    def __getattr__(self, name):
        return getattr(self._real, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._real.close()

    def write(self, text):
        self._real.write(text[: len(text) // 2])
        self._real.flush()
        die()


real_open, real_replace, real_ioctl = builtins.open, os.replace, fcntl.ioctl


def open_dying(path, mode="r", *arguments, **options):
    opened = real_open(path, mode, *arguments, **options)
    return Dying(opened) if "w" in mode and is_it(path) else opened


def replace_dying(source, target, **options):
    if is_it(target):
        die()
    real_replace(source, target, **options)


def ioctl_dying(target, request, *arguments):
    if request == FICLONE and is_it(os.readlink(f"/proc/self/fd/{target}")):
        die()
    return real_ioctl(target, request, *arguments)


if moment == "writing":
    builtins.open = open_dying
elif moment == "cloning":
    fcntl.ioctl = ioctl_dying
else:
    os.replace = replace_dying
sys.argv[:] = [module, *words]
sys.path.insert(0, "src")
runpy.run_module(module, run_name="__main__", alter_sys=True)
