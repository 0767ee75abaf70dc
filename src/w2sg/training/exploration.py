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
from w2sg.contracts import processes
from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message
from w2sg.training import sharding
from w2sg.training.adapters import lora_config
from w2sg.training.encoding import encode, pad
from w2sg.training.head import IGNORED, Head
from w2sg.training.memory import plan_training, weight_bytes
from w2sg.training.precision import warn_of_emulation
from w2sg.training.trainer_log import LogRow, TrainingLog
from w2sg.training.trainer_setup import OwnBatches, on_one_device, run, trainer_arguments


class ExplorationLoss(NamedTuple):
    """Eq. 5 at each learned token, and its two parts, in nats, shape (tokens,); `kl` is not clamped."""

    loss: torch.Tensor
    sft: torch.Tensor
    kl: torch.Tensor


def exploration_loss(
    logits: torch.Tensor, earlier: torch.Tensor, targets: torch.Tensor, *, weight: float, clamp: float
) -> ExplorationLoss:
    """-log pi - weight * min(KL(pi || pi'), clamp), of which eq. 5 is the mean over tokens.

    The KL of a token is that of its whole next-token distribution, given what the demonstration said before it.

    Args:
        logits: of the policy at the learned positions, shape (tokens, vocabulary).
        earlier: of pi', the same shape; no gradient flows into it.
        targets: the demonstrations' tokens, shape (tokens,).
    """
    policy = torch.log_softmax(logits.float(), dim=-1)
    reference = torch.log_softmax(earlier.detach().float(), dim=-1)
    sft = torch.nn.functional.nll_loss(policy, targets, reduction="none")
    kl = (policy.exp() * (policy - reference)).sum(dim=-1)
    return ExplorationLoss(sft - weight * kl.clamp(max=clamp), sft, kl)


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
        The model in evaluation mode, adapters merged but in sight (a PeftModel), and one row per update: step, epoch,
        loss, learning_rate, sft and kl (per token, natural logarithm).

    Raises:
        UserError: there are no conversations, one is longer than the context, or the loss diverges.
    """
    if not conversations:
        raise UserError("diversify: there is not one demonstration to learn from")
    rows: list[dict[str, Any]] = []
    for number, messages in enumerate(conversations):
        ids, mask = encode(tokenizer, messages, name=f"diversify: conversation {number}")
        labels = [token if bit else IGNORED for token, bit in zip(ids, mask, strict=True)]
        rows.append({"input_ids": ids, "labels": labels, "length": len(ids)})
    warn_of_emulation(diversity.optimization, name="diversify")
    recompute = plan_training(
        model,
        name="diversify",
        optimization=diversity.optimization,
        lora=lora,
        lengths=[row["length"] for row in rows],
        processes=processes.count(),
        split=sharding.split(),
        others=weight_bytes(model),
    )
    earlier = copy.deepcopy(model).eval().requires_grad_(False)
    set_seed(seed)
    adapters = lora_config(lora, model)
    log = TrainingLog("diversify", extra={"sft": "sft", "kl": "kl"})
    with tempfile.TemporaryDirectory() as folder:
        arguments = trainer_arguments(
            diversity.optimization, rows=len(rows), folder=folder, seed=seed, recompute=recompute
        )
        del arguments["max_length"]  # TRL's alone; here nothing is truncated anyway
        trainer = _Trainer(
            model=model if adapters is None else get_peft_model(model, adapters),
            args=on_one_device(TrainingArguments(**arguments, remove_unused_columns=False)),
            train_dataset=Dataset.from_list(rows),
            data_collator=_collate,
            callbacks=[log],
        )
        trainer.earlier, trainer.diversity = Head(earlier), diversity
        trainer.micro_tokens = diversity.optimization.micro_tokens
        return run(trainer), log.rows


class _Trainer(OwnBatches):
    """The plain trainer on eq. 5. Set before training: `earlier`, the head of pi', and `diversity`."""

    earlier: Head
    diversity: Diversity
    _parts: dict[str, float]
    _sums: torch.Tensor

    def training_step(self, model: torch.nn.Module, inputs: dict[str, Any], *_: Any) -> torch.Tensor:
        """One batch; the parts of its loss go to the log."""
        self._sums = torch.zeros(2, device=self.accelerator.device)
        loss = super().training_step(model, inputs)
        sft, kl = (self.accelerator.reduce(self._sums, reduction="sum").cpu() / self.items(inputs).cpu()).tolist()
        self._parts = {"sft": sft, "kl": kl}
        return loss

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Eq. 5: the share of the part at hand."""
        assert not return_outputs and num_items_in_batch is not None, "nothing is evaluated during training"
        sequences = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        with torch.no_grad():
            states = self.earlier.states(**sequences, use_cache=False)[:, :-1][inputs["labels"][:, 1:] != IGNORED]

        def per_token(logits: torch.Tensor, targets: torch.Tensor, states: torch.Tensor) -> tuple[torch.Tensor, ...]:
            with torch.no_grad():
                earlier = self.earlier.logits(states)
            return exploration_loss(logits, earlier, targets, weight=self.diversity.weight, clamp=self.diversity.clamp)

        losses, sft, kl = model(**inputs, use_cache=False, per_token=per_token, others=(states,))
        self._sums += (not self.idle) * torch.stack([sft.detach().sum(), kl.detach().sum()])
        return self.accelerator.num_processes * (not self.idle) * losses.sum() / num_items_in_batch

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
