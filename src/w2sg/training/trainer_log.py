"""Learning curves and the progress line of a training run."""

import math
import sys
import time
from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from w2sg.contracts.errors import UserError

SECONDS_BETWEEN_LINES = 15.0

LogRow = dict[str, int | float]


class TrainingLog(TrainerCallback):
    """Collects one row per update and tells on stderr how far the training is.

    Args:
        name: what is trained, for the progress line.
        extra: columns beside step, epoch, loss and learning_rate, as column name to TRL's metric name.
    """

    def __init__(self, name: str, *, extra: Mapping[str, str] | None = None) -> None:
        self.rows: list[LogRow] = []
        self._name = name
        self._extra = dict(extra or {})
        self._started = self._shown = time.monotonic()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock; warn where the schedule leaves no update that trains."""
        self._started = self._shown = time.monotonic()
        if state.max_steps == 1 and args.warmup_steps > 0 and state.is_world_process_zero:
            print(
                f"{self._name}: warning: one update alone, and warming up begins with a learning rate of 0: nothing is "
                "trained; more data, more epochs, a smaller batch, or warmup: 0",
                file=sys.stderr,
            )

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Keep the row of one update.

        Raises:
            UserError: the loss is no longer a number.
        """
        if logs is None or "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise UserError(
                f"{self._name}: the loss is {logs['loss']} at step {state.global_step}; lower learning_rate"
            )
        row: LogRow = {"step": state.global_step, "epoch": logs["epoch"], "loss": logs["loss"]}
        row["learning_rate"] = logs["learning_rate"]
        self.rows.append(row | {column: logs[metric] for column, metric in self._extra.items()})
        if state.is_world_process_zero:
            self._show(state.global_step, of=state.max_steps, loss=logs["loss"])

    def _show(self, done: int, *, of: int, loss: float) -> None:
        now = time.monotonic()
        terminal, last = sys.stderr.isatty(), done == of
        if now - self._shown < (1.0 if terminal else SECONDS_BETWEEN_LINES) and not last:
            return
        self._shown = now
        left = (now - self._started) / done * (of - done)
        line = f"{self._name}: step {done} of {of}, loss {loss:.3f}, {left / 60:.1f} min left"
        end = "\r" if terminal and not last else "\n"
        print(line, end=end, file=sys.stderr, flush=True)
