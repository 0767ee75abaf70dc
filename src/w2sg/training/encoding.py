"""From conversations to token ids with the mask of what is learned: assistant turns, their end token included (A16)."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message


class Encoded(NamedTuple):
    """Token ids of one conversation, shape (length,), and 1 where a token belongs to an assistant turn, else 0."""

    input_ids: list[int]
    assistant_mask: list[int]


def encode(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, name: str) -> Encoded:
    """Encode a conversation with the tokenizer's chat template. Nothing is ever truncated.

    Args:
        name: which conversation this is, for error messages.

    Raises:
        UserError: the conversation is longer than `tokenizer.model_max_length`, or its assistant turns are not marked.
    """
    try:
        output = tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            return_dict=True,
            return_assistant_tokens_mask=True,
            tokenizer_kwargs={"verbose": False},
        )
    except TemplateError as error:
        raise UserError(f"{name}: the chat template cannot write this conversation: {error}") from None
    encoded = Encoded(list(output["input_ids"]), list(output["assistant_masks"]))
    if len(encoded.input_ids) > tokenizer.model_max_length:
        raise UserError(
            f"{name}: the conversation has {len(encoded.input_ids)} tokens, the model's context is "
            f"{tokenizer.model_max_length}; raise models.context (of a model from scratch), lower the environment's "
            "max_steps, or take a model with a larger context"
        )
    turns = sum(message["role"] == "assistant" for message in messages)
    if len(turn_spans(encoded.assistant_mask)) != turns:
        raise UserError(
            f"{name}: the chat template marks {len(turn_spans(encoded.assistant_mask))} assistant turns of {turns}; "
            "it must wrap each one in {% generation %}"
        )
    return encoded


def turn_spans(mask: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of ones in a mask as (first, after the last): one per assistant turn."""
    spans, position = [], 0
    for value, run in groupby(mask):
        length = len(list(run))
        if value:
            spans.append((position, position + length))
        position += length
    return spans


def last_turns(encoded: Encoded, *, turns: int) -> list[int]:
    """The assistant mask with only the last `turns` turns left: whole turns from the diverging one on."""
    start = turn_spans(encoded.assistant_mask)[-turns][0]
    return [0] * start + encoded.assistant_mask[start:]


def pad(rows: Sequence[Sequence[int]], *, value: int) -> torch.Tensor:
    """Rows as one tensor, shape (rows, longest), padded on the right with `value`."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows], dtype=torch.long)
