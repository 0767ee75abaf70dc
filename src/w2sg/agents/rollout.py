"""The rollout engine: many episodes at once, in fixed cohorts, resumable, and the same bytes on every run.

Padding changes a model's logits in their last bits, so who shares a batch with whom must not depend on chance or on an
earlier interruption: cohorts are cut from the list of requests, each is stored when it is done, and all randomness is
keyed by (seed, task, sample, turn).
"""

import hashlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np

from w2sg.agents.policies import Policy
from w2sg.contracts.environment import Environment
from w2sg.contracts.errors import UserError
from w2sg.contracts.files import digest
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Step, Trajectory, conversation, read_trajectories, write_trajectories
from w2sg.contracts.turns import parse_response

# Finished cohorts of unfinished runs; outside the stages' outputs, which DVC deletes before a stage runs.
STORE = Path(".resume")
NO_ACTION = "Invalid format: the answer must contain 'Action: '."


def store(name: str, *inputs: Path, settings: object) -> Path:
    """The folder for the finished cohorts of one run; another one when inputs or settings change.

    Args:
        inputs: files and folders that the run reads, the digest of its code among them.
        settings: whatever else it depends on; its repr counts.
    """
    return STORE / f"{name}-{digest(*inputs, text=repr(settings))}"


@dataclass(frozen=True, slots=True)
class Request:
    """One episode to be played.

    Attributes:
        sample: what tells it from the other episodes of its task, in the tables and for its random numbers.
        prefix: the agent's first turns, which are said as they are; the policy goes on from there.
    """

    task: Task
    sample: int
    temperature: float
    top_p: float
    prefix: tuple[str, ...] = ()


def uniforms(*, seed: int, request: Request, turn: int, count: int) -> np.ndarray:
    """`count` random numbers in [0, 1) for one turn, the same whatever else is in the batch."""
    text = f"{seed}/{request.task.environment}/{request.task.task_id}/{request.sample}/{turn}"
    key = np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).random(count)


def reset_all(environments: Sequence[Environment], requests: Sequence[Request], *, seed: int) -> list[str]:
    """Start every request's episode in an environment of its own; return the first observations."""
    return [environments[row].reset(request.task, seed=seed)[0] for row, request in enumerate(requests)]


def play_cohort(
    policy: Policy,
    environments: Sequence[Environment],
    requests: Sequence[Request],
    *,
    openings: Sequence[str],
    name: str,
    prompt: str,
    seed: int,
    max_new_tokens: int,
) -> list[Trajectory]:
    """Play every request to its end, all at the same time, each in an environment of its own.

    Args:
        environments: at least as many as requests, reset to them (`reset_all`).
        openings: the first observations.
        name: the policy's name in the trajectories.
        prompt: text before the first observation ("" for none).
    """
    episodes = [_Episode(environments[row], opening) for row, opening in enumerate(openings)]
    for episode, request in zip(episodes, requests, strict=True):
        for response in request.prefix:
            if not episode.over:
                episode.act(response)
    batch = policy.start(len(requests), before=[conversation(each.steps, prompt=prompt) for each in episodes])
    while active := [row for row, each in enumerate(episodes) if not each.over]:
        draws = [
            uniforms(seed=seed, request=requests[row], turn=len(episodes[row].steps), count=max_new_tokens)
            for row in active
        ]
        responses = batch.respond(
            active,
            [episodes[row].heard(prompt) for row in active],
            temperature=[requests[row].temperature for row in active],
            top_p=[requests[row].top_p for row in active],
            uniforms=np.stack(draws),
        )
        for row, response in zip(active, responses, strict=True):
            episodes[row].act(response)
    return [
        Trajectory(
            environment=request.task.environment,
            task_id=request.task.task_id,
            policy=name,
            sample=request.sample,
            temperature=request.temperature,
            top_p=request.top_p,
            completed=episode.completed,
            steps=tuple(episode.steps),
        )
        for request, episode in zip(requests, episodes, strict=True)
    ]


@dataclass
class _Episode:
    """One episode as far as it is played.

    Attributes:
        observation: the last one.
        completed, over: the environment ended it; it did, or the step cap was reached.
    """

    environment: Environment
    observation: str
    steps: list[Step] = field(default_factory=list)
    completed: bool = False
    over: bool = False

    def heard(self, prompt: str) -> str:
        """The user turn to be answered."""
        return f"{prompt}\n{self.observation}" if prompt and not self.steps else self.observation

    def act(self, response: str) -> None:
        """Let one response act."""
        parsed = parse_response(response)
        # A turn without an action costs a step like any other; the environment answers the empty action.
        thought, action = parsed if parsed is not None else ("", "")
        result = self.environment.step(action)
        step = Step(
            observation=self.observation,
            thought=thought,
            action=action,
            response=response,
            next_observation=result.observation if parsed is not None else NO_ACTION,
            score=result.score,
            valid=parsed is not None,
        )
        self.steps.append(step)
        self.observation = step.next_observation
        self.completed, self.over = result.terminated, result.terminated or result.truncated


def play(
    policy: Policy,
    make_environment: Callable[[], Environment],
    requests: Sequence[Request],
    *,
    name: str,
    prompt: str,
    seed: int,
    cohort: int,
    max_new_tokens: int,
    store: Path,
    first: int = 0,
    show: bool = True,
) -> list[Trajectory]:
    """Play all requests in cohorts of `cohort`; finished cohorts are kept under `store` and not played again.

    A file there that cannot be read, or is not of these requests, is removed with a note, and its cohort is played.

    Args:
        store: folder of this run alone: its name must change with the model, the settings and the tasks.
        first: number of the first cohort.
        show: tell how far it is.
    """
    played: list[Trajectory] = []
    clock = Progress(total=len(requests), what=f"{name}: episodes")
    parts = {_path(store, number): part for number, part in enumerate(cohorts(requests, size=cohort), start=first)}
    kept = {path: trajectories for path, part in parts.items() if (trajectories := _kept(path, part))}
    with _ResetAhead(make_environment, [part for path, part in parts.items() if path not in kept], seed=seed) as ahead:
        for path, part in parts.items():
            if path not in kept:
                environments, openings = ahead.take()
                trajectories = play_cohort(
                    policy,
                    environments,
                    part,
                    openings=openings,
                    name=name,
                    prompt=prompt,
                    seed=seed,
                    max_new_tokens=max_new_tokens,
                )
                write_trajectories(path, trajectories)
                kept[path] = read_trajectories(path)
            played += kept.pop(path)
            if show:
                won = sum(trajectory.success for trajectory in played)
                clock.show(len(played), note=f"{won} of {len(played)} won")
    return played


def stored(store: Path, number: int, requests: Sequence[Request]) -> list[Trajectory] | None:
    """The episodes of a finished cohort by the number that `play` gave it; None where they are to be played (again)."""
    return _kept(_path(store, number), requests)


def _path(store: Path, number: int) -> Path:
    return store / f"cohort-{number:04d}.parquet"


def _kept(path: Path, requests: Sequence[Request]) -> list[Trajectory] | None:
    """What an earlier run has stored of a cohort; None if it has not, or if the file is damaged, which is removed."""
    if not path.exists():
        return None
    try:
        trajectories = read_trajectories(path)
        if [(each.task_id, each.sample) for each in trajectories] != [(r.task.task_id, r.sample) for r in requests]:
            raise UserError(f"{path}: not the episodes of this cohort")
    except ValueError as error:  # UserError, or what Arrow and texts that are not UTF-8 raise
        print(f"{' '.join(str(error).split())[:200]}; removed, this cohort is played again", file=sys.stderr)
        path.unlink()
        return None
    return trajectories


class _ResetAhead:
    """Two sets of environments: while one is played, a thread resets the other to the next cohort.

    A simulator in a process of its own takes a tenth of a second for a reset, which the model need not wait for.
    """

    def __init__(
        self, make_environment: Callable[[], Environment], parts: Sequence[Sequence[Request]], *, seed: int
    ) -> None:
        size = max(map(len, parts), default=0)
        self._sets = deque([make_environment() for _ in range(size)] for _ in parts[:2])
        self._waiting = deque(parts)
        self._seed = seed
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        self._reset_first_set()
        return self

    def take(self) -> tuple[Sequence[Environment], list[str]]:
        """The environments of the next cohort and their first observations; the set handed out before is reused."""
        environments, openings = self._sets[0], self._openings.result()
        self._sets.rotate()
        self._reset_first_set()
        return environments, openings

    def _reset_first_set(self) -> None:
        """Begin to reset the set at the head of the queue to the next waiting cohort, if there is one."""
        if self._waiting:
            self._openings = self._thread.submit(reset_all, self._sets[0], self._waiting.popleft(), seed=self._seed)

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        for environment in chain.from_iterable(self._sets):
            environment.close()


def cohorts(requests: Sequence[Request], *, size: int) -> Iterator[Sequence[Request]]:
    """Cut requests into runs of `size`, the last one shorter."""
    for start in range(0, len(requests), size):
        yield requests[start : start + size]


class Progress:
    """A line on stderr with the share done and the time left; one every ten seconds where it is not a terminal."""

    def __init__(self, *, total: int, what: str) -> None:
        self._total, self._what = total, what
        self._start = self._shown = time.monotonic()

    def show(self, done: int, *, note: str = "") -> None:
        """Report that `done` of the total are finished."""
        now = time.monotonic()
        if done < self._total and not sys.stderr.isatty() and now - self._shown < 10:
            return
        self._shown = now
        left = (now - self._start) / max(done, 1) * (self._total - done)
        print(f"{self._what} {done}/{self._total}, {left:.0f} s left{', ' + note if note else ''}", file=sys.stderr)
