from types import SimpleNamespace

import pytest

from w2sg.contracts.errors import UserError
from w2sg.training import trainer_log
from w2sg.training.trainer_log import TrainingLog

TRAINING = SimpleNamespace(warmup_steps=1)


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(trainer_log.time, "monotonic", lambda: self.now)


def logs(loss: float = 0.5) -> dict[str, float]:
    return {"loss": loss, "epoch": 1.0, "learning_rate": 0.1, "rewards/margins": 2.0, "grad_norm": 3.0}


def state(step: int, of: int = 10) -> SimpleNamespace:
    return SimpleNamespace(global_step=step, max_steps=of, is_world_process_zero=True)


def test_a_row_per_update_with_the_columns_asked_for() -> None:
    log = TrainingLog("dpo", extra={"margin": "rewards/margins"})
    log.on_log(None, state(1), None, logs=logs())
    log.on_log(None, state(1), None, logs={"train_runtime": 3.0, "epoch": 1.0})
    assert log.rows == [{"step": 1, "epoch": 1.0, "loss": 0.5, "learning_rate": 0.1, "margin": 2.0}]


def test_a_line_every_fifteen_seconds_and_one_at_the_end(monkeypatch, capsys) -> None:
    clock = Clock(monkeypatch)
    log = TrainingLog("sft")
    log.on_train_begin(TRAINING, state(0), None)
    for step in range(1, 11):
        clock.now += 6.0
        log.on_log(None, state(step), None, logs=logs())
    assert capsys.readouterr().err.splitlines() == [
        "sft: step 3 of 10, loss 0.500, 0.7 min left",
        "sft: step 6 of 10, loss 0.500, 0.4 min left",
        "sft: step 9 of 10, loss 0.500, 0.1 min left",
        "sft: step 10 of 10, loss 0.500, 0.0 min left",
    ]


@pytest.mark.parametrize(("updates", "warmup", "warned"), [(1, 1, True), (1, 0, False), (2, 1, False)])
def test_a_training_that_trains_nothing_is_told_of(updates: int, warmup: int, warned: bool, capsys) -> None:
    """The schedules of transformers begin warming up with a learning rate of 0."""
    TrainingLog("dpo").on_train_begin(SimpleNamespace(warmup_steps=warmup), state(0, of=updates), None)
    assert ("dpo: warning: one update alone" in capsys.readouterr().err) is warned


def test_one_line_that_is_rewritten_on_a_terminal(monkeypatch, capsys) -> None:
    clock = Clock(monkeypatch)
    log = TrainingLog("sft")
    log.on_train_begin(TRAINING, state(0), None)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    for step in (1, 2):
        clock.now += 2.0
        log.on_log(None, state(step, of=2), None, logs=logs())
    assert (
        capsys.readouterr().err
        == "sft: step 1 of 2, loss 0.500, 0.0 min left\rsft: step 2 of 2, loss 0.500, 0.0 min left\n"
    )


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_training(loss: float) -> None:
    with pytest.raises(UserError, match=f"sft: the loss is {loss} at step 4; lower learning_rate"):
        TrainingLog("sft").on_log(None, state(4), None, logs=logs(loss))
