"""ScienceWorld as an environment of this project (paper, section 4.1; A24)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from w2sg.contracts import files
from w2sg.contracts.environment import StepResult
from w2sg.contracts.errors import UserError, named, shown
from w2sg.contracts.tasks import Task
from w2sg.environments.scienceworld.world.simulator import Answer, Episode, Simulator

Result = TypeVar("Result")

# No command of the simulator is longer; its parser compares every word with every object.
_LONGEST_ACTION = 200


@dataclass(frozen=True, slots=True)
class Spec:
    """What a task's spec says, as JSON with these keys.

    Attributes:
        task: the simulator's name of the experiment, such as "find-plant".
        variation: its number.
        simplifications: names joined by commas, as Simulator.load takes them.
        start_score: the score before the first action, in [0, 1]; find-* starts above 0.
    """

    task: str
    variation: int
    simplifications: str
    start_score: float = 0.0


class Memory:
    """What the simulator has said to which actions: an episode that begins like an earlier one needs no machine so far.

    The simulator is deterministic (`w2sg replay scienceworld` counts it), and a start costs as much as ten steps.

    Args:
        limit: answers to keep; when there are more, all are forgotten.
    """

    def __init__(self, *, limit: int = 100_000) -> None:
        self._limit = limit
        self._openings: dict[Spec, tuple[str, Answer]] = {}
        self._answers: dict[tuple[Spec, tuple[str, ...]], Answer] = {}

    def opening(self, spec: Spec) -> tuple[str, Answer] | None:
        """The description of the task and the first look, if the episode was started before."""
        return self._openings.get(spec)

    def answer(self, spec: Spec, actions: Sequence[str]) -> Answer | None:
        """The answer to the last of `actions`, which are all since the start, if they were played before."""
        return self._answers.get((spec, tuple(actions)))

    def keep_opening(self, spec: Spec, description: str, look: Answer) -> None:
        """Remember how an episode starts."""
        self._openings[spec] = description, look

    def keep_answer(self, spec: Spec, actions: Sequence[str], answer: Answer) -> None:
        """Remember the answer to the last of `actions`."""
        if len(self._answers) >= self._limit:
            self._answers.clear()
            self._openings.clear()
        self._answers[spec, tuple(actions)] = answer


class ScienceworldEnvironment:
    """Plays the real simulator; see contracts.environment.Environment.

    The first observation is the task's description alone, as in ETO; `look around` shows the room and takes no time. An
    ambiguous action is answered with a numbered menu, which takes the next action, whatever it is, as a choice: a
    number of the menu acts, anything else cancels. The score is the running maximum of the raw score, the start
    included, clipped to [0, 1] (A24). The episode ends with the task, or with a raw score below 0 (a wrong focus).

    A machine that dies or hangs is replaced, and the episode is played again from its recorded actions. So is one that
    leaves what is remembered.

    Args:
        simulator: may serve many environments, each with an episode of its own.
        memory: shared by environments that may answer from each other's episodes; none: every episode is played.
    """

    name = "scienceworld"

    def __init__(self, simulator: Simulator, memory: Memory | None = None) -> None:
        self.simulator = simulator
        self._memory = memory
        self._task: Task | None = None
        self._spec = Spec("", 0, "")
        # The episode in the machine, if there is one yet, and how many of the actions it has seen.
        self._episode: Episode | None = None
        self._seen = 0
        self._actions: list[str] = []
        self._last = Answer("", 0.0, False)
        self._score = 0.0
        self._over = True
        self._open = False

    def reset(self, task: Task, *, seed: int = 0) -> tuple[str, dict[str, Any]]:
        """Start an episode of `task`; the variation's number seeds all that is random, so `seed` changes nothing.

        Returns:
            The description, and info with "look" (the first room) and "start_score" (often above 0, in [0, 1]).

        Raises:
            UserError: the spec is malformed, the simulator knows no such task, variation or simplification, or the
                Java machine was lost three times in a row.
        """
        if not self._open:
            self.simulator.retain()
            self._open = True
        self._task, self._spec, self._actions = task, read_spec(task), []
        self._episode, self._seen = None, 0
        if self._memory is not None and (known := self._memory.opening(self._spec)):
            description, self._last = known
        else:
            try:
                self._last = self.simulator.patiently(self._start)
            except UserError:
                raise
            except ValueError as error:
                raise UserError(f"task {task.task_id}: {error}") from None
            # `_start` has set the episode, which the type checker does not see.
            episode: Episode | None = self._episode
            assert episode is not None
            description = episode.description
            if self._memory is not None:
                self._memory.keep_opening(self._spec, description, self._last)
        self._over, self._score = False, _clipped(self._last.score)
        return description, {"look": self._last.text, "start_score": self._score}

    def step(self, action: str) -> StepResult:
        """Act; what the simulator cannot read is answered "No known action matches that input.".

        Raises:
            AssertionError: before the first reset or after the end of the episode.
            UserError: the Java machine was lost three times in a row.
        """
        assert self._task is not None and not self._over, "step needs a running episode: reset first"
        action = action[:_LONGEST_ACTION].encode("utf-8", "replace").decode()
        actions = [*self._actions, action]
        answer = self._memory.answer(self._spec, actions) if self._memory is not None else None
        if answer is None:
            answer = self._ask(lambda episode: self.simulator.step(episode, action))
            self._seen += 1
            if self._memory is not None:
                self._memory.keep_answer(self._spec, actions, answer)
        self._actions, self._last = actions, answer
        self._score = max(self._score, _clipped(answer.score))
        terminated = answer.completed or answer.score < 0.0
        truncated = not terminated and len(self._actions) >= self._task.max_steps
        self._over = terminated or truncated
        return StepResult(answer.text, self._score, terminated, truncated, {"raw_score": answer.score})

    def admissible(self) -> Sequence[str]:
        """The commands that the simulator calls valid, sorted; some hundred to a thousand, 0.1 s to list.

        Raises:
            AssertionError: before the first reset.
            UserError: the Java machine was lost three times in a row.
        """
        assert self._task is not None, "admissible needs a running episode: reset first"
        return self._ask(self.simulator.commands)

    def close(self) -> None:
        """Release the episode, and the machine where no other environment uses it."""
        self._task, self._episode, self._over = None, None, True
        if self._open:
            self._open = False
            self.simulator.release()

    def _ask(self, question: Callable[[Episode], Result]) -> Result:
        """The answer to a question about the episode, which first is brought up to date in the machine."""

        def ask() -> Result:
            alive = self.simulator.pid is not None
            if self._episode is None or not alive or self._episode.machine != self.simulator.machines:
                answer = self._start()
            assert self._episode is not None
            if self._seen < len(self._actions):
                for action in self._actions[self._seen :]:
                    answer = self.simulator.step(self._episode, action)
                    self._seen += 1
                assert answer == self._last, f"a replay went another way: {answer}, recorded {self._last}"
            return question(self._episode)

        result: Result = self.simulator.patiently(ask)
        return result

    def _start(self) -> Answer:
        spec = self._spec
        self._episode, self._seen = self.simulator.load(spec.task, spec.variation, spec.simplifications), 0
        # The package's own reset looks around too.
        return self.simulator.step(self._episode, "look around")


def read_spec(task: Task) -> Spec:
    """A task's spec.

    Raises:
        UserError: it is not of ScienceWorld's form.
    """
    try:
        spec = Spec(**files.parsed(task.spec.encode()))
    except (ValueError, TypeError):
        spec = None
    if spec is None or not (
        isinstance(spec.task, str)
        and type(spec.variation) is int
        and spec.variation >= 0
        and isinstance(spec.simplifications, str)
        and type(spec.start_score) in (int, float)
        and math.isfinite(spec.start_score)
    ):
        wanted = '{"task": name, "variation": number, "simplifications": names, "start_score": number}'
        raise UserError(f"task {named(task.task_id)}: spec {shown(task.spec)}, expected {wanted}")
    return spec


def _clipped(score: float) -> float:
    return min(max(score, 0.0), 1.0)
