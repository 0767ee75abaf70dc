"""A second exploration policy by a diversity bonus (paper, eq. 5): L_SFT - lambda * KL(pi || pi'_explore).

Departure from the paper (A12): minimised as it stands, the bonus has no lower bound, since a policy can move away from
pi' for ever. The sign is kept and the KL is clamped, token by token, so that the objective stays above -lambda * clamp.
At the start pi = pi' and the bonus has no gradient: it amplifies what the demonstrations begin.
"""

import copy
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from peft import get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments, set_seed

from w2sg.config.data import Diversity
from w2sg.config.training import Lora
from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message
from w2sg.training.adapters import lora_config
from w2sg.training.encoding import encode, pad
from w2sg.training.trainer_log import LogRow, TrainingLog
from w2sg.training.trainer_setup import OwnBatches, run, trainer_arguments

# Arguments that TRL's trainers have and the plain one has not; here nothing is truncated or checkpointed anyway.
_OF_TRL = ("max_length", "activation_checkpointing")
IGNORED = -100


class ExplorationLoss(NamedTuple):
    """Eq. 5 on one batch, and its two parts: means over the learned tokens, in nats; `kl` is not clamped."""

    loss: torch.Tensor
    sft: torch.Tensor
    kl: torch.Tensor


def exploration_loss(
    logits: torch.Tensor, earlier: torch.Tensor, targets: torch.Tensor, *, weight: float, clamp: float
) -> ExplorationLoss:
    """L_SFT - weight * mean over tokens of min(KL(pi || pi'), clamp).

    The KL of a token is that of its whole next-token distribution, given what the demonstration said before it.

    Args:
        logits: of the policy at the learned positions, shape (tokens, vocabulary).
        earlier: of pi', the same shape; no gradient flows into it.
        targets: the demonstrations' tokens, shape (tokens,).
    """
    policy = torch.log_softmax(logits.float(), dim=-1)
    reference = torch.log_softmax(earlier.detach().float(), dim=-1)
    sft = torch.nn.functional.nll_loss(policy, targets)
    kl = (policy.exp() * (policy - reference)).sum(dim=-1)
    return ExplorationLoss(sft - weight * kl.clamp(max=clamp).mean(), sft, kl.mean())


def train_diverse(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    conversations: Sequence[Sequence[Message]],
    *,
    diversity: Diversity,
    lora: Lora | None,
    seed: int,
) -> tuple[PreTrainedModel, list[LogRow]]:
    """Minimise eq. 5 from `model` on; pi' is `model` as it comes in. With weight 0 this is `sft.train_sft`.

    `model` is changed in place. The same seed, data and machine give the same weights.

    Returns:
        The model in evaluation mode, adapters merged, and one row per update: step, epoch, loss, learning_rate, sft and
        kl (per token, natural logarithm).

    Raises:
        UserError: there are no conversations, one is longer than the context, or the loss diverges.
    """
    if not conversations:
        raise UserError("diversify: there is not one demonstration to learn from")
    rows = []
    for number, messages in enumerate(conversations):
        ids, mask = encode(tokenizer, messages, name=f"diversify: conversation {number}")
        labels = [token if bit else IGNORED for token, bit in zip(ids, mask, strict=True)]
        rows.append({"input_ids": ids, "labels": labels, "length": len(ids)})
    earlier = copy.deepcopy(model).eval().requires_grad_(False)
    set_seed(seed)
    adapters = lora_config(lora, model)
    log = TrainingLog("diversify", extra={"sft": "sft", "kl": "kl"})
    with tempfile.TemporaryDirectory() as folder:
        arguments = trainer_arguments(diversity.optimization, rows=len(rows), folder=folder, seed=seed)
        plain = {name: value for name, value in arguments.items() if name not in _OF_TRL}
        trainer = _Trainer(
            model=model if adapters is None else get_peft_model(model, adapters),
            args=TrainingArguments(**plain, remove_unused_columns=False),
            train_dataset=Dataset.from_list(rows),
            data_collator=_collate,
            callbacks=[log],
        )
        trainer.earlier, trainer.diversity = earlier, diversity
        return run(trainer, compact_head=False), log.rows


class _Trainer(OwnBatches):
    """The plain trainer on eq. 5. Set before training: `earlier`, which is pi', and `diversity`."""

    earlier: PreTrainedModel
    diversity: Diversity
    _parts: dict[str, float]

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, torch.Tensor], return_outputs: bool = False, **_: Any
    ) -> torch.Tensor:
        """Eq. 5 on one batch."""
        assert not return_outputs, "nothing is evaluated during training"
        labels = inputs.pop("labels")[:, 1:]
        learned = labels != IGNORED
        logits = model(**inputs, use_cache=False).logits[:, :-1][learned]
        with torch.no_grad():
            earlier = self.earlier(**inputs, use_cache=False).logits[:, :-1][learned]
        loss, sft, kl = exploration_loss(
            logits, earlier, labels[learned], weight=self.diversity.weight, clamp=self.diversity.clamp
        )
        self._parts = {"sft": float(sft.detach()), "kl": float(kl.detach())}
        return loss

    def log(self, logs: dict[str, float], *values: Any, **options: Any) -> None:
        """Add the parts of the last update's loss."""
        super().log(logs | self._parts, *values, **options)


def _collate(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch, padded on the right; padding is hidden and not learned."""
    tokens = [row["input_ids"] for row in rows]
    return {
        "input_ids": pad(tokens, value=0),
        "attention_mask": pad([[1] * len(row) for row in tokens], value=0),
        "labels": pad([row["labels"] for row in rows], value=IGNORED),
    }
