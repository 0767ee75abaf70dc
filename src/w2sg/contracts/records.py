"""Data contracts: every table that one stage writes and another reads, as a dataclass and a Parquet schema.

A trajectory e = (u, a_1, o_1, …, a_n, o_n) (paper, eq. 1) is stored with one row per step. Scores G(e) lie in [0, 1].
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Self, TypedDict

import pyarrow as pa

from w2sg.contracts import files
from w2sg.contracts.errors import UserError

SPLITS = ("train", "seen", "unseen")


class Message(TypedDict):
    """One turn of a conversation; `role` is "user" (environment) or "assistant" (agent)."""

    role: str
    content: str


MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


class Row:
    """A record that is one row of a table: subclasses are frozen dataclasses with a SCHEMA."""

    SCHEMA: ClassVar[pa.Schema]

    def check(self) -> None:
        """Raise ValueError with a short reason when a value is out of its range."""

    @classmethod
    def write(cls, path: Path, rows: Iterable[Self]) -> None:
        """Write rows to a Parquet file atomically."""
        files.write_parquet(path, pa.Table.from_pylist([asdict(row) for row in rows], schema=cls.SCHEMA))  # type: ignore[call-overload]

    @classmethod
    def read(cls, path: Path) -> list[Self]:
        """Read and validate a Parquet file.

        Raises:
            UserError: the file is missing or truncated, a column is missing, unknown or of another type, or a value is
                empty or out of range.
        """
        rows = [cls(**row) for row in files.read_parquet(path, cls.SCHEMA).to_pylist()]
        for number, row in enumerate(rows):
            try:
                row.check()
            except ValueError as error:
                raise UserError(f"{path}: row {number}: {error}") from None
        return rows


def _in_unit_interval(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value}, allowed is 0 to 1")


@dataclass(frozen=True, slots=True)
class Task(Row):
    """One instruction u of an environment.

    Attributes:
        spec: JSON text with what the environment needs to reset to this task (a game file, a variation, a goal index).
        max_steps: number of actions after which an episode is cut off.
    """

    environment: str
    task_id: str
    split: str
    task_type: str
    instruction: str
    spec: str
    max_steps: int

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [(name, pa.string()) for name in ("environment", "task_id", "split", "task_type", "instruction", "spec")]
        + [("max_steps", pa.int64())]
    )

    def check(self) -> None:
        """See Row.check."""
        if self.split not in SPLITS:
            raise ValueError(f"split is {self.split!r}, allowed are {', '.join(SPLITS)}")
        if self.max_steps < 1:
            raise ValueError(f"max_steps is {self.max_steps}, allowed is 1 or more")


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
        rows += _rows(trajectory)
    files.write_parquet(path, pa.Table.from_pylist(rows, schema=TRAJECTORIES))


def _rows(trajectory: Trajectory, **before: str | int) -> list[dict[str, Any]]:
    # The table has a row per step: an episode without any would vanish.
    assert trajectory.steps, f"task {trajectory.task_id}: a trajectory without steps"
    head = before | {name: getattr(trajectory, name) for name in _HEAD}
    return [{**head, "step": number, **asdict(step)} for number, step in enumerate(trajectory.steps)]


def read_trajectories(path: Path) -> list[Trajectory]:
    """Read and validate trajectories in the order in which they were written.

    Raises:
        UserError: the file is unreadable, a step is missing or out of order, or a score is out of range.
    """
    return [trajectory for _, trajectory in _grouped(path, TRAJECTORIES, before=())]


def _grouped(path: Path, schema: pa.Schema, *, before: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], Trajectory]]:
    """The trajectories of a table with one row per step, each with the values of the columns `before` it."""
    rows = files.read_parquet(path, schema).to_pylist()
    names = (*before, *_HEAD)
    for head, group in groupby(rows, key=lambda row: tuple(row[name] for name in names)):
        steps = tuple(_step(path, row, number) for number, row in enumerate(group))
        trajectory = Trajectory(**dict(zip(_HEAD, head[len(before) :], strict=True)), steps=steps)
        if trajectory.sample < 0 or trajectory.temperature < 0.0 or not 0.0 < trajectory.top_p <= 1.0:
            found = f"sample {trajectory.sample}, temperature {trajectory.temperature}, top_p {trajectory.top_p}"
            raise UserError(f"{path}: task {trajectory.task_id}: {found}; allowed are >= 0, >= 0 and > 0 to 1")
        yield head[: len(before)], trajectory


def _step(path: Path, row: dict[str, Any], number: int) -> Step:
    where = f"{path}: task {row['task_id']}, sample {row['sample']}, step {row['step']}"
    if row["step"] != number:
        raise UserError(f"{where}: step {number} belongs here")
    if not 0.0 <= row["score"] <= 1.0:
        raise UserError(f"{where}: score is {row['score']}, allowed is 0 to 1")
    return Step(**{f.name: row[f.name] for f in fields(Step)})


@dataclass(frozen=True, slots=True)
class Pair(Row):
    """One preference pair (tau+, tau-) = ((h, sigma+), (h, sigma-)) (paper, section 3.2).

    Attributes:
        kind: which builder made it: "tree", "random", "eto", "ceiling".
        divergence: number of assistant turns in the shared history h.
        history: h, ending with the user turn at which the two sides part.
        chosen, rejected: sigma+ and sigma-, starting and ending with an assistant turn.
        chosen_score, rejected_score: aggregated G of the two sides, in [0, 1].
    """

    environment: str
    task_id: str
    kind: str
    pair_id: int
    divergence: int
    history: Sequence[Message]
    chosen: Sequence[Message]
    rejected: Sequence[Message]
    chosen_score: float
    rejected_score: float

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [
            ("environment", pa.string()),
            ("task_id", pa.string()),
            ("kind", pa.string()),
            ("pair_id", pa.int64()),
            ("divergence", pa.int64()),
            ("history", MESSAGES),
            ("chosen", MESSAGES),
            ("rejected", MESSAGES),
            ("chosen_score", pa.float64()),
            ("rejected_score", pa.float64()),
        ]
    )

    def check(self) -> None:
        """See Row.check."""
        _in_unit_interval("chosen_score", self.chosen_score)
        _in_unit_interval("rejected_score", self.rejected_score)
        if self.chosen_score <= self.rejected_score:
            raise ValueError(f"chosen_score {self.chosen_score} is not above rejected_score {self.rejected_score}")
        if not self.history or self.history[-1]["role"] != "user":
            raise ValueError("history does not end with a user turn")
        for name, side in (("chosen", self.chosen), ("rejected", self.rejected)):
            if not side or side[0]["role"] != "assistant" or side[-1]["role"] != "assistant":
                raise ValueError(f"{name} does not start and end with an assistant turn")


@dataclass(frozen=True, slots=True)
class DemonstrationPath(Row):
    """One path e* for imitation (paper, eq. 8), after its replay in the environment (A6).

    Attributes:
        kind: "mcts", "best_of_m" or "demonstrations".
        messages: the conversation, ending with an assistant turn.
        tree_value: r_M/c_M of the extracted terminal, or the trajectory's own G for the other kinds.
        replay_score: G of the same actions in the environment, in [0, 1].
        source_sample: the sample whose actions these are; -1 for a recombination of several.
        certified: the replay gave the observations of the path and its expected score.
    """

    environment: str
    task_id: str
    kind: str
    messages: Sequence[Message]
    tree_value: float
    replay_score: float
    source_sample: int
    certified: bool

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [
            ("environment", pa.string()),
            ("task_id", pa.string()),
            ("kind", pa.string()),
            ("messages", MESSAGES),
            ("tree_value", pa.float64()),
            ("replay_score", pa.float64()),
            ("source_sample", pa.int64()),
            ("certified", pa.bool_()),
        ]
    )

    def check(self) -> None:
        """See Row.check."""
        _in_unit_interval("tree_value", self.tree_value)
        _in_unit_interval("replay_score", self.replay_score)
        if not self.messages or self.messages[-1]["role"] != "assistant":
            raise ValueError("messages do not end with an assistant turn")


@dataclass(frozen=True, slots=True)
class ReferenceTurn(Row):
    """Log-probability of one assistant turn's text under the reference model (A9, A10).

    Attributes:
        side: "chosen" or "rejected".
        turn: index of the assistant turn within that side, from 0.
        logprob: sum over the turn's tokens, natural logarithm, finite and at most 0.
        tokens: number of tokens of the turn under the reference's tokenizer.
    """

    pair_id: int
    side: str
    turn: int
    logprob: float
    tokens: int

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [
            ("pair_id", pa.int64()),
            ("side", pa.string()),
            ("turn", pa.int64()),
            ("logprob", pa.float64()),
            ("tokens", pa.int64()),
        ]
    )

    def check(self) -> None:
        """See Row.check."""
        if self.side not in ("chosen", "rejected"):
            raise ValueError(f"side is {self.side!r}, allowed are chosen, rejected")
        if not -math.inf < self.logprob <= 0.0:
            raise ValueError(f"logprob is {self.logprob}, allowed is a finite number up to 0")
        if self.tokens < 1:
            raise ValueError(f"tokens is {self.tokens}, allowed is 1 or more")


@dataclass(frozen=True, slots=True)
class Episode:
    """One evaluation episode: a trajectory with the model, seed and split it belongs to."""

    model: str
    seed: int
    split: str
    trajectory: Trajectory


EPISODES = pa.schema([("model", pa.string()), ("seed", pa.int64()), ("split", pa.string()), *TRAJECTORIES])


def write_episodes(path: Path, episodes: Iterable[Episode]) -> None:
    """Write evaluation episodes to a Parquet file, one row per step, atomically."""
    rows: list[dict[str, Any]] = []
    for episode in episodes:
        rows += _rows(episode.trajectory, model=episode.model, seed=episode.seed, split=episode.split)
    files.write_parquet(path, pa.Table.from_pylist(rows, schema=EPISODES))


def read_episodes(path: Path) -> list[Episode]:
    """Read and validate evaluation episodes in the order in which they were written.

    Raises:
        UserError: as read_trajectories, or the split is unknown.
    """
    episodes = []
    for (model, seed, split), trajectory in _grouped(path, EPISODES, before=("model", "seed", "split")):
        if split not in SPLITS:
            raise UserError(f"{path}: task {trajectory.task_id}: split is {split!r}, allowed are {', '.join(SPLITS)}")
        episodes.append(Episode(model, seed, split, trajectory))
    return episodes
