"""Preference pairs, and what the reference model makes of their turns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from w2sg.contracts.errors import shown
from w2sg.contracts.messages import MESSAGES, Message
from w2sg.contracts.rows import Row, in_turn, in_unit_interval


@dataclass(frozen=True, slots=True)
class Pair(Row):
    """One preference pair (tau+, tau-) = ((h, sigma+), (h, sigma-)) (paper, section 3.2).

    Attributes:
        kind: which builder made it: "tree", "shuffled", "expert", "random", "eto", "ceiling".
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
        in_unit_interval("chosen_score", self.chosen_score)
        in_unit_interval("rejected_score", self.rejected_score)
        if self.chosen_score <= self.rejected_score:
            raise ValueError(f"chosen_score {self.chosen_score} is not above rejected_score {self.rejected_score}")
        if not self.history or self.history[-1]["role"] != "user":
            raise ValueError("history does not end with a user turn")
        for name, side in (("chosen", self.chosen), ("rejected", self.rejected)):
            if not side or side[0]["role"] != "assistant" or side[-1]["role"] != "assistant":
                raise ValueError(f"{name} does not start and end with an assistant turn")
        in_turn("history", self.history)
        in_turn("chosen", self.chosen, first="assistant")
        in_turn("rejected", self.rejected, first="assistant")


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
            raise ValueError(f"side is {shown(self.side)}, allowed are chosen, rejected")
        if not -math.inf < self.logprob <= 0.0:
            raise ValueError(f"logprob is {self.logprob}, allowed is a finite number up to 0")
        if self.tokens < 1:
            raise ValueError(f"tokens is {self.tokens}, allowed is 1 or more")
