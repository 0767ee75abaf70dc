"""The key-value cache of many conversations of different lengths: without holes, and nothing is ever packed.

Each conversation has a slot, and its tokens lie in the first columns of that slot, whatever block they came in: column
and position are the same number. What is padding in a block is written beyond a conversation's end, where nobody looks
before its own next token overwrites it.

Attention reads the first slots only. A conversation that is over, or whose turn is, changes places with one behind
them; that copies two conversations where leaving it out of a smaller batch would copy all the others.
"""

from collections.abc import Sequence

import torch
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from w2sg.agents.windows import Mask, Windows

# Changing places copies conversations: worth it once an eighth of those that attention reads is done.
_SET_ASIDE = 0.875
_ALIGNED = 8


class _Slots:
    """Where the layers put the block that the model is about to read, and what attention reads then.

    Attributes:
        rows, columns, tokens: slot, column and place in the block of each token that is written, all of one shape.
        active: slots of the conversations that are going on.
        read, width: slots and columns that attention reads.
        block: columns of the block.
        held: slots whose content may be read again.
    """

    rows: torch.Tensor
    columns: torch.Tensor
    tokens: torch.Tensor
    active: int
    read: int = 0
    width: int = 0
    block: int = 0
    held: int


class SlotLayer(DynamicLayer):
    """A layer of the cache that writes every token at its conversation's end.

    Its `keys` and `values` are views of what attention reads: shape (slots, heads, columns, head size).
    """

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, slots: _Slots) -> None:
        super().__init__()
        self._slots = slots
        self._blocks: list[torch.Tensor] = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See DynamicLayer.update; shapes (slots, heads, tokens, head size)."""
        slots = self._slots
        self.is_initialized = True
        self.make_room(slots.width, key_states, value_states)
        for block, states in zip(self._blocks, (key_states, value_states), strict=True):
            block[slots.rows, :, slots.columns] = states[slots.rows, :, slots.tokens]
        self.keys, self.values = (block[: slots.read, :, : slots.width] for block in self._blocks)
        return self.keys, self.values

    @property
    def blocks(self) -> Sequence[torch.Tensor]:
        """Keys and values of all slots and columns that there is room for; nothing before the first block."""
        return self._blocks

    def make_room(self, width: int, *like: torch.Tensor) -> None:
        """Have room for so many columns; the content moves where there was not.

        Args:
            like: keys and values, whose heads, sizes and type those of the layer are.
        """
        if not self._blocks or self._blocks[0].shape[2] < width:
            self._blocks = [self._grown(number, each, width=width) for number, each in enumerate(like)]

    def get_seq_length(self) -> int:
        """Columns before the block that was entered last, which models count positions from."""
        return self._slots.width - self._slots.block

    def _grown(self, number: int, like: torch.Tensor, *, width: int) -> torch.Tensor:
        """A larger block of keys (0) or values (1) with what is held."""
        held = self._slots.held
        # Zeros, since what is hidden has weight 0 and 0 times an accidental NaN is NaN.
        block = like.new_zeros((held, like.shape[1], width + width // 4 + 64, like.shape[3]))
        if self._blocks:
            old = self._blocks[number]
            block[:, :, : old.shape[2]] = old[:held]
        return block

    def exchange(self, some: torch.Tensor, others: torch.Tensor, *, width: int) -> None:
        """Let slots change places in pairs, as far as `width` columns."""
        for block in self._blocks:
            kept = block[some, :, :width]
            block[some, :, :width] = block[others, :, :width]
            block[others, :, :width] = kept


class ConversationCache:
    """What a model has read of a batch of conversations, and who is where.

    Attributes:
        states: the keys and values; the model reads them and adds those of every block.

    Args:
        config: of the model.
        rows: number of conversations.
    """

    def __init__(self, config: PretrainedConfig, *, rows: int, device: torch.device) -> None:
        self._windows = Windows(config)
        self._slots = _Slots()
        self._slots.active = self._slots.held = rows
        self.states = DynamicCache(config=config)
        # Others hold nothing: they read the keys and values of an earlier layer, or do not attend.
        attending = (DynamicLayer, DynamicSlidingWindowLayer)
        self.states.layers = [
            SlotLayer(self._slots) if type(layer) in attending else layer for layer in self.states.layers
        ]
        self._rows = list(range(rows))
        self._counts = torch.zeros(rows, dtype=torch.long)  # tokens of each conversation, by its number
        self._device = device

    @property
    def rows(self) -> list[int]:
        """Numbers of the conversations that attention reads, in the order of their slots."""
        return self._rows[: self._slots.active]

    @property
    def width(self) -> int:
        """Columns that attention reads."""
        return self._slots.width

    @property
    def flat(self) -> bool:
        """Whether the model takes one token of each conversation at a time (`Windows.flat`)."""
        return self._windows.flat

    def keep(self, rows: Sequence[int]) -> None:
        """Give up every conversation but `rows`, and let attention read all of these."""
        wanted = set(rows)
        self._bring_forward([row in wanted for row in self._rows])
        self._slots.active = self._slots.held = len(wanted)
        del self._rows[len(wanted) :]

    def set_aside(self, done: Sequence[bool]) -> None:
        """Leave out the conversations where `done` until `keep`, if they are many enough.

        Args:
            done: one for each of `rows`.
        """
        left = len(done) - sum(done)
        if left <= _SET_ASIDE * len(done):
            self._bring_forward([not each for each in done])
            self._slots.active = left

    def _bring_forward(self, wanted: Sequence[bool]) -> None:
        """Let the wanted of the first slots have the first of these, by as few exchanges as there can be."""
        count = sum(wanted)
        some = [slot for slot in range(count) if not wanted[slot]]
        if not some:
            return
        others = [slot for slot in range(count, len(wanted)) if wanted[slot]]
        width = int(self._counts[[self._rows[slot] for slot in (*some, *others)]].max())
        here, there = (torch.tensor(slots, device=self._device) for slots in (some, others))
        for layer in self.states.layers:
            if isinstance(layer, SlotLayer):
                layer.exchange(here, there, width=width)
        for one, other in zip(some, others, strict=True):
            self._rows[one], self._rows[other] = self._rows[other], self._rows[one]

    def append_block(self, own: torch.Tensor) -> torch.Tensor:
        """Enter a left-padded block that the model is about to read.

        Args:
            own: True where the block holds a conversation's token, on the host, shape (slots, block's columns).

        Returns:
            The position of each token in its conversation, shape of `own`, on the device; 0 for padding.
        """
        slots, device = self._slots, self._device
        counts = self._counts[self.rows]
        positions = (counts[:, None] + own.cumsum(1) - 1).clamp(min=0)
        rows, tokens = own.nonzero(as_tuple=True)
        slots.rows, slots.tokens, slots.columns = (each.to(device) for each in (rows, tokens, positions[rows, tokens]))
        counts = counts + own.sum(1)
        self._counts[self.rows] = counts
        slots.read, slots.width, slots.block = len(own), int(counts.max()), own.shape[1]
        return positions.to(device)

    def make_room(self, columns: int) -> tuple[int, int, int]:
        """Have room for a block with so many columns.

        Returns:
            Where the keys and values lie, which changes when they move, and for how many slots and columns they have
            room; the columns are whole eights, as attention with a mask asks for on a card.
        """
        width = int(self._counts[self._rows].max()) + columns
        layers = [layer for layer in self.states.layers if isinstance(layer, SlotLayer) and layer.blocks]
        for layer in layers:
            layer.make_room(-(-width // _ALIGNED) * _ALIGNED, *layer.blocks)
        keys = layers[0].blocks[0]
        return keys.data_ptr(), len(keys), keys.shape[2] // _ALIGNED * _ALIGNED

    def append_fixed(self, own: torch.Tensor, *, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Enter a block for a pass whose shapes shall recur: attention reads as many slots as it has, and `columns`.

        Args:
            own: as for `append_block`, and with as many more slots, without tokens, as one likes.
            columns: at most those that there is room for.

        Returns:
            The position of each token in its conversation, in the shape of `own`; and where it is written (`write_to`):
            padding, too, is, behind its conversation's end. Both on the host.
        """
        slots, rows = self._slots, self._rows[: len(own)]
        counts = torch.zeros(len(own), dtype=torch.long)
        counts[: len(rows)] = self._counts[rows]
        positions = (counts[:, None] + own.cumsum(1) - 1).clamp(min=0)
        counts += own.sum(1)
        self._counts[rows] = counts[: len(rows)]
        slots.read, slots.width, slots.block = len(own), columns, own.shape[1]
        here, tokens = torch.meshgrid(*map(torch.arange, own.shape), indexing="ij")
        return positions, torch.stack([here, torch.where(own, positions, counts[:, None]), tokens])

    def write_to(self, targets: torch.Tensor) -> None:
        """Let the layers write the block that was entered last by `append_fixed`.

        Args:
            targets: as it returned them, on the device: slots, columns and places in the block. Layers read them when
                they write.
        """
        self._slots.rows, self._slots.columns, self._slots.tokens = targets

    def take_back(self, tokens: Sequence[int]) -> None:
        """Leave out the last tokens of the block that was entered last.

        Args:
            tokens: how many, one for each of `rows`.
        """
        self._counts[self.rows] -= torch.tensor(tokens)

    def attention_mask(self, positions: torch.Tensor, *, dtype: torch.dtype) -> Mask:
        """What the model takes as the mask of the block entered last.

        Args:
            positions: as they were returned of it.
            dtype: of the model.
        """
        return self._windows.masks(positions, columns=self._slots.width, dtype=dtype)
