"""The KL term of eq. 6 as it is written, beside the sigmoid loss (A8; `dpo.eq6: literal`).

KL(pi_s || pi_w) of a trajectory is, by the chain rule, a sum over its assistant tokens of the KL of the two next-token
distributions. It is taken where the pairs are: on the scored tokens of a side, given what came before them, summed over
the side as log-probabilities are in r, and averaged over the sides of all pairs.
"""

from collections.abc import Mapping, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from w2sg.contracts.errors import UserError
from w2sg.contracts.pairs import Pair
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


def side_kl(policy: torch.nn.Module, reference: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """KL(pi_s || pi_w) on the sides of a batch, in nats: summed over a side's scored tokens, averaged over the sides.

    Args:
        batch: `input_ids`, `attention_mask` and `completion_mask` (1 where a token is scored), shape (sides, longest).
    """
    scored = batch["completion_mask"][:, 1:].bool()
    first = int(scored.any(dim=0).nonzero()[0])
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    # The logits that predict the first scored token, and all after them.
    options = {"use_cache": False, "logits_to_keep": batch["input_ids"].shape[1] - first}

    def logprobs(model: torch.nn.Module) -> torch.Tensor:
        logits = model(**inputs, **options).logits[:, :-1]
        return torch.log_softmax(logits[scored[:, first:]].float(), dim=-1)

    log_p = logprobs(policy)
    with torch.no_grad():
        log_q = logprobs(reference)
    return (log_p.exp() * (log_p - log_q)).sum() / len(scored)
