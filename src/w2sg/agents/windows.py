"""Which tokens each token sees: those of its own conversation before it, in a layer with a window the last of them.

transformers counts the columns of the cache from its end, and there conversations of different lengths end in different
columns. So the masks are built here, from positions.
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

    Attributes:
        flat: the model makes position biases from a mask of rows and columns and cannot take another, so that each
            token of a block would see the later ones: it has to read one token of a conversation at a time.

    Raises:
        UserError: layers that keep a running state in the place of keys and values, which padding would enter, or that
            count the columns of the cache in code of their own.
    """

    def __init__(self, config: PretrainedConfig) -> None:
        config = config.get_text_config(decoder=True)
        self.flat: bool = config.model_type == "bloom" or bool(getattr(config, "alibi", False))
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

    def masks(self, positions: torch.Tensor, *, columns: int, dtype: torch.dtype) -> Mask:
        """What the model takes as its attention mask for one block.

        Args:
            positions: place of each of the block's tokens in its own conversation, shape (rows, block's columns).
            columns: of the cache, the block's included; the number of each is the position of what it holds.
            dtype: of the model.

        Returns:
            Numbers to be added to the scores, shape (rows, 1, block's columns, columns), by the kind of the layer if
            the model tells kinds apart; for a flat model 1 where a column is a row's own, shape (rows, columns).
        """
        places = torch.arange(columns, device=positions.device)
        if self.flat:
            return (places <= positions[:, -1:]).long()
        queries = positions[:, None, :, None]
        before = places <= queries
        masks = {}
        for kind in self._kinds:
            seen = before
            if kind == "sliding_attention":
                assert self._sliding is not None
                seen = before & (places > queries - self._sliding)
            if kind == "chunked_attention":
                assert self._chunk is not None
                seen = before & (places // self._chunk == queries // self._chunk)
            hidden = torch.zeros(seen.shape, dtype=dtype, device=positions.device)
            masks[kind] = hidden.masked_fill_(~seen, torch.finfo(dtype).min)
        return masks if self._by_kind else masks[self._kinds[0]]
