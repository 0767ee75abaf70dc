"""What supervised and preference training share: TRL's arguments, and a head that scores labelled tokens."""

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import LlamaForCausalLM, PreTrainedModel, Trainer
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from trl.trainer.utils import FusedCausalLMOutput

from w2sg.config.training import Optimization
from w2sg.training.adapters import merge
from w2sg.training.batches import GroupedSampler


def native_bf16() -> bool:
    """Whether the GPU, or else the processor, multiplies bfloat16 matrices in hardware."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Private in torch 2.13; where a later version drops one of them, "auto" falls back to single precision.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, bool)() for probe in probes)


def trainer_arguments(optimization: Optimization, *, rows: int, folder: str, seed: int) -> dict[str, Any]:
    """Arguments common to SFTConfig and DPOConfig: one update per batch, every update logged, nothing saved or sent.

    Args:
        rows: number of training rows, from which the warm-up steps are counted.
        folder: a scratch folder that the trainer insists on.
    """
    steps = math.ceil(math.ceil(rows / optimization.batch) * optimization.epochs)
    cuda = torch.cuda.is_available()
    return {
        "output_dir": folder,
        "num_train_epochs": optimization.epochs,
        "per_device_train_batch_size": optimization.batch,
        "learning_rate": optimization.learning_rate,
        "lr_scheduler_type": optimization.schedule,
        "warmup_steps": math.ceil(optimization.warmup * steps),
        "weight_decay": optimization.weight_decay,
        "adam_beta2": optimization.adam_beta2,
        "bf16": optimization.precision == "bf16" or (optimization.precision == "auto" and native_bf16()),
        "use_cpu": not cuda,
        "dataloader_pin_memory": cuda,
        "activation_checkpointing": False,
        "max_length": None,
        "seed": seed,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


class OwnBatches(Trainer):
    """What our trainers change in TRL's: batches of like length, and no call home.

    Rows have a column `length`, in tokens.
    """

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> GroupedSampler:
        return GroupedSampler(
            self.train_dataset["length"], batch=self.args.per_device_train_batch_size, seed=self.args.seed
        )

    def _send_telemetry(self) -> None:
        pass


def run(trainer: Trainer, *, compact_head: bool = True) -> PreTrainedModel:
    """Train, merge the adapters if there are any, and give back the plain model in evaluation mode.

    Args:
        compact_head: off where the loss reads whole next-token distributions.
    """
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    plain = trainer.model.get_base_model() if isinstance(trainer.model, PeftModel) else trainer.model
    with _compact_head(plain) if compact_head else nullcontext():
        trainer.train()
    model = merge(trainer.model) if isinstance(trainer.model, PeftModel) else trainer.model
    # TRL and accelerate leave their own forward on the instance, and the checkpoint would say that it has no cache.
    for name in ("forward", "_original_forward"):
        model.__dict__.pop(name, None)
    model.config.use_cache = True
    return model.eval()


@contextmanager
def plain_attention(model: PreTrainedModel, *, longest: int) -> Iterator[None]:
    """On the processor, attention by plain matrix products while sequences are at most `longest` <= 128 tokens long.

    Torch's fused attention spends 3.6 times the time of a whole update on 100 sequences of 40 tokens (64 wide; 2.2
    times at 128 wide); from 400 tokens on it is the faster one.
    """
    fused = model.config._attn_implementation
    if model.device.type != "cpu" or longest > 128 or fused != "sdpa":
        yield
        return
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(fused)


@contextmanager
def _compact_head(model: PreTrainedModel) -> Iterator[None]:
    """On the processor, let TRL's losses see the log-probabilities of labelled positions only.

    TRL's fused head does this on GPUs, but on a processor it scores every position, with an entropy besides: 1.8 times
    the time of a whole update of a small model. The fields that only feed TRL's metrics stay zero.
    """
    if model.device.type != "cpu" or not isinstance(model, LlamaForCausalLM):
        yield
        return
    fused = model.forward

    @functools.wraps(type(model).forward)
    def forward(*args: Any, fused_lm_head: bool = False, **kwargs: Any) -> Any:
        if not fused_lm_head:
            return fused(*args, **kwargs)
        labels = kwargs.pop("labels")
        hidden = model.model(*args, **kwargs).last_hidden_state[:, :-1]
        scored = labels[:, 1:] != -100
        targets = labels[:, 1:][scored]
        logits = model.lm_head(hidden[scored]).float()
        values = -torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        log_probs = values.new_zeros(scored.shape).masked_scatter(scored, values)
        zeros = torch.zeros_like(log_probs, requires_grad=False)
        return FusedCausalLMOutput(
            log_probs=log_probs, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool(), label_mask=scored
        )

    model.forward = forward
    try:
        yield
    finally:
        model.forward = fused
