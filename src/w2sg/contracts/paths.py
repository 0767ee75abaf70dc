"""Paths for imitation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from w2sg.contracts.messages import MESSAGES, Message
from w2sg.contracts.rows import Row, in_turn, in_unit_interval


@dataclass(frozen=True, slots=True)
class DemonstrationPath(Row):
    """One path e* for imitation (paper, eq. 8), after its replay in the environment (A6).

    Attributes:
        kind: what was looked for, as `data` of the roster names it (config/rosters.py).
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
        in_unit_interval("tree_value", self.tree_value)
        in_unit_interval("replay_score", self.replay_score)
        if not self.messages or self.messages[-1]["role"] != "assistant":
            raise ValueError("messages do not end with an assistant turn")
        in_turn("messages", self.messages)
