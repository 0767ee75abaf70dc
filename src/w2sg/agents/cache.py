"""The key-value cache of many conversations of different lengths, kept small between and within their turns.

The new tokens of all rows are left-padded into one block, so the cache has holes that the attention mask hides;
positions count a row's own tokens only.

Attention reads the whole cache for every token. So rows whose turn has ended are set aside until the longest turn is
done, and before the next turn all rows are packed together again without their holes. Layers with a window keep all
that was read as well: which columns a window spans is another question for every row (windows.py).
"""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import torch
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from w2sg.agents.sampling import to_host
from w2sg.agents.windows import Mask, Windows

# Setting rows aside copies what remains: worth it once a quarter of them is done.
_SET_ASIDE = 0.75
# Packing copies everything: worth it once a fifth of the columns would go.
_PACKED = 1.25


class RoomyLayer(DynamicLayer):
    """A layer of the cache that grows in steps: DynamicLayer copies all of it for every token.

    Its own `keys` and `values` are views of the filled part of a larger block. At 700 tokens, 60 conversations and
    1.36M parameters, a token takes 26 ms instead of 46, with the same bits.
    """

    keys: torch.Tensor
    values: torch.Tensor

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See DynamicLayer.update; shapes (rows, heads, tokens, head size)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._room: list[torch.Tensor] = []
        filled = self.get_seq_length()
        total = filled + key_states.shape[-2]
        # Where conversations were dropped, `keys` is no longer a view of the block.
        if not self._room or self._room[0].shape[0] != len(key_states) or self._room[0].shape[-2] < total:
            room = [with_room(states, len(key_states), total) for states in (key_states, value_states)]
            if filled:
                room[0][:, :, :filled], room[1][:, :, :filled] = self.keys, self.values
            self._room = room
        self._room[0][:, :, filled:total], self._room[1][:, :, filled:total] = key_states, value_states
        return self.show(total)

    def hold(self, keys: torch.Tensor, values: torch.Tensor, *, filled: int) -> None:
        """Replace all that the layer holds by the first `filled` columns of two blocks, whose rest is room."""
        self._room = [keys, values]
        self.show(filled)

    def show(self, filled: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Let `keys` and `values` be the first `filled` columns of the blocks."""
        self.keys, self.values = (block[:, :, :filled] for block in self._room)
        return self.keys, self.values


def with_room(like: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Zeros of the kind of `like`, shape (rows, heads, columns and a quarter more, head size)."""
    # Zeros, since a hole has weight 0 and 0 times an accidental NaN is NaN.
    return like.new_zeros((rows, like.shape[1], columns + columns // 4 + 64, like.shape[3]))


class _Part(NamedTuple):
    """Some conversations and their share of the cache.

    Attributes:
        rows: their numbers.
        layers: keys and values of every layer, shape (rows, heads, columns, head size).
        mask: 1 in the columns that hold a row's own tokens, 0 in holes; shape (rows, columns).
        position: tokens of each row, shape (rows,).
    """

    rows: list[int]
    layers: list[tuple[torch.Tensor, torch.Tensor]]
    mask: torch.Tensor
    position: torch.Tensor


class ConversationCache:
    """What a model has read of a batch of conversations, and whose tokens are where.

    Attributes:
        states: the keys and values; the model reads them and appends those of every block.
        rows: numbers of the conversations that are in the cache at the moment, in its order.
        mask: 1 in the columns that hold a row's own tokens, 0 in holes; shape (rows, columns).

    Args:
        config: of the model.
        rows: number of conversations.
    """

    def __init__(self, config: PretrainedConfig, *, rows: int, device: torch.device) -> None:
        self._windows = Windows(config)
        self.states = DynamicCache(config=config)
        # Others hold nothing: they read the keys and values of an earlier layer, or do not attend.
        attending = (DynamicLayer, DynamicSlidingWindowLayer)
        self.states.layers = [RoomyLayer() if type(layer) in attending else layer for layer in self.states.layers]
        self.rows = list(range(rows))
        self.mask = torch.zeros((rows, 0), dtype=torch.long, device=device)
        self._position = torch.zeros(rows, dtype=torch.long, device=device)
        self._aside: list[_Part] = []

    def append(self, real: torch.Tensor) -> torch.Tensor:
        """Enter a block that the model is about to read; return the position of each of its tokens in its own row.

        Args:
            real: 1 where the block holds a row's token, 0 where it is padding; shape (rows, block's columns).
        """
        real = real.to(self.mask.device)
        self.mask = torch.cat([self.mask, real], dim=1)
        positions = (self._position[:, None] + real.cumsum(1) - 1).clamp(min=0)
        self._position = self._position + real.sum(1)
        return positions

    def attention_mask(self, positions: torch.Tensor, *, dtype: torch.dtype) -> Mask:
        """What the model takes as the mask of the block entered last.

        Args:
            positions: as `append` returned them.
            dtype: of the model.
        """
        return self._windows.masks(self.mask, positions=positions, dtype=dtype)

    def set_aside(self, done: torch.Tensor) -> bool:
        """Take the rows where `done` out until the next `pack`, if they are many enough; return whether it was done.

        Args:
            done: on the host, shape (rows in the cache,).
        """
        if len(done) - done.sum() > _SET_ASIDE * len(done):
            return False
        self._aside.append(self._part(torch.nonzero(done).flatten().tolist()))
        self._select(torch.nonzero(~done).flatten().tolist())
        return True

    def pack(self, rows: Sequence[int]) -> None:
        """Bring `rows`, and no others, into the cache in this order, and leave out columns that none of them needs."""
        rows = list(rows)
        if not self.mask.shape[1]:
            if rows != self.rows:
                self._select([self.rows.index(row) for row in rows])
            return
        parts = [*self._aside, self._part(list(range(len(self.rows))))]
        self._aside = []
        counts = to_host(torch.cat([part.position for part in parts])).tolist()
        tokens = dict(zip(chain.from_iterable(part.rows for part in parts), counts, strict=True))
        width = max(tokens[row] for row in rows)
        if rows == self.rows and self.mask.shape[1] <= _PACKED * width:
            return
        whole = self._empty(rows, width=width)
        for part in parts:
            _copy(part, into=whole)
        for layer, (keys, values) in zip(self._layers(), whole.layers, strict=True):
            layer.hold(keys, values, filled=width)
        self.rows, self.mask = rows, whole.mask
        self._position = self._position.new_tensor([tokens[row] for row in rows])

    def _layers(self) -> list[RoomyLayer]:
        """The layers that hold keys and values."""
        return [layer for layer in self.states.layers if isinstance(layer, RoomyLayer)]

    def _empty(self, rows: list[int], *, width: int) -> _Part:
        """Room for `rows` of at most `width` tokens each."""
        return _Part(
            rows=rows,
            layers=[
                (with_room(layer.keys, len(rows), width), with_room(layer.values, len(rows), width))
                for layer in self._layers()
            ],
            mask=self.mask.new_zeros((len(rows), width)),
            position=self._position.new_zeros(len(rows)),
        )

    def _part(self, chosen: list[int]) -> _Part:
        """The rows at the places `chosen` of what is in the cache."""
        index = torch.tensor(chosen, device=self.mask.device)
        every = len(chosen) == len(self.rows)
        pairs = [(layer.keys, layer.values) for layer in self._layers()]
        return _Part(
            rows=[self.rows[number] for number in chosen],
            layers=pairs if every else [(keys[index], values[index]) for keys, values in pairs],
            mask=self.mask[index],
            position=self._position[index],
        )

    def _select(self, chosen: list[int]) -> None:
        """Leave only the rows at the places `chosen` in the cache."""
        index = torch.tensor(chosen, device=self.mask.device)
        self.states.batch_select_indices(index)
        self.mask, self._position = self.mask[index], self._position[index]
        self.rows = [self.rows[number] for number in chosen]


def _copy(part: _Part, *, into: _Part) -> None:
    """Copy a part's conversations to their places in another, pushed to the right end of its columns, without holes."""
    place = {row: number for number, row in enumerate(into.rows)}
    chosen = [number for number, row in enumerate(part.rows) if row in place]
    if not chosen:
        return
    places = torch.tensor([place[part.rows[number]] for number in chosen], device=into.mask.device)
    own = part.mask[chosen]
    width = into.mask.shape[1]
    # Holes first, then the row's tokens in their order.
    columns = own.argsort(dim=1, stable=True)[:, -width:]
    start = width - columns.shape[1]
    into.mask[places, start:] = own.gather(1, columns)
    for (keys, values), (all_keys, all_values) in zip(part.layers, into.layers, strict=True):
        index = columns[:, None, :, None].expand(-1, keys.shape[1], -1, keys.shape[3])
        all_keys[places, :, start:width] = keys[chosen].gather(2, index)
        all_values[places, :, start:width] = values[chosen].gather(2, index)
