from types import SimpleNamespace

import pytest
from trl import DPOConfig, SFTConfig

from w2sg.config.training import Optimization
from w2sg.contracts.errors import UserError
from w2sg.training.trainer_setup import run, trainer_arguments


def optimization(**changes: object) -> Optimization:
    values: dict[str, object] = {
        "epochs": 3,
        "batch": 8,
        "micro_tokens": None,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "warmup": 0.1,
        "weight_decay": 0.0,
        "adam_beta2": 0.99,
        "precision": "fp32",
    }
    return Optimization.model_validate(values | changes)


@pytest.mark.parametrize(
    ("share", "steps"), [(0.0, 0), (0.01, 1), (0.1, 2), (0.5, 6), (1.0, 12)], ids=lambda value: str(value)
)
def test_warm_up_is_a_share_of_all_updates(share: float, steps: int) -> None:
    # 25 rows are 4 updates an epoch.
    assert trainer_arguments(optimization(warmup=share), rows=25, folder="x", seed=0)["warmup_steps"] == steps


@pytest.mark.parametrize("config", [SFTConfig, DPOConfig])
def test_the_arguments_suit_both_trainers(config: type, tmp_path) -> None:
    settings = config(**trainer_arguments(optimization(), rows=25, folder=str(tmp_path), seed=5))
    # The traps in TRL's defaults: truncation, recomputed activations, half precision, reports to services.
    assert settings.max_length is None
    assert not settings.gradient_checkpointing
    assert not settings.bf16
    assert settings.report_to == []
    assert (settings.seed, settings.per_device_train_batch_size, settings.weight_decay) == (5, 8, 0.0)


@pytest.mark.parametrize("config", [SFTConfig, DPOConfig])
@pytest.mark.parametrize("schedule", ["cosine", "constant_with_warmup"])
def test_every_setting_reaches_the_trainer(config: type, schedule: str, tmp_path) -> None:
    own = optimization(schedule=schedule, learning_rate=3e-4, weight_decay=0.3, adam_beta2=0.9, warmup=0.25)
    settings = config(**trainer_arguments(own, rows=25, folder=str(tmp_path), seed=5))
    assert (settings.learning_rate, settings.weight_decay, settings.adam_beta2) == (3e-4, 0.3, 0.9)
    assert (settings.lr_scheduler_type, settings.warmup_steps, settings.num_train_epochs) == (schedule, 3, 3)
    assert (settings.max_grad_norm, settings.adam_beta1) == (1.0, 0.9)


def test_deepspeed_is_refused() -> None:
    with pytest.raises(UserError, match=r"^accelerate\.yaml: DeepSpeed is not supported; choose FSDP or MULTI_GPU"):
        run(SimpleNamespace(is_deepspeed_enabled=True))
