"""Direct preference optimisation at divergence points (TreeDPO; paper, section 3.2, eq. 6), through TRL's DPOTrainer.

The reference is another model than the policy (A9): its log-probabilities come in as data, so that it need not be in
memory and may have another vocabulary. Scored are whole assistant turns from the diverging turn on; observations in
between are not.
"""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import DPOConfig

from w2sg.agents.windows import Windows
from w2sg.config.training import Dpo
from w2sg.contracts import processes
from w2sg.contracts.errors import UserError
from w2sg.contracts.pairs import Pair, ReferenceTurn
from w2sg.training import sharding
from w2sg.training.adapters import lora_config
from w2sg.training.encoding import last_turns
from w2sg.training.head import Head
from w2sg.training.literal import check_one_vocabulary, packed_kl, side_kl
from w2sg.training.memory import plan_training, weight_bytes
from w2sg.training.micro_batches import lengths_of, parts, pick
from w2sg.training.packing import pack, packed_needs, packed_parts
from w2sg.training.precision import warn_of_emulation
from w2sg.training.preference_trainer import PreferenceTrainer, collate
from w2sg.training.reference import EncodedPair, check_reference, encode_pairs, score_turns, side_logprobs
from w2sg.training.trainer_log import LogRow, TrainingLog
from w2sg.training.trainer_setup import on_one_device, run, trainer_arguments
from w2sg.training.tree_attention import tree_attention, windows_of

# Beyond this mean |margin| the sigmoid of eq. 6 is flat: most pairs are settled, or hopeless, before the first update.
EXTREME_MARGIN = 5.0


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
    2024, arXiv 2404.19733). The same seed, data and processor give the same weights; a GPU adds up in no fixed order.
    `model` is changed in place.

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
    models = [model] if reference is None else [model, reference[0]]
    windows = windows_of(*models)
    recompute = _plan(model, encoded, dpo=dpo, windows=windows, others=sum(map(weight_bytes, models[1:])))
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
        before["kl"] = _kl_before(
            model, reference[0], rows, batch=dpo.optimization.batch, tokens=bound, windows=windows
        )
        before["loss"] += dpo.beta * before["kl"]
        columns["kl"] = "kl"
    log = TrainingLog("dpo", extra=columns)
    with tempfile.TemporaryDirectory() as folder:
        trainer = PreferenceTrainer(
            model=model,
            args=on_one_device(_settings(dpo, rows=len(rows), folder=folder, seed=seed, recompute=recompute)),
            data_collator=collate,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=lora_config(dpo.lora, model),
            callbacks=[log],
        )
        trainer.micro_tokens = dpo.optimization.micro_tokens
        trainer.likelihood = dpo.likelihood
        trainer.windows, trainer.plain = windows, model
        if dpo.eq6 == "literal" and reference is not None:
            trainer.literal_reference = Head(reference[0].eval().requires_grad_(False))
        with nullcontext() if windows is None else tree_attention(*models):
            return run(trainer), [before, *log.rows]


def _plan(
    model: PreTrainedModel, pairs: Sequence[EncodedPair], *, dpo: Dpo, windows: Windows | None, others: int
) -> bool:
    """Whether activations are to be recomputed, and that training fits (memory.py)."""
    optimization, sides = dpo.optimization, [(pair.chosen.input_ids, pair.rejected.input_ids) for pair in pairs]
    if windows is None:
        lengths = [2 * max(map(len, each)) for each in sides]
    else:
        optimization, lengths, masks = packed_needs(model, sides, optimization=optimization)
        others += masks
    return plan_training(
        model,
        name="dpo",
        optimization=optimization,
        lora=dpo.lora,
        lengths=lengths,
        packed=windows is not None,
        processes=processes.count(),
        split=sharding.split(),
        others=others,
    )


def _settings(dpo: Dpo, *, rows: int, folder: str, seed: int, recompute: bool) -> DPOConfig:
    """Plain sigmoid DPO (Rafailov et al., 2023) against the reference log-probabilities that come with the rows."""
    return DPOConfig(
        **trainer_arguments(dpo.optimization, rows=rows, folder=folder, seed=seed, recompute=recompute),
        beta=dpo.beta,
        loss_type=["sigmoid"],
        # Nothing is precomputed here; without it TRL would load a reference beside a model that has no adapters, and
        # with it, it hashes all weights, on the host.
        precompute_ref_log_probs=dpo.lora is None,
        disable_dropout=dpo.lora is None or not dpo.lora.dropout,  # TRL's default would undo that of the adapters
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
    windows: Windows | None,
) -> float:
    """The KL term of all pairs."""
    total = 0.0
    if windows is not None:
        sequences = [row[side] for side in ("chosen", "rejected") for row in rows]
        masks = [row[f"{side}_mask"] for side in ("chosen", "rejected") for row in rows]
        with tree_attention(model, reference):
            for examples in packed_parts(sequences, sides=2, tokens=tokens, most=batch)[0]:
                sides = [*examples, *(len(rows) + number for number in examples)]
                packed = pack(
                    [sequences[side] for side in sides], [masks[side] for side in sides], windows=windows, like=model
                )
                total += len(examples) * float(packed_kl(model, reference, packed))
        return total / len(rows)
    for start in range(0, len(rows), batch):
        whole = collate(rows[start : start + batch])
        for examples in parts(lengths_of(whole, sides=2), tokens=tokens)[0]:
            part = {name: value.to(model.device) for name, value in pick(whole, examples, sides=2).items()}
            total += len(examples) * float(side_kl(model, reference, part))
    return total / len(rows)
