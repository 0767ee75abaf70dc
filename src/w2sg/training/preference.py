"""Direct preference optimisation at divergence points (TreeDPO; paper, section 3.2, eq. 6), through TRL's DPOTrainer.

The reference is another model than the policy (A9): its log-probabilities come in as data, so that it need not be in
memory and may have another vocabulary. Scored are whole assistant turns from the diverging turn on; observations in
between are not.
"""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import DPOConfig, DPOTrainer

from w2sg.config.training import Dpo
from w2sg.contracts import processes
from w2sg.contracts.errors import UserError
from w2sg.contracts.pairs import Pair, ReferenceTurn
from w2sg.training.adapters import lora_config
from w2sg.training.encoding import last_turns, pad
from w2sg.training.head import IGNORED, Head, PerToken, log_probs
from w2sg.training.literal import check_one_vocabulary, kl_beside, side_kl
from w2sg.training.memory import plan_training, weight_bytes
from w2sg.training.micro_batches import lengths_of, parts, pick
from w2sg.training.precision import warn_of_emulation
from w2sg.training.reference import EncodedPair, check_reference, encode_pairs, score_turns, side_logprobs
from w2sg.training.trainer_log import LogRow, TrainingLog
from w2sg.training.trainer_setup import OwnBatches, on_one_device, run, trainer_arguments

# Beyond this mean |margin| the sigmoid of eq. 6 is flat: most pairs are settled, or hopeless, before the first update.
EXTREME_MARGIN = 5.0


class _Trainer(OwnBatches, DPOTrainer):
    """TRL's trainer on rows that are tokenised and have their reference already, with its sigmoid loss.

    TRL 1.16 ignores or refuses such columns (it would compute them from the policy itself), hence the private methods;
    and it takes the mean over the pairs at hand, where a part of a batch needs its share of the batch's mean.

    Attributes:
        literal_reference: the reference model's head, for the KL term of `eq6: literal`; None leaves the term out.
        likelihood: weight of the chosen side's negative log-likelihood per token.
    """

    literal_reference: Head | None = None
    likelihood: float = 0.0
    sides = 2
    _sums: dict[str, torch.Tensor]

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset

    def items(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """The pairs."""
        return torch.tensor(len(inputs["input_ids"]) // 2)

    def training_step(self, model: torch.nn.Module, inputs: dict[str, Any], *_: Any) -> torch.Tensor:
        """One batch; its mean margin, accuracy and KL go to the log."""
        self._sums = {}
        loss = super().training_step(model, inputs)
        for name, value in self._sums.items():
            total = self.accelerator.reduce(value, reduction="sum")
            self._metrics["train"][name].append(float(total / self.items(inputs)))
        return loss

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """-log sigmoid(margin) of the pairs at hand as a share of the batch's mean; beta * KL besides, if literal, and
        the chosen side's negative log-likelihood per token, if it has a weight."""
        assert not return_outputs and num_items_in_batch is not None, "nothing is evaluated during training"
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, IGNORED)
        sequences = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        per_token: PerToken = log_probs
        others: tuple[torch.Tensor, ...] = ()
        if self.literal_reference is not None:
            per_token, others = kl_beside(self.literal_reference, sequences, labels)
        values = model(**sequences, use_cache=False, labels=labels, per_token=per_token, others=others)
        scored = labels[:, 1:] != IGNORED
        chosen, rejected = values[0].new_zeros(scored.shape).masked_scatter(scored, values[0]).sum(dim=1).chunk(2)
        ratios = chosen - inputs["ref_chosen_logps"], rejected - inputs["ref_rejected_logps"]
        losses = -torch.nn.functional.logsigmoid(self.beta * (ratios[0] - ratios[1]))
        share = self.accelerator.num_processes * (not self.idle)
        loss = share * losses.sum() / num_items_in_batch
        rewards = self.beta * ratios[0].detach(), self.beta * ratios[1].detach()
        counted = {"rewards/margins": rewards[0] - rewards[1], "rewards/accuracies": (rewards[0] > rewards[1]).float()}
        if self.likelihood:
            nll = -chosen / scored.sum(dim=1).chunk(2)[0]
            loss = loss + self.likelihood * share * nll.sum() / num_items_in_batch
            counted["nll"] = nll.detach()
        if len(values) > 1:
            loss = loss + self.beta * share * values[1].sum() / (2 * num_items_in_batch)
            counted["kl"] = values[1].detach() / 2
        for name, value in counted.items():
            self._sums[name] = self._sums.get(name, 0.0) + (not self.idle) * value.sum()
        return loss


def train_dpo(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[Pair],
    reference_turns: Sequence[ReferenceTurn],
    *,
    dpo: Dpo,
    seed: int,
    reference: tuple[PreTrainedModel, PreTrainedTokenizerBase] | None = None,
) -> tuple[PreTrainedModel, list[LogRow]]:
    """Minimise eq. 6, the mean over pairs of -log sigmoid(margin); `eq6: literal` adds beta * KL (see literal.py).

    A margin is beta ((p+ - r+) - (p- - r-)), p and r being the log-probabilities of policy and reference. `likelihood`
    adds its multiple of the mean over pairs of -p+ / n+, n+ being the chosen side's scored tokens (RPO; Pang et al.,
    2024, arXiv 2404.19733). The same seed, data and machine give the same weights. `model` is changed in place.

    Args:
        reference_turns: what `turn_logprobs` gave for these pairs under the reference.
        reference: the reference itself with its tokenizer, which `eq6: literal` alone needs.

    Returns:
        The model in evaluation mode, adapters merged but in sight (a PeftModel), and rows of step, epoch, loss,
        learning_rate, margin (mean over the batch) and accuracy (share of margins above 0); in nats kl with
        `eq6: literal`, and nll (-p+ / n+) with a `likelihood`. Row 0 is the policy before the first update, over all
        pairs; its margin is not 0 when policy and reference differ.

    Raises:
        UserError: there are no pairs, one is too long or has two equal sides, the reference belongs to other pairs, the
            loss diverges, or `eq6: literal` meets two vocabularies.
    """
    if not pairs:
        raise UserError("dpo: there is not one pair to learn from")
    encoded = encode_pairs(tokenizer, pairs)
    check_reference(encoded, reference_turns)
    stored = side_logprobs(reference_turns)
    rows = [_row(pair, stored) for pair in encoded]
    warn_of_emulation(dpo.optimization, name="dpo")
    recompute = plan_training(
        model,
        name="dpo",
        optimization=dpo.optimization,
        lora=dpo.lora,
        lengths=[2 * row["length"] for row in rows],
        processes=processes.count(),
        others=0 if reference is None else weight_bytes(reference[0]),
    )
    bound = dpo.optimization.micro_tokens
    turns = score_turns(model, encoded, batch=dpo.optimization.batch, tokens=bound)
    before = _state_before(encoded, side_logprobs(turns), stored, beta=dpo.beta)
    columns = {"margin": "rewards/margins", "accuracy": "rewards/accuracies"}
    if dpo.likelihood:
        before["nll"] = _nll_before(turns)
        before["loss"] += dpo.likelihood * before["nll"]
        columns["nll"] = "nll"
    if dpo.eq6 == "literal":
        assert reference is not None, "the KL term needs the reference itself"
        check_one_vocabulary(encoded, pairs, policy=(model, tokenizer), reference=reference)
        before["kl"] = _kl_before(model, reference[0], rows, batch=dpo.optimization.batch, tokens=bound)
        before["loss"] += dpo.beta * before["kl"]
        columns["kl"] = "kl"
    log = TrainingLog("dpo", extra=columns)
    with tempfile.TemporaryDirectory() as folder:
        trainer = _Trainer(
            model=model,
            args=on_one_device(_settings(dpo, rows=len(rows), folder=folder, seed=seed, recompute=recompute)),
            data_collator=_collate,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=lora_config(dpo.lora, model),
            callbacks=[log],
        )
        trainer.micro_tokens = dpo.optimization.micro_tokens
        trainer.likelihood = dpo.likelihood
        if dpo.eq6 == "literal" and reference is not None:
            trainer.literal_reference = Head(reference[0].eval().requires_grad_(False))
        return run(trainer), [before, *log.rows]


def _settings(dpo: Dpo, *, rows: int, folder: str, seed: int, recompute: bool) -> DPOConfig:
    """Plain sigmoid DPO (Rafailov et al., 2023) against the reference log-probabilities that come with the rows."""
    return DPOConfig(
        **trainer_arguments(dpo.optimization, rows=rows, folder=folder, seed=seed, recompute=recompute),
        beta=dpo.beta,
        loss_type=["sigmoid"],
        precompute_ref_log_probs=True,
        remove_unused_columns=False,
    )


def _row(pair: EncodedPair, reference: dict[tuple[int, str], float]) -> dict[str, Any]:
    """One training row: per side the tokens, the mask of what is scored, and the reference's log-probability."""
    row: dict[str, Any] = {"length": max(len(pair.chosen.input_ids), len(pair.rejected.input_ids))}
    for side, encoded, turns in pair.sides():
        row[side] = encoded.input_ids
        row[f"{side}_mask"] = last_turns(encoded, turns=turns)
        row[f"{side}_reference"] = reference[pair.pair_id, side]
    return row


def _collate(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
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


def _state_before(
    pairs: Sequence[EncodedPair],
    policy: dict[tuple[int, str], float],
    reference: dict[tuple[int, str], float],
    *,
    beta: float,
) -> LogRow:
    """Row 0 of the log; warns when most margins are so large that there is hardly a gradient."""
    ratio = {key: policy[key] - reference[key] for key in policy}
    margins = beta * torch.tensor(
        [ratio[pair.pair_id, "chosen"] - ratio[pair.pair_id, "rejected"] for pair in pairs], dtype=torch.float64
    )
    if (size := float(margins.abs().mean())) > EXTREME_MARGIN:
        print(
            f"dpo: warning: before the first update the mean absolute margin is {size:.1f} (above {EXTREME_MARGIN:g}), "
            "where eq. 6 is nearly flat; lower dpo.beta or choose a reference closer to the policy",
            file=sys.stderr,
        )
    return {
        "step": 0,
        "epoch": 0.0,
        "loss": float(-torch.nn.functional.logsigmoid(margins).mean()),
        "learning_rate": 0.0,
        "margin": float(margins.mean()),
        "accuracy": float((margins > 0).double().mean()),
    }


def _nll_before(turns: Sequence[ReferenceTurn]) -> float:
    """Negative log-likelihood per token of the chosen sides, averaged over the pairs."""
    logprobs: dict[int, float] = defaultdict(float)
    tokens: dict[int, int] = defaultdict(int)
    for turn in turns:
        if turn.side == "chosen":
            logprobs[turn.pair_id] += turn.logprob
            tokens[turn.pair_id] += turn.tokens
    return sum(-logprobs[pair] / tokens[pair] for pair in logprobs) / len(logprobs)


@torch.inference_mode()
def _kl_before(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    rows: Sequence[dict[str, Any]],
    *,
    batch: int,
    tokens: int | None,
) -> float:
    """The KL term of all pairs."""
    total = 0.0
    for start in range(0, len(rows), batch):
        whole = _collate(rows[start : start + batch])
        for examples in parts(lengths_of(whole, sides=2), tokens=tokens)[0]:
            part = {name: value.to(model.device) for name, value in pick(whole, examples, sides=2).items()}
            total += len(examples) * float(side_kl(model, reference, part))
    return total / len(rows)
