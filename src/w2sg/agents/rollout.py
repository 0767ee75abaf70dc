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
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np

from w2sg.agents.policies import Policy
from w2sg.contracts.environment import Environment
from w2sg.contracts.errors import UserError
from w2sg.contracts.files import digest
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Step, Trajectory, read_trajectories, write_trajectories
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
    """One episode to be played."""

    task: Task
    sample: int
    temperature: float
    top_p: float


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
    batch = policy.start(len(requests))
    steps: list[list[Step]] = [[] for _ in requests]
    completed = [False] * len(requests)
    observations = list(openings)
    active = list(range(len(requests)))
    turn = 0
    while active:
        draws = [uniforms(seed=seed, request=requests[row], turn=turn, count=max_new_tokens) for row in active]
        responses = batch.respond(
            active,
            [f"{prompt}\n{observations[row]}" if prompt and turn == 0 else observations[row] for row in active],
            temperature=[requests[row].temperature for row in active],
            top_p=[requests[row].top_p for row in active],
            uniforms=np.stack(draws),
        )
        still = []
        for row, response in zip(active, responses, strict=True):
            step, ended, cut = _act(environments[row], observations[row], response)
            steps[row].append(step)
            observations[row] = step.next_observation
            completed[row] = ended
            if not (ended or cut):
                still.append(row)
        active = still
        turn += 1
    return [
        Trajectory(
            environment=request.task.environment,
            task_id=request.task.task_id,
            policy=name,
            sample=request.sample,
            temperature=request.temperature,
            top_p=request.top_p,
            completed=completed[row],
            steps=tuple(steps[row]),
        )
        for row, request in enumerate(requests)
    ]


def _act(environment: Environment, observation: str, response: str) -> tuple[Step, bool, bool]:
    """Let one response act; return the step, whether the environment ended, and whether the step cap was reached."""
    parsed = parse_response(response)
    # A turn without an action costs a step like any other; the environment answers the empty action.
    thought, action = parsed if parsed is not None else ("", "")
    result = environment.step(action)
    answer = result.observation if parsed is not None else NO_ACTION
    step = Step(
        observation=observation,
        thought=thought,
        action=action,
        response=response,
        next_observation=answer,
        score=result.score,
        valid=parsed is not None,
    )
    return step, result.terminated, result.truncated


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
) -> list[Trajectory]:
    """Play all requests in cohorts of `cohort`; finished cohorts are kept under `store` and not played again.

    A file there that cannot be read, or is not of these requests, is removed with a note, and its cohort is played.

    Args:
        store: folder of this run alone: its name must change with the model, the settings and the tasks.
    """
    played: list[Trajectory] = []
    clock = Progress(total=len(requests), what=f"{name}: episodes")
    parts = {store / f"cohort-{number:04d}.parquet": part for number, part in enumerate(cohorts(requests, size=cohort))}
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
            won = sum(trajectory.success for trajectory in played)
            clock.show(len(played), note=f"{won} of {len(played)} won")
    return played


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
