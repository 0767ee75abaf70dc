"""Warm jobs: commands that a parent process, which has imported what they need, forks a child for (parent.py).

`meta: {warm: FILE}` of a stage names the modules, one a line. Where anything is in the way, the command runs in a fresh
interpreter as ever, and one line says so.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Where the parent listens, for the jobs of the call of Snakemake that started it.
SOCKET = "SNAKEMAKE_DVC_WARM"
PLAIN = re.compile(r"[\w ./=:@%+,'\"-]+")


def start_parent(folder: Path) -> None:
    """Start the parent for the jobs of this process, with whose end, however it comes, it ends too."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        listener.bind(str(folder / "warm"))
    except OSError:  # a path that is too long, say
        listener.close()
        return
    listener.listen(128)
    reading, _writing = os.pipe()  # the other end closes with this process, as no other has it
    script = Path(__file__).with_name("parent.py")
    subprocess.Popen(
        [sys.executable, "-P", script, str(listener.fileno()), str(reading)],
        stdin=subprocess.DEVNULL,
        stdout=2,
        pass_fds=(listener.fileno(), reading),
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    listener.close()
    os.close(reading)
    os.environ[SOCKET] = str(folder / "warm")


class Warm:
    """A command under way in a child of the parent; looks like a subprocess.Popen as far as DVC needs it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.returncode: int | None = None

    def communicate(self) -> None:
        """Wait for its end."""
        word, value = read_line(self._connection)
        self._connection.close()
        if word == "ended":
            self.returncode = int(value)
        else:
            print("warm: the parent has died, and the command with it", file=sys.stderr, flush=True)
            self.returncode = -9


def start(command: str, *, imports: Path, folder: str, env: Mapping[str, str], threads: int) -> Warm | None:
    """Have the parent run the command; None if there is none, or, with one line on standard error, if it cannot.

    Args:
        threads: as the stage declares them. With fewer cores OpenMP is told another number when libraries are imported,
            which the command may correct before its own imports.
    """
    if (place := os.environ.get(SOCKET)) is None:
        return None
    env = {name: value for name, value in env.items() if name != SOCKET}
    try:
        if env.get("OMP_NUM_THREADS") != str(threads):
            raise ValueError(f"OMP_NUM_THREADS is {env.get('OMP_NUM_THREADS')}, the stage declares {threads}")
        if (words := read_command(command, env=env)) is None:
            raise ValueError("only `[NAME=VALUE] python -m MODULE WORDS` can be")
        lines = (line.partition("#")[0].strip() for line in imports.read_text(encoding="utf-8").splitlines())
        module, *rest = words
        request = {"module": module, "words": rest, "env": env, "folder": folder, "imports": [*filter(None, lines)]}
        body = json.dumps(request).encode()
        with contextlib.ExitStack() as unless_started:
            connection = unless_started.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(place)
            socket.send_fds(connection, [struct.pack("!I", len(body))], [0, 1, 2])
            connection.sendall(body)
            word, value = read_line(connection)
            if word != "started":
                raise ValueError(value or "the parent has ended")
            unless_started.pop_all()
            return Warm(connection)
    except (OSError, ValueError) as error:
        print(f"not warm, so in a fresh interpreter: {error}", file=sys.stderr, flush=True)
    return None


def read_command(command: str, *, env: dict[str, str]) -> list[str] | None:
    """The module and the words of a plain `python -m` command; the variables that it sets go into `env`."""
    if not PLAIN.fullmatch(command):
        return None
    words = shlex.split(command)
    while words and re.match(r"[A-Za-z_]\w*=", words[0]):
        name, _, value = words.pop(0).partition("=")
        env[name] = value
    if words[:2] != ["python", "-m"] or len(words) < 3:
        return None
    found = shutil.which("python", path=env.get("PATH"))
    same = found is not None and os.path.dirname(found) == os.path.dirname(sys.executable)
    return words[2:] if same else None


def read_line(connection: socket.socket) -> tuple[str, str]:
    """An answer's first word and the rest of it; empty if whoever should answer is gone."""
    line = b""
    try:
        while not line.endswith(b"\n"):
            if not (part := connection.recv(1)):
                return "", ""
            line += part
    except OSError:
        return "", ""
    word, _, rest = line.decode().strip().partition(" ")
    return word, rest


def popen_for(meta: Mapping[str, Any]) -> Any:
    """What starts the commands of a stage in the place of subprocess.Popen."""

    def popen(command: list[str], **options: Any) -> Any:
        if imports := meta.get("warm"):
            threads, env = meta.get("threads", 1), options["env"]
            found = start(command[-1], imports=Path(imports), folder=options["cwd"], env=env, threads=threads)
            if found is not None:
                return found
        return subprocess.Popen(command, **options)

    return popen
