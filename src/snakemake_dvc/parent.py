"""The parent of warm jobs: it imports what stages need once, and forks a child for every command.

Started by its path with a listening socket and a pipe (warm.py), it knows nothing of the rest of this package. It ends
when the pipe closes, which is when Snakemake ends in whatever way, and its last child has ended.

Nothing of the project's own is imported here, so no child sees code that has changed since. A child has the argv,
environment, folder, standard files and sys.path that a fresh `python -m MODULE` would have.
"""

import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What may differ between the environments of two jobs: nothing that an import reads.
FREE = {
    *("PATH", "PYTHONPATH", "PYTHONUNBUFFERED", "DVC_ROOT", "DVC_STAGE", "SHLVL", "PWD", "OLDPWD", "_"),
    *("TMPDIR", "TEMPDIR", "TMP", "TEMP"),
    "CUDA_VISIBLE_DEVICES",  # read when a GPU is opened, which imports may not
}
# These come from Snakemake, for each job; the first job's are those of the imports.
THREADS = ("_NUM_THREADS", "_MAXIMUM_THREADS")
DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri")
# Threads that their library stops before a fork and starts again after it: jemalloc's, which comes with pyarrow.
FORKED = {"jemalloc_bg_thd"}
PDEATHSIG = 1


@dataclass
class Request:
    """A command to be run: `python -m module words`, with standard files as descriptors."""

    module: str
    words: list[str]
    env: dict[str, str]
    folder: str
    imports: list[str]
    files: list[int]


class Refused(Exception):
    """Why a command cannot run here; the message is one line."""


class Parent:
    """The loop of the parent; `serve` returns in every child, with what the child shall run."""

    def __init__(self, listener: socket.socket, life: int) -> None:
        self._listener, self._life = listener, life
        self._started_with = dict(os.environ)
        self._path = list(sys.path)
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, socket.socket] = {}
        self._imported: dict[str, str] | None = None  # the environment of the imports
        self._added: dict[str, str] = {}  # what the imports put into it
        self._known: set[str] = set()
        self._unfit = ""

    def serve(self) -> Request | None:
        """Answer requests until the pipe has closed and no child is left: then None."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        ended, wakeup = socket.socketpair()
        for end in (ended, wakeup):
            end.setblocking(False)
        signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        for file in (self._listener, self._life, ended):
            self._selector.register(file, selectors.EVENT_READ)
        open_ = True
        while open_ or self._children:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    try:
                        connection, _ = self._listener.accept()
                    except OSError:  # whoever asked is gone, or there is no descriptor for it now
                        continue
                    if request := self._accept(connection):
                        for end in (ended, wakeup):
                            end.close()
                        return request
                elif key.fileobj is ended:
                    with contextlib.suppress(BlockingIOError):
                        ended.recv(4096)
                    self._collect()
                elif key.fileobj == self._life:
                    open_ = False
                    self._selector.unregister(self._life)
                    self._selector.unregister(self._listener)
                    self._listener.close()
                else:  # whoever asked is gone; if the child is, too, its end has been collected before
                    for pid, connection in self._children.items():
                        if connection is key.fileobj:
                            self._selector.unregister(connection)
                            os.kill(pid, signal.SIGTERM)
        return None

    def _accept(self, connection: socket.socket) -> Request | None:
        """Start a child, or say why not; in the child, return what it shall run."""
        connection.settimeout(60)
        try:
            request = receive(connection)
        except (OSError, ValueError):
            connection.close()
            return None
        parent = os.getpid()
        try:
            self._prepare(request)
            pid = fork()
        except Refused as refusal:
            answer(connection, f"refused {refusal}")
            connection.close()
        else:
            if not pid:
                self._leave(connection)
                die_with(parent)
                return request
            answer(connection, "started")
            self._children[pid] = connection
            self._selector.register(connection, selectors.EVENT_READ)
        for file in request.files:
            os.close(file)
        return None

    def _leave(self, connection: socket.socket) -> None:
        """In a child: be no parent any more."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._selector.close()
        for file in (self._listener, connection, *self._children.values()):
            file.close()
        with contextlib.suppress(OSError):
            os.close(self._life)

    def _collect(self) -> None:
        """Say how children ended."""
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            connection = self._children.pop(pid)
            with contextlib.suppress(KeyError):
                self._selector.unregister(connection)
            answer(connection, f"ended {os.waitstatus_to_exitcode(status)}")
            connection.close()

    def _prepare(self, request: Request) -> None:
        """Import what the command asks for, if its environment is that of the imports. Raises Refused."""
        if self._unfit:
            raise Refused(self._unfit)
        env = {name: value for name, value in request.env.items() if name not in FREE}
        own = {name: value for name, value in self._started_with.items() if name not in FREE}
        threads = {name for name in env.keys() | own.keys() if name.endswith(THREADS)}
        before = self._imported if self._imported is not None else env
        others = sorted(
            name for name in env.keys() | own.keys() if env.get(name) != (before if name in threads else own).get(name)
        )
        if others:
            raise Refused(f"its environment is another one ({', '.join(others)})")
        if set(request.imports) <= self._known:
            return
        if self._imported is None:
            self._imported = env
            os.environ.update({name: env[name] for name in threads & env.keys()})
        known = dict(os.environ)
        try:
            for name in request.imports:
                importlib.import_module(name)
        except Exception as error:
            self._unfit = f"{name}: {' '.join(str(error).split()) or type(error).__name__}"
        self._added |= {name: value for name, value in os.environ.items() if known.get(name) != value}
        self._known |= set(request.imports)
        self._unfit = self._unfit or why_unfit(request.folder)
        if self._unfit:
            raise Refused(self._unfit)
        gc.collect()
        gc.freeze()

    def become(self, request: Request) -> None:
        """In a child: run the command as `python -m` would."""
        for number, file in enumerate(request.files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(request.folder)
        os.environ.clear()
        os.environ.update(self._added | request.env)
        if request.env.get("PYTHONUNBUFFERED"):
            for number, name in ((1, "stdout"), (2, "stderr")):
                setattr(sys, name, unbuffered(number, getattr(sys, name)))
        folders = [
            Path.cwd(),
            *(Path(each).absolute() for each in request.env.get("PYTHONPATH", "").split(":") if each),
        ]
        sys.path[:] = dict.fromkeys([*map(str, folders), *self._path])
        importlib.invalidate_caches()
        tempfile.tempdir = None
        sys.argv = ["-m", *request.words]
        runpy.run_module(request.module, run_name="__main__", alter_sys=True)


def receive(connection: socket.socket) -> Request:
    """Read a request: its length and three descriptors, then itself."""
    head, files, _, _ = socket.recv_fds(connection, 4, 3)
    if len(head) != 4 or len(files) != 3:
        raise ValueError("no request")
    (left,) = struct.unpack("!I", head)
    body = b""
    while len(body) < left:
        if not (part := connection.recv(left - len(body))):
            raise ValueError("half a request")
        body += part
    return Request(**json.loads(body), files=list(files))


def fork() -> int:
    """As os.fork. Raises Refused where there is no room for another process."""
    try:
        return os.fork()
    except OSError as error:
        raise Refused(f"no child can be started: {error.strerror}") from None


def answer(connection: socket.socket, text: str) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(f"{text}\n".encode())


def die_with(parent: int) -> None:
    """Let this process be killed when its parent ends."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def why_unfit(folder: str) -> str:
    """Why a process must not be forked, or is no parent for jobs of this folder; nothing if all is well."""
    for task in Path("/proc/self/task").iterdir():
        if task.name != str(os.getpid()) and (name := (task / "comm").read_text().strip()) not in FORKED:
            return f"the imports start threads ({name})"
    for file in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if (target := os.readlink(f"/proc/self/fd/{file}")).startswith(DEVICES):
                return f"the imports open {target}"
    installed = [Path(each).resolve() for each in (sys.prefix, sys.base_prefix)]
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        # multiprocessing gives this file a second name; torch makes up some modules, and their files.
        if name in ("__main__", "__mp_main__") or not path or not os.path.isabs(path):
            continue
        place = Path(path).resolve()
        if place.is_relative_to(Path(folder).resolve()) and not any(map(place.is_relative_to, installed)):
            return f"{name} is a module of the project, which may change between two jobs"
    return ""


def unbuffered(number: int, like: Any) -> io.TextIOWrapper:
    """A standard file as under PYTHONUNBUFFERED."""
    raw: Any = io.FileIO(number, "w", closefd=False)
    return io.TextIOWrapper(raw, encoding=like.encoding, errors=like.errors, write_through=True)


if __name__ == "__main__":
    parent = Parent(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
    if (job := parent.serve()) is not None:
        parent.become(job)
