"""The KL term of eq. 6 as it is written, beside the sigmoid loss (A8; `dpo.eq6: literal`).

KL(pi_s || pi_w) of a trajectory is, by the chain rule, a sum over its assistant tokens of the KL of the two next-token
distributions. It is taken where the pairs are: on the scored tokens of a side, given what came before them, summed over
the side as log-probabilities are in r, and averaged over the sides of all pairs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from w2sg.contracts.errors import UserError
from w2sg.contracts.pairs import Pair
from w2sg.training.head import IGNORED, Head, PerToken
from w2sg.training.packing import Packed
from w2sg.training.reference import EncodedPair, encode_pairs


def check_one_vocabulary(
    encoded: Sequence[EncodedPair],
    pairs: Sequence[Pair],
    *,
    policy: tuple[PreTrainedModel, PreTrainedTokenizerBase],
    reference: tuple[PreTrainedModel, PreTrainedTokenizerBase],
) -> None:
    """See that both models read the pairs as the same tokens, so that their next-token distributions compare (A10).

    Args:
        encoded: the pairs as the policy reads them.

    Raises:
        UserError: they do not.
    """
    (own, tokenizer), (other, others) = policy, reference
    sizes = own.config.vocab_size, other.config.vocab_size
    vocabularies = tokenizer.get_vocab() == others.get_vocab() and sizes[0] == sizes[1]
    if not vocabularies or encode_pairs(others, pairs) != list(encoded):
        raise UserError(
            f"dpo.eq6: literal needs one vocabulary and chat template; the policy's has {sizes[0]} tokens, the "
            f"reference's {sizes[1]}{', cut otherwise' if sizes[0] == sizes[1] else ''}; use dpo.eq6: dpo"
        )


def kl_beside(
    reference: Head, sequences: Mapping[str, Any], labels: torch.Tensor, targets: torch.Tensor | None = None
) -> tuple[PerToken, tuple[torch.Tensor, ...]]:
    """What gives log pi_s of each scored token and, beside it, KL(pi_s || pi_w) at its position, in nats.

    Args:
        sequences: what both models read, rows or a trie.
        labels: the tokens where they are scored, else -100, shape (sides, longest).
        targets: of a trie, the tokens that each position is to predict, shape (positions, most).

    Returns:
        A function of the policy's logits, the tokens, and the second value, which says what the reference makes of the
        positions, whose logits are computed a run of positions at a time as well.
    """
    with torch.no_grad():
        states = reference.states(**{**sequences, "use_cache": False})[:, :-1][labels[:, 1:] != IGNORED]

    def per_token(
        logits: torch.Tensor, following: torch.Tensor, states: torch.Tensor, *targets: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        with torch.no_grad():
            log_q = torch.log_softmax(reference.logits(states), dim=-1)
        log_p = torch.log_softmax(logits, dim=-1)
        found = log_p.gather(-1, targets[0]) if targets else log_p.gather(-1, following[:, None])[:, 0]
        return found, (log_p.exp() * (log_p - log_q)).sum(dim=-1)

    return per_token, (states,) if targets is None else (states, targets)


def side_kl(policy: PreTrainedModel, reference: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """KL(pi_s || pi_w) on the sides of a batch, in nats: summed over a side's scored tokens, averaged over the sides.

    Args:
        batch: `input_ids`, `attention_mask` and `completion_mask` (1 where a token is scored), shape (sides, longest).
    """
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, IGNORED)
    sequences = {name: batch[name] for name in ("input_ids", "attention_mask")}
    per_token, others = kl_beside(Head(reference), sequences, labels)
    kl = Head(policy).score(**sequences, use_cache=False, labels=labels, per_token=per_token, others=others)[1]
    return kl.sum() / len(labels)


def packed_kl(policy: PreTrainedModel, reference: PreTrainedModel, packed: Packed) -> torch.Tensor:
    """The same of sides that are packed as a trie."""
    per_token, others = kl_beside(Head(reference), packed.inputs, packed.labels, packed.targets)
    kl = Head(policy).score(**packed.inputs, labels=packed.labels, per_token=per_token, others=others)[1]
    return packed.of_positions(kl).sum() / len(packed.scored)
