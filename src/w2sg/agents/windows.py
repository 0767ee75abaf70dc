"""Attention windows that count a conversation's own tokens.

transformers counts the columns of the cache, and where conversations of different lengths share one, columns hold
padding too: a row's window would be shorter among others than alone. So the masks are built here, from positions.
"""

from typing import TypeAlias

import torch
from transformers import PretrainedConfig

from w2sg.contracts.errors import UserError

# What a model of transformers takes as its `attention_mask`.
Mask: TypeAlias = torch.Tensor | dict[str, torch.Tensor]

# Local layers of GPT-Neo and position biases of MPT are made in the models, from the number of columns.
_COLUMNS = ("gpt_neo", "mpt")


class Windows:
    """Which of its earlier tokens each kind of a model's layers sees.

    Raises:
        UserError: layers that keep a running state in the place of keys and values, which padding would enter, or that
            count the columns of the cache in code of their own.
    """

    def __init__(self, config: PretrainedConfig) -> None:
        config = config.get_text_config(decoder=True)
        kinds = getattr(config, "layer_types", None)
        # As in transformers' create_masks_for_generate: a model whose layers have types takes one mask for each type.
        self._by_kind = kinds is not None
        self._sliding: int | None = getattr(config, "sliding_window", None)
        self._chunk: int | None = getattr(config, "attention_chunk_size", None)
        if kinds is None:
            kinds = ["sliding_attention" if self._sliding else "chunked_attention" if self._chunk else "full_attention"]
        self._kinds: list[str] = sorted(set(kinds) - {"moe", "mlp"})
        if others := set(self._kinds) - {"full_attention", "sliding_attention", "chunked_attention"}:
            raise UserError(
                f"{config.name_or_path or config.model_type}: layers of the kind {' and '.join(sorted(others))} cannot "
                "play many conversations at once; take a model whose layers are full, sliding or chunked attention"
            )

        if config.model_type in _COLUMNS:
            raise UserError(
                f"{config.name_or_path or config.model_type}: {config.model_type} counts padding as tokens of a "
                "conversation and cannot play many at once; take a model of another architecture"
            )

    def masks(self, own: torch.Tensor, *, positions: torch.Tensor, dtype: torch.dtype) -> Mask:
        """What the model takes as its attention mask for one block.

        Args:
            own: 1 in the columns of the cache, the block's included, that hold a row's own tokens; shape (rows,
                columns).
            positions: place of each of the block's tokens in its own row, shape (rows, block's columns).
            dtype: of the model.

        Returns:
            `own` where every layer sees everything, else numbers to be added to the scores, shape (rows, 1, block's
            columns, columns), by the kind of the layer if the model tells kinds apart.
        """
        if self._kinds == ["full_attention"]:
            return own
        places = (own.cumsum(1) - 1)[:, None, None]
        queries = positions[:, None, :, None]
        before = (own > 0)[:, None, None] & (places <= queries)
        masks = {}
        for kind in self._kinds:
            seen = before
            if kind == "sliding_attention":
                assert self._sliding is not None
                seen = before & (places > queries - self._sliding)
            if kind == "chunked_attention":
                assert self._chunk is not None
                seen = before & (places // self._chunk == queries // self._chunk)
            masks[kind] = torch.zeros(seen.shape, dtype=dtype, device=own.device).masked_fill(
                ~seen, torch.finfo(dtype).min
            )
        return masks if self._by_kind else masks[self._kinds[0]]
