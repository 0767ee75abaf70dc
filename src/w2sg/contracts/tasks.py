"""The task table: one row per instruction u of an environment."""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from w2sg.contracts.errors import shown
from w2sg.contracts.rows import Row

SPLITS = ("train", "seen", "unseen")


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
            raise ValueError(f"split is {shown(self.split)}, allowed are {', '.join(SPLITS)}")
        if self.max_steps < 1:
            raise ValueError(f"max_steps is {self.max_steps}, allowed is 1 or more")
