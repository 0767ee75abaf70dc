"""Text-level log-probabilities of assistant turns: the fixed reference of eq. 6, computed once, as data (A9, A10).

Every model reads a pair through its own tokenizer and chat template. What is compared is the log-probability of the
turns' text, so policy and reference may differ in size and in vocabulary.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from w2sg.agents.windows import Windows
from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message
from w2sg.contracts.pairs import Pair, ReferenceTurn
from w2sg.training.encoding import Encoded, encode, pad, turn_spans
from w2sg.training.head import IGNORED, Head
from w2sg.training.memory import check_scoring, largest_part
from w2sg.training.packing import log_probs_of, pack, packed_parts, scoring_tokens
from w2sg.training.tree_attention import tree_attention, windows_of


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
        batch: sequences per forward pass.

    Returns:
        One row per turn, in the order of the pairs, chosen before rejected; sums over tokens are in float64.

    Raises:
        UserError: a side is longer than the model's context, or both sides of a pair are the same tokens.
    """
    return score_turns(model, encode_pairs(tokenizer, pairs), batch=batch)


def score_turns(
    model: PreTrainedModel, pairs: Sequence[EncodedPair], *, batch: int, tokens: int | None = None
) -> list[ReferenceTurn]:
    """See turn_logprobs; for pairs that are encoded with the model's tokenizer already.

    Args:
        tokens: most tokens at once, what is shared counted once, or else padding as well, if more than one sequence;
            None sets no bound but `batch`.
    """
    sides = [
        (pair.pair_id, side, encoded, turn_spans(encoded.assistant_mask)[-turns:])
        for pair in pairs
        for side, encoded, turns in pair.sides()
    ]
    rows = [(encoded.input_ids, spans) for _, _, encoded, spans in sides]
    return [
        ReferenceTurn(pair_id=pair_id, side=side, turn=turn, logprob=logprob, tokens=end - begin)
        for (pair_id, side, _, spans), logprobs in zip(
            sides, _span_logprobs(model, rows, batch=batch, tokens=tokens), strict=True
        )
        for turn, ((begin, end), logprob) in enumerate(zip(spans, logprobs, strict=True))
    ]


def conversation_logprobs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    conversations: Sequence[Sequence[Message]],
    *,
    batch: int,
) -> list[float]:
    """Log-probability of everything that the agent says in each conversation (eq. 2), natural logarithm.

    Raises:
        UserError: a conversation is longer than the model's context.
    """
    rows = []
    for number, messages in enumerate(conversations):
        encoded = encode(tokenizer, messages, name=f"conversation {number}")
        rows.append((encoded.input_ids, turn_spans(encoded.assistant_mask)))
    return [sum(logprobs) for logprobs in _span_logprobs(model, rows, batch=batch)]


def _span_logprobs(
    model: PreTrainedModel,
    rows: Sequence[tuple[Sequence[int], Sequence[tuple[int, int]]]],
    *,
    batch: int,
    tokens: int | None = None,
) -> list[list[float]]:
    """Sum of the tokens' log-probabilities over each span of each row of tokens; what rows begin with alike is read
    once, or rows of like length go together."""
    model.eval()
    windows = windows_of(model)
    if windows is not None and rows:
        return _packed_span_logprobs(model, rows, batch=batch, tokens=tokens, windows=windows)
    order = sorted(range(len(rows)), key=lambda number: len(rows[number][0]))
    sums: dict[int, list[float]] = {}
    head = Head(model)
    lengths = [len(tokens) for tokens, _ in rows]
    check_scoring(model, tokens=largest_part(lengths or [1], batch=batch, micro_tokens=tokens), key=_key(tokens))
    while order:
        longest = lengths[order[min(batch, len(order)) - 1]]
        count = batch if tokens is None else min(batch, max(1, tokens // longest))
        numbers, order = order[:count], order[count:]
        scores = _token_logprobs(head, [rows[number] for number in numbers], device=model.device)
        for number, values in zip(numbers, scores, strict=True):
            sums[number] = [float(values[begin:end].sum()) for begin, end in rows[number][1]]
    return [sums[number] for number in range(len(rows))]


@torch.inference_mode()
def _packed_span_logprobs(
    model: PreTrainedModel,
    rows: Sequence[tuple[Sequence[int], Sequence[tuple[int, int]]]],
    *,
    batch: int,
    tokens: int | None,
    windows: Windows,
) -> list[list[float]]:
    sequences = [row for row, _ in rows]
    (parts,) = packed_parts(sequences, tokens=tokens, most=batch)
    largest = max(scoring_tokens(model, [sequences[number] for number in part]) for part in parts)
    check_scoring(model, tokens=largest, key=_key(tokens))
    found: list[list[float]] = [[] for _ in rows]
    with tree_attention(model):
        head = Head(model)
        for part in parts:
            masks = [_mask(*rows[number]) for number in part]
            packed = pack([sequences[number] for number in part], masks, windows=windows, like=model)
            (values,) = head.score(
                **packed.inputs, labels=packed.labels, per_token=log_probs_of, others=(packed.targets,)
            )
            for number, scores in zip(part, packed.of_tokens(values).double().cpu(), strict=True):
                lengths = [end - begin for begin, end in rows[number][1]]
                found[number] = [float(span.sum()) for span in scores[: sum(lengths)].split(lengths)]
    return found


def _mask(row: Sequence[int], spans: Sequence[tuple[int, int]]) -> list[int]:
    """1 where a token is in a span."""
    mask = [0] * len(row)
    for begin, end in spans:
        mask[begin:end] = [1] * (end - begin)
    return mask


def _key(tokens: int | None) -> str:
    """What bounds how much is scored at once."""
    return "reference.batch" if tokens is None else "micro_tokens"


@torch.inference_mode()
def _token_logprobs(
    head: Head, rows: Sequence[tuple[Sequence[int], Sequence[tuple[int, int]]]], *, device: torch.device
) -> torch.Tensor:
    """Log-probability of each token of the spans given those before it, shape (rows, longest), float64; 0 elsewhere."""
    tokens = [row for row, _ in rows]
    # Padding is hidden from attention and scored by nobody, so that any token will do.
    ids = pad(tokens, value=0).to(device)
    mask = pad([[1] * len(row) for row in tokens], value=0).to(device)
    labels = torch.full_like(ids, IGNORED)
    for number, (_, spans) in enumerate(rows):
        for begin, end in spans:
            labels[number, begin:end] = ids[number, begin:end]
    (values,) = head.score(input_ids=ids, attention_mask=mask, use_cache=False, labels=labels, per_token=_log_softmax)
    found = torch.zeros(ids.shape, dtype=torch.float64)
    found[(labels != IGNORED).cpu()] = values.double().cpu()
    return found


def _log_softmax(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor]:
    return (torch.log_softmax(logits, dim=-1).gather(-1, targets[:, None])[:, 0],)


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
