"""What supervised and preference training share: the trainer's arguments, batches and their parts."""

import dataclasses
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from w2sg.config.training import Optimization
from w2sg.contracts.errors import UserError
from w2sg.training import sharding
from w2sg.training.adapters import merge
from w2sg.training.batches import GroupedSampler
from w2sg.training.head import IGNORED, labelled
from w2sg.training.micro_batches import lengths_of, parts, pick
from w2sg.training.precision import mixed

# The argument's name in this version of transformers: the newer one from 5.19 on.
RECOMPUTE = next(
    name
    for name in ("activation_checkpointing", "gradient_checkpointing")
    if name in {field.name for field in dataclasses.fields(TrainingArguments)}
)


def trainer_arguments(
    optimization: Optimization, *, rows: int, folder: str, seed: int, recompute: bool = False
) -> dict[str, Any]:
    """Arguments common to SFTConfig and DPOConfig: one update per batch, every update logged, nothing saved or sent.

    Args:
        rows: number of training rows, from which the warm-up steps are counted.
        folder: a scratch folder that the trainer insists on.
        recompute: keep the input of each block alone, and compute the rest again in the backward pass.
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
        "max_grad_norm": 1.0,
        "bf16": mixed(optimization),
        "use_cpu": not cuda,
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": cuda,
        RECOMPUTE: recompute,
        "max_length": None,
        "seed": seed,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def on_one_device(settings: TrainingArguments) -> TrainingArguments:
    """One GPU for each process: with several in sight of one process transformers would spread each batch over all."""
    if settings.n_gpu > 1:
        settings._n_gpu = 1
    return settings


class OwnBatches(Trainer):
    """What our trainers change in those of transformers and TRL: batches of like length, their parts, no call home.

    Rows have a column `length`, in tokens. Every process sees whole batches, in the same order, and takes its share.
    A loss is a sum over the part at hand, divided by `num_items_in_batch`, which is what `items` says of the whole
    batch, and multiplied by the number of processes, over which torch then averages gradients.

    Attributes:
        micro_tokens: most tokens of a part; None takes batches whole.
        sides: rows of one example.
        idle: the part at hand is a stand-in, since another process has one more; its loss counts 0 times.
    """

    micro_tokens: int | None = None
    sides: int = 1
    idle: bool = False

    def items(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """What the loss is the mean over: the learned tokens."""
        return (inputs["labels"][:, 1:] != IGNORED).sum()

    def training_step(self, model: torch.nn.Module, inputs: dict[str, Any], *_: Any) -> torch.Tensor:
        """Forward and backward over a batch, part by part; the loss of this process, to be averaged over all."""
        processes, own = self.accelerator.num_processes, self.accelerator.process_index
        items = self.items(inputs)
        dealt = parts(lengths_of(inputs, sides=self.sides), tokens=self.micro_tokens, processes=processes)[own]
        if processes == 1 and len(dealt) == 1:
            return super().training_step(model, inputs, items)
        losses = []
        for number, examples in enumerate(dealt, start=1):
            self.idle = not examples
            with self.local(model, last=number == len(dealt)):
                part = pick(inputs, examples or [0], sides=self.sides)
                losses.append(super().training_step(model, part, items))
        self.idle = False
        return torch.stack(losses).sum()

    def local(self, model: torch.nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Within it gradients stay with the process: they travel once, with the last part of a batch.

        Where weights are split they travel with each part, since a process has no room for all of them.
        """
        return nullcontext() if last or self.is_fsdp_enabled else self.accelerator.no_sync(model)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Whole batches for every process."""
        prepared = super().get_train_dataloader()
        if self.accelerator.num_processes == 1:
            return prepared
        return DataLoader(
            prepared.dataset,
            batch_size=self.args.per_device_train_batch_size,
            sampler=self._get_train_sampler(),
            collate_fn=prepared.collate_fn,
        )

    def get_batch_samples(self, *values: Any) -> tuple[list[Any], None]:
        """Batches alone: what is learned in them is counted by `items`."""
        return super().get_batch_samples(*values)[0], None

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> GroupedSampler:
        return GroupedSampler(
            self.train_dataset["length"], batch=self.args.per_device_train_batch_size, seed=self.args.seed
        )

    def _send_telemetry(self) -> None:
        pass


def run(trainer: Trainer) -> PreTrainedModel | PeftModel:
    """Train, merge the adapters if there are any (they stay in sight), and give back the model in evaluation mode.

    Where weights were split over processes, the first one has the whole model, on the processor, and the others none.

    Raises:
        UserError: DeepSpeed is asked for, or the weights are no longer numbers.
    """
    if trainer.is_deepspeed_enabled:
        raise UserError("accelerate.yaml: DeepSpeed is not supported; choose FSDP or MULTI_GPU, or remove the file")
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    model = trainer.model
    trainer.is_fsdp_enabled = getattr(trainer.accelerator.state, "fsdp_plugin", None) is not None
    if trainer.is_fsdp_enabled:
        trainer.accelerator.state.fsdp_plugin.mixed_precision_policy = sharding.policy(half=trainer.args.bf16)
        model = sharding.skeleton(model)
    with labelled(_plain(trainer.model)):
        trainer.train()
    if trainer.is_fsdp_enabled:
        sharding.gather(trainer.model, model)
    plain = _plain(model)
    if getattr(trainer.args, RECOMPUTE):
        getattr(plain, f"{RECOMPUTE}_disable")()
        # For adapters, TRL and transformers each let the embeddings' output require a gradient.
        hooks = plain.get_input_embeddings()._forward_hooks
        for number in [number for number, hook in hooks.items() if "make_inputs_require_grads" in hook.__qualname__]:
            del hooks[number]
    # TRL and accelerate leave their own forward on the instance, and the checkpoint would say that it has no cache.
    for each in (plain, model):
        for name in ("forward", "_original_forward", "_require_grads_hook", "_require_grads_hooks"):
            each.__dict__.pop(name, None)
    plain.config.use_cache = True
    if model.device.type != "meta":
        # The loss that is looked at is the one before an update, and so says nothing of the last.
        if not all(bool(torch.isfinite(weight).all()) for weight in model.parameters() if weight.requires_grad):
            raise UserError("the last update left weights that are no numbers; lower learning_rate")
        if isinstance(model, PeftModel):
            merge(model)
    return model.eval()


def _plain(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """Without adapters."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


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
