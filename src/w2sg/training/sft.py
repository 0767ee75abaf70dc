"""Supervised fine-tuning (paper, eq. 4 and 8) and, over all tokens, pretraining of a base from scratch.

Departure from the authors' code: the loss covers assistant tokens only, each turn's end token included (A16).
"""

import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer

from w2sg.config.training import Lora, Optimization
from w2sg.contracts import processes
from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message
from w2sg.training import sharding
from w2sg.training.adapters import lora_config
from w2sg.training.encoding import encode
from w2sg.training.memory import plan_training
from w2sg.training.precision import warn_of_emulation
from w2sg.training.trainer_log import LogRow, TrainingLog
from w2sg.training.trainer_setup import OwnBatches, on_one_device, plain_attention, run, trainer_arguments

CONFIDENCE_WARMUP = 0.2  # share of the updates in which the confidence loss gains its weight (Burns et al., 2023)


class _Trainer(OwnBatches, SFTTrainer):
    """TRL's trainer, with its loss, on our batches; and with the confidence loss in the place of a part of it.

    Attributes:
        confidence: the weight of the confidence loss after its warm-up.
    """

    confidence: float = 0.0

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The loss of the part at hand; nothing of a stand-in."""
        loss: torch.Tensor
        if not self.confidence:
            loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            return 0.0 * loss if self.idle else loss
        assert not return_outputs and num_items_in_batch is not None, "nothing is evaluated during training"
        given, own = model(**inputs, use_cache=False, per_token=given_and_likeliest)
        weight = self.confidence * min(1.0, self.state.global_step / (CONFIDENCE_WARMUP * self.state.max_steps))
        share = self.accelerator.num_processes * (not self.idle)
        loss = -((1.0 - weight) * given + weight * own).sum() * share / num_items_in_batch
        return loss


def given_and_likeliest(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of the tokens that are given, and of those that the model itself finds likeliest, in nats.

    The second is the confidence loss of Burns et al. (2023, section 4.3, eq. 1) for a choice among many: the
    cross-entropy with the model's own hardened prediction, so that it may hold against its teacher what it is sure of.

    Args:
        logits: shape (tokens, vocabulary).
        targets: shape (tokens,).
    """
    log_p = torch.log_softmax(logits, dim=-1)
    return log_p.gather(-1, targets[:, None])[:, 0], log_p.max(dim=-1).values


def train_sft(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    conversations: Sequence[Sequence[Message]],
    *,
    optimization: Optimization,
    lora: Lora | None,
    assistant_only: bool,
    seed: int,
    confidence: float = 0.0,
) -> tuple[PreTrainedModel, list[LogRow]]:
    """Maximise the log-likelihood of conversations; the loss is the mean over the learned tokens of a batch.

    The same seed, data and machine give the same weights. `model` is changed in place.

    Args:
        assistant_only: learn assistant turns only (fine-tuning) or every token (pretraining).
        confidence: weight of the confidence loss (see given_and_likeliest) in the place of as much of the likelihood,
            reached after a fifth of the updates.

    Returns:
        The model in evaluation mode, adapters merged but in sight (a PeftModel), and one row per update: step, epoch,
        loss (natural logarithm, per token), learning_rate.

    Raises:
        UserError: there are no conversations, one is longer than the context, or the loss diverges.
    """
    name = "sft" if assistant_only else "pretrain"
    if not conversations:
        raise UserError(f"{name}: there is not one conversation to learn from")
    rows = [
        _row(tokenizer, messages, assistant_only=assistant_only, name=f"{name}: conversation {number}")
        for number, messages in enumerate(conversations)
    ]
    return fit(
        model, tokenizer, rows, optimization=optimization, lora=lora, seed=seed, name=name, confidence=confidence
    )


def fit(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, Any]],
    *,
    optimization: Optimization,
    lora: Lora | None,
    seed: int,
    name: str,
    confidence: float = 0.0,
) -> tuple[PreTrainedModel, list[LogRow]]:
    """As `train_sft`, on tokens: rows of input_ids, labels (-100 where nothing is learned) and length."""
    warn_of_emulation(optimization, name=name)
    lengths = [row["length"] for row in rows]
    recompute = plan_training(
        model,
        name=name,
        optimization=optimization,
        lora=lora,
        lengths=lengths,
        processes=processes.count(),
        split=sharding.split(),
    )
    log = TrainingLog(name)
    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            **trainer_arguments(optimization, rows=len(rows), folder=folder, seed=seed, recompute=recompute),
            dataset_kwargs={"skip_prepare_dataset": True},
        )
        trainer = _Trainer(
            model=model,
            args=on_one_device(settings),
            train_dataset=Dataset.from_list(list(rows)),
            processing_class=tokenizer,
            peft_config=lora_config(lora, model),
            callbacks=[log],
        )
        trainer.micro_tokens = optimization.micro_tokens
        trainer.confidence = confidence
        with plain_attention(model, longest=max(lengths)):
            return run(trainer), log.rows


def _row(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, assistant_only: bool, name: str
) -> dict[str, Any]:
    """One training row as TRL prepares it: label -100 where nothing is learned."""
    ids, mask = encode(tokenizer, messages, name=f"{name} ({_opening(messages)!r})")
    labels = [token if bit or not assistant_only else -100 for token, bit in zip(ids, mask, strict=True)]
    return {"input_ids": ids, "labels": labels, "length": len(ids)}


def _opening(messages: Sequence[Message]) -> str:
    """The last words of the first turn, where the task is."""
    return " ".join(messages[0]["content"].split())[-60:] if messages else ""
