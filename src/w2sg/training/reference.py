"""Text-level log-probabilities of assistant turns: the fixed reference of eq. 6, computed once, as data (A9, A10).

Every model reads a pair through its own tokenizer and chat template. What is compared is the log-probability of the
turns' text, so policy and reference may differ in size and in vocabulary.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from w2sg.errors import UserError
from w2sg.records import Pair, ReferenceTurn
from w2sg.training.encoding import Encoded, encode, pad, turn_spans


class EncodedPair(NamedTuple):
    """Both sides of a pair, history included; only the last `chosen_turns` and `rejected_turns` turns are scored."""

    pair_id: int
    chosen: Encoded
    rejected: Encoded
    chosen_turns: int
    rejected_turns: int

    def sides(self) -> tuple[tuple[str, Encoded, int], tuple[str, Encoded, int]]:
        """Name, tokens and number of scored turns of each side."""
        return ("chosen", self.chosen, self.chosen_turns), ("rejected", self.rejected, self.rejected_turns)


def encode_pairs(tokenizer: PreTrainedTokenizerBase, pairs: Sequence[Pair]) -> list[EncodedPair]:
    """Encode both sides of every pair.

    Raises:
        UserError: a side is longer than the context, or both sides are the same tokens.
    """
    encoded = []
    for pair in pairs:
        name = f"task {pair.task_id}, pair {pair.pair_id}"
        chosen = encode(tokenizer, [*pair.history, *pair.chosen], name=f"{name}, chosen")
        rejected = encode(tokenizer, [*pair.history, *pair.rejected], name=f"{name}, rejected")
        if chosen.input_ids == rejected.input_ids:
            raise UserError(f"{name}: chosen and rejected are the same tokens; leave such a pair out")
        turns = [sum(message["role"] == "assistant" for message in side) for side in (pair.chosen, pair.rejected)]
        encoded.append(EncodedPair(pair.pair_id, chosen, rejected, *turns))
    return encoded


def turn_logprobs(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pairs: Sequence[Pair], *, batch: int
) -> list[ReferenceTurn]:
    """Log-probability of every assistant turn from the diverging turn on, its end token included.

    Args:
        batch: sequences per forward pass, grouped by length.

    Returns:
        One row per turn, in the order of the pairs, chosen before rejected; sums over tokens are in float64.

    Raises:
        UserError: a side is longer than the model's context, or both sides of a pair are the same tokens.
    """
    return score_turns(model, encode_pairs(tokenizer, pairs), batch=batch)


def score_turns(model: PreTrainedModel, pairs: Sequence[EncodedPair], *, batch: int) -> list[ReferenceTurn]:
    """See turn_logprobs; for pairs that are encoded with the model's tokenizer already."""
    sides = [
        (pair.pair_id, side, encoded, turn_spans(encoded.assistant_mask)[-turns:])
        for pair in pairs
        for side, encoded, turns in pair.sides()
    ]
    order = sorted(range(len(sides)), key=lambda number: len(sides[number][2].input_ids))
    scores: dict[int, torch.Tensor] = {}
    model.eval()
    for start in range(0, len(order), batch):
        numbers = order[start : start + batch]
        first = min(sides[number][3][0][0] for number in numbers)
        tokens = [sides[number][2].input_ids for number in numbers]
        scores |= zip(numbers, _token_logprobs(model, tokens, first=first), strict=True)
    return [
        ReferenceTurn(
            pair_id=pair_id,
            side=side,
            turn=turn,
            logprob=float(scores[number][begin:end].sum()),
            tokens=end - begin,
        )
        for number, (pair_id, side, _, spans) in enumerate(sides)
        for turn, (begin, end) in enumerate(spans)
    ]


@torch.inference_mode()
def _token_logprobs(model: PreTrainedModel, tokens: Sequence[Sequence[int]], *, first: int) -> torch.Tensor:
    """Log-probability of each token given those before it, shape (rows, longest), float64; 0 before `first`."""
    # Padding is hidden from attention and scored by nobody, so that any token will do.
    ids = pad(tokens, value=0).to(model.device)
    mask = pad([[1] * len(row) for row in tokens], value=0).to(model.device)
    kept = ids.shape[1] - first + 1
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=kept).logits[:, :-1]
    logprobs = torch.log_softmax(logits.float(), dim=-1).gather(-1, ids[:, first:, None])[..., 0]
    return torch.nn.functional.pad(logprobs.double(), (first, 0)).cpu()


def side_logprobs(turns: Sequence[ReferenceTurn]) -> dict[tuple[int, str], float]:
    """Log-probability of each side: (pair_id, "chosen" or "rejected") to the sum over its turns."""
    sums: dict[tuple[int, str], float] = defaultdict(float)
    for turn in turns:
        sums[turn.pair_id, turn.side] += turn.logprob
    return dict(sums)


def check_reference(pairs: Sequence[EncodedPair], reference_turns: Sequence[ReferenceTurn]) -> None:
    """See that the reference was computed on these pairs.

    Raises:
        UserError: a turn is missing or too many.
    """
    found: dict[tuple[int, str], list[int]] = defaultdict(list)
    for row in reference_turns:
        found[row.pair_id, row.side].append(row.turn)
    for pair in pairs:
        for side, _, turns in pair.sides():
            if (rows := found.pop((pair.pair_id, side), [])) != list(range(turns)):
                raise UserError(
                    f"reference: pair {pair.pair_id} has turns {rows} of the {side} side, the pair has {turns} turns "
                    "from 0; run the stage reference again"
                )
    if found:
        raise UserError(f"reference: pair {min(found)[0]} is not among the pairs; run the stage reference again")
