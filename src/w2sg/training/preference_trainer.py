"""TRL's DPOTrainer on rows that have their reference already, each batch packed as a trie where the model reads one."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from datasets import Dataset
from transformers import PreTrainedModel, Trainer
from trl import DPOTrainer

from w2sg.agents.windows import Windows
from w2sg.training.encoding import pad
from w2sg.training.head import IGNORED, Head, PerToken, log_probs
from w2sg.training.literal import kl_beside
from w2sg.training.packing import Packed, log_probs_of, pack, packed_parts
from w2sg.training.trainer_setup import OwnBatches

# Of some sides, the first half of them chosen: log-probability and number of the scored tokens, shape (sides,); with a
# literal reference the KL at these tokens, in no order.
_Sides: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]


class PreferenceTrainer(OwnBatches, DPOTrainer):
    """TRL's trainer on rows that are tokenised and have their reference already, with its sigmoid loss.

    TRL 1.16 ignores or refuses such columns (it would compute them from the policy itself), hence the private methods;
    and it takes the mean over the pairs at hand, where a part of a batch needs its share of the batch's mean.

    Attributes:
        literal_reference: the reference model's head, for the KL term of `eq6: literal`; None leaves the term out.
        likelihood: weight of the chosen side's negative log-likelihood per token.
        windows: what the model's layers see, if it reads tries; None leaves batches padded.
        plain: the model without adapters and wrappers.
    """

    literal_reference: Head | None = None
    likelihood: float = 0.0
    windows: Windows | None = None
    plain: PreTrainedModel
    sides = 2
    _sums: dict[str, torch.Tensor]

    def create_accelerator_and_postprocess(self) -> None:
        """As ever, but TRL is not to see that weights will be split: it would load a reference from files."""
        super().create_accelerator_and_postprocess()
        self.is_fsdp_enabled = False

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset

    def items(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """The pairs."""
        return torch.tensor(len(inputs["input_ids"]) // 2)

    def training_step(self, model: torch.nn.Module, inputs: dict[str, Any], *_: Any) -> torch.Tensor:
        """One batch; its mean margin, accuracy, KL and likelihood go to the log."""
        self._sums = {}
        if self.windows is None:
            loss = super().training_step(model, inputs)
        else:
            loss = self._packed_step(model, inputs, self.windows)
        for name, value in self._sums.items():
            total = self.accelerator.reduce(value, reduction="sum")
            self._metrics["train"][name].append(float(total / self.items(inputs)))
        return loss

    def _packed_step(self, model: torch.nn.Module, inputs: dict[str, Any], windows: Windows) -> torch.Tensor:
        """As OwnBatches does it, each part one trie."""
        sequences, masks = (_cut(inputs[name], inputs["attention_mask"]) for name in ("input_ids", "completion_mask"))
        references = inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        count = len(references[0])
        processes, own = self.accelerator.num_processes, self.accelerator.process_index
        dealt = packed_parts(sequences, sides=2, tokens=self.micro_tokens, processes=processes)[own]
        losses = []
        for number, examples in enumerate(dealt, start=1):
            self.idle = not examples
            pairs = examples or [0]
            rows = [*pairs, *(count + pair for pair in pairs)]
            packed = pack(
                [sequences[row] for row in rows], [masks[row] for row in rows], windows=windows, like=self.plain
            )
            chosen, rejected = (each[pairs] for each in references)
            part = {"packed": packed, "ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
            with self.local(model, last=number == len(dealt)):
                losses.append(Trainer.training_step(self, model, part, self.items(inputs)))
        self.idle = False
        return torch.stack(losses).sum()

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """-log sigmoid(margin) of the pairs at hand as a share of the batch's mean; beta * KL besides, if literal, and
        the chosen side's negative log-likelihood per token, if it has a weight."""
        assert not return_outputs and num_items_in_batch is not None, "nothing is evaluated during training"
        logps, tokens, kl = (self._of_packed if "packed" in inputs else self._of_padded)(model, inputs)
        chosen, rejected = logps.chunk(2)
        ratios = chosen - inputs["ref_chosen_logps"], rejected - inputs["ref_rejected_logps"]
        losses = -torch.nn.functional.logsigmoid(self.beta * (ratios[0] - ratios[1]))
        share = self.accelerator.num_processes * (not self.idle)
        loss = share * losses.sum() / num_items_in_batch
        rewards = self.beta * ratios[0].detach(), self.beta * ratios[1].detach()
        counted = {"rewards/margins": rewards[0] - rewards[1], "rewards/accuracies": (rewards[0] > rewards[1]).float()}
        if self.likelihood:
            nll = -chosen / tokens.chunk(2)[0]
            loss = loss + self.likelihood * share * nll.sum() / num_items_in_batch
            counted["nll"] = nll.detach()
        if kl is not None:
            loss = loss + self.beta * share * kl.sum() / (2 * num_items_in_batch)
            counted["kl"] = kl.detach() / 2
        for name, value in counted.items():
            self._sums[name] = self._sums.get(name, 0.0) + (not self.idle) * value.sum()
        return loss

    def _of_padded(self, model: torch.nn.Module, inputs: dict[str, Any]) -> _Sides:
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, IGNORED)
        sequences = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        per_token: PerToken = log_probs
        others: tuple[torch.Tensor, ...] = ()
        if self.literal_reference is not None:
            per_token, others = kl_beside(self.literal_reference, sequences, labels)
        values = model(**sequences, use_cache=False, labels=labels, per_token=per_token, others=others)
        scored = labels[:, 1:] != IGNORED
        logps = values[0].new_zeros(scored.shape).masked_scatter(scored, values[0]).sum(dim=1)
        return logps, scored.sum(dim=1), values[1] if len(values) > 1 else None

    def _of_packed(self, model: torch.nn.Module, inputs: dict[str, Any]) -> _Sides:
        packed: Packed = inputs["packed"]
        per_token: PerToken = log_probs_of
        others: tuple[torch.Tensor, ...] = (packed.targets,)
        if self.literal_reference is not None:
            per_token, others = kl_beside(self.literal_reference, packed.inputs, packed.labels, packed.targets)
        values = model(**packed.inputs, labels=packed.labels, per_token=per_token, others=others)
        logps = packed.of_tokens(values[0]).sum(dim=1)
        return logps, packed.scored.sum(dim=1), packed.of_positions(values[1]) if len(values) > 1 else None


def _cut(tensor: torch.Tensor, mask: torch.Tensor) -> list[list[int]]:
    """Rows without their padding."""
    return [row[:length] for row, length in zip(tensor.tolist(), mask.sum(dim=1).tolist(), strict=True)]


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch as DPOTrainer reads it: all chosen sides, then all rejected ones, padded on the right."""
    tokens = [row[side] for side in ("chosen", "rejected") for row in rows]
    masks = [row[f"{side}_mask"] for side in ("chosen", "rejected") for row in rows]
    return {
        "input_ids": pad(tokens, value=0),
        "attention_mask": pad([[1] * len(side) for side in tokens], value=0),
        "completion_mask": pad(masks, value=0),
        "ref_chosen_logps": torch.tensor([row["chosen_reference"] for row in rows]),
        "ref_rejected_logps": torch.tensor([row["rejected_reference"] for row in rows]),
    }
