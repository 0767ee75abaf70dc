"""Trajectories e = (u, a_1, o_1, …, a_n, o_n) (paper, eq. 1), one row per step. Scores G(e) lie in [0, 1]."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from w2sg.contracts import files
from w2sg.contracts.errors import UserError, named
from w2sg.contracts.messages import Message


@dataclass(frozen=True, slots=True)
class Step:
    """One execution step (o, th, a) of the agent and what came of it.

    Attributes:
        observation: o, what the agent saw before it acted.
        response: the agent's whole turn, as it was generated or written; thought and action are parsed from it.
        next_observation: what the environment answered.
        score: G reached after the action, in [0, 1].
        valid: the response had an action that could be parsed.
    """

    observation: str
    thought: str
    action: str
    response: str
    next_observation: str
    score: float
    valid: bool = True


def conversation(steps: Sequence[Step], *, prompt: str = "") -> list[Message]:
    """Steps as alternating user and assistant turns; a non-empty `prompt` opens the first user turn."""
    turns: list[Message] = []
    for number, step in enumerate(steps):
        observation = f"{prompt}\n{step.observation}" if prompt and number == 0 else step.observation
        turns.append(Message(role="user", content=observation))
        turns.append(Message(role="assistant", content=step.response))
    return turns


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One episode on one task.

    Attributes:
        policy: who acted: "expert", "play", or the name of a model such as "sft_weak".
        sample: index among the trajectories of the same policy on the same task, from 0.
        temperature, top_p: sampling of the policy; 0.0 and 1.0 where nothing was sampled.
        completed: the environment ended the episode by itself (the paper's "success", A18), not the step cap.
    """

    environment: str
    task_id: str
    policy: str
    sample: int
    temperature: float
    top_p: float
    completed: bool
    steps: tuple[Step, ...] = field(repr=False)

    @property
    def score(self) -> float:
        """G(e), the score after the last step; 0.0 for an episode without steps."""
        return self.steps[-1].score if self.steps else 0.0

    @property
    def success(self) -> bool:
        """G(e) = 1."""
        return self.score >= 1.0

    def messages(self, *, prompt: str = "") -> list[Message]:
        """The conversation: observations as user turns, responses as assistant turns; the last observation is left out.

        A `prompt` (appendix F) opens the first user turn.
        """
        return conversation(self.steps, prompt=prompt)


_HEAD = ("environment", "task_id", "policy", "sample", "temperature", "top_p", "completed")


TRAJECTORIES = pa.schema(
    [
        ("environment", pa.string()),
        ("task_id", pa.string()),
        ("policy", pa.string()),
        ("sample", pa.int64()),
        ("temperature", pa.float64()),
        ("top_p", pa.float64()),
        ("completed", pa.bool_()),
        ("step", pa.int64()),
        ("observation", pa.string()),
        ("thought", pa.string()),
        ("action", pa.string()),
        ("response", pa.string()),
        ("next_observation", pa.string()),
        ("score", pa.float64()),
        ("valid", pa.bool_()),
    ]
)


def write_trajectories(path: Path, trajectories: Iterable[Trajectory]) -> None:
    """Write trajectories to a Parquet file, one row per step, atomically."""
    rows: list[dict[str, Any]] = []
    for trajectory in trajectories:
        rows += step_rows(trajectory)
    files.write_rows(path, rows, TRAJECTORIES)


def step_rows(trajectory: Trajectory, **before: str | int) -> list[dict[str, Any]]:
    """A trajectory as table rows, one per step, each with the columns `before` it."""
    # The table has a row per step: an episode without any would vanish.
    assert trajectory.steps, f"task {trajectory.task_id}: a trajectory without steps"
    head = before | {name: getattr(trajectory, name) for name in _HEAD}
    return [{**head, "step": number, **asdict(step)} for number, step in enumerate(trajectory.steps)]


def read_trajectories(path: Path) -> list[Trajectory]:
    """Read and validate trajectories in the order in which they were written.

    Raises:
        UserError: the file is unreadable, a step is missing or out of order, or a score is out of range.
    """
    return [trajectory for _, trajectory in grouped(path, TRAJECTORIES, before=())]


def grouped(path: Path, schema: pa.Schema, *, before: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], Trajectory]]:
    """The trajectories of a table with one row per step, each with the values of the columns `before` it."""
    rows = files.read_parquet(path, schema).to_pylist()
    names = (*before, *_HEAD)
    for head, group in groupby(rows, key=lambda row: tuple(row[name] for name in names)):
        steps = tuple(_step(path, row, number) for number, row in enumerate(group))
        trajectory = Trajectory(**dict(zip(_HEAD, head[len(before) :], strict=True)), steps=steps)
        if trajectory.sample < 0 or trajectory.temperature < 0.0 or not 0.0 < trajectory.top_p <= 1.0:
            found = f"sample {trajectory.sample}, temperature {trajectory.temperature}, top_p {trajectory.top_p}"
            raise UserError(f"{path}: task {named(trajectory.task_id)}: {found}; allowed are >= 0, >= 0 and > 0 to 1")
        yield head[: len(before)], trajectory


def _step(path: Path, row: dict[str, Any], number: int) -> Step:
    where = f"{path}: task {named(row['task_id'])}, sample {row['sample']}, step {row['step']}"
    if row["step"] != number:
        twice = "; is the sample there twice?" if row["step"] == 0 else ""
        raise UserError(f"{where}: step {number} belongs here{twice}")
    if not 0.0 <= row["score"] <= 1.0:
        raise UserError(f"{where}: score is {row['score']}, allowed is 0 to 1")
    return Step(**{f.name: row[f.name] for f in fields(Step)})
