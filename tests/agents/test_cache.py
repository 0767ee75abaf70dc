"""The cache of many conversations: nothing is lost or mixed up where rows are set aside, dropped and packed."""

import pytest
import torch
from transformers import LlamaConfig, MistralConfig
from transformers.cache_utils import DynamicLayer

from w2sg.agents.cache import ConversationCache, RoomyLayer

HEADS, SIZE, LAYERS = 2, 6, 2


class Reader:
    """Feeds a cache as a model does, one number per token in the place of its keys, and keeps what each row was fed."""

    def __init__(self, config, *, rows):
        self.cache = ConversationCache(config, rows=rows, device=torch.device("cpu"))
        self.fed = [[] for _ in range(rows)]
        self.next = 1.0

    def feed(self, lengths):
        """Append a left-padded block with `lengths` tokens for the rows in the cache; padding has number 0."""
        width = max(lengths)
        block = torch.zeros(len(lengths), width)
        for place, length in enumerate(lengths):
            numbers = [self.next + number for number in range(length)]
            self.next += length
            block[place, width - length :] = torch.tensor(numbers)
            self.fed[self.cache.rows[place]] += numbers
        positions = self.cache.append((block > 0).long())
        for place, length in enumerate(lengths):
            filled = len(self.fed[self.cache.rows[place]])
            own = positions[place, width - length :].tolist()
            assert own == list(range(filled - length, filled)), "positions count a row's own tokens only"
        states = block[:, None, :, None].expand(-1, HEADS, -1, SIZE)
        for layer in range(LAYERS):
            self.cache.states.update(states + layer, -states - layer, layer)

    def check(self, rows):
        """In the cache are `rows` in this order, each with all it was fed, in order."""
        assert self.cache.rows == rows
        for place, row in enumerate(rows):
            own = self.cache.mask[place].bool()
            for number, layer in enumerate(self.cache.states.layers):
                expected = torch.tensor(self.fed[row])[None, :, None].expand(HEADS, -1, SIZE) + number
                assert torch.equal(layer.keys[place][:, own], expected)
                assert torch.equal(layer.values[place][:, own], -expected)


def config(kind=LlamaConfig, **settings):
    return kind(hidden_size=HEADS * SIZE, num_hidden_layers=LAYERS, num_attention_heads=HEADS, **settings)


@pytest.mark.parametrize(
    ("kind", "settings"), [(LlamaConfig, {}), (MistralConfig, {"sliding_window": 4})], ids=["full", "window"]
)
def test_rows_set_aside_come_back_and_holes_go(kind, settings):
    reader = Reader(config(kind, **settings), rows=5)
    reader.cache.pack([0, 1, 2, 3, 4])
    reader.feed([30, 1, 2, 3, 4])
    assert not reader.cache.set_aside(torch.tensor([True, False, False, False, False])), "a fifth is not worth a copy"
    reader.check([0, 1, 2, 3, 4])
    assert reader.cache.set_aside(torch.tensor([True, False, True, False, False]))
    reader.check([1, 3, 4])
    reader.feed([1, 1, 1])
    assert reader.cache.set_aside(torch.tensor([False, True, False]))
    reader.check([1, 4])
    reader.feed([1, 0])
    assert reader.cache.mask.shape[1] == 32
    reader.cache.pack([0, 1, 2, 3, 4])
    reader.check([0, 1, 2, 3, 4])
    assert reader.cache.mask.shape[1] == 30, "as wide as its longest row"
    reader.feed([1, 2, 1, 2, 1])
    reader.cache.pack([1, 2, 4])
    reader.check([1, 2, 4])
    assert reader.cache.mask.shape[1] == max(len(reader.fed[row]) for row in (1, 2, 4)) == 6
    reader.feed([1, 9, 3])
    reader.check([1, 2, 4])


def test_a_cache_without_much_to_gain_is_left_alone():
    reader = Reader(config(), rows=2)
    reader.cache.pack([0, 1])
    reader.feed([10, 9])
    reader.feed([1, 1])
    blocks = [layer.keys.data_ptr() for layer in reader.cache.states.layers]
    reader.cache.pack([0, 1])
    assert [layer.keys.data_ptr() for layer in reader.cache.states.layers] == blocks
    reader.check([0, 1])


def test_the_roomy_cache_holds_what_the_plain_one_holds():
    generator = torch.Generator().manual_seed(0)
    plain, roomy = DynamicLayer(), RoomyLayer()
    rows = 6
    for width, kept in [(70, 6), (1, 6), (1, 4), (90, 4), (1, 3), (1, 3), (200, 1), (1, 1)]:
        if kept < rows:
            index = torch.randperm(rows, generator=generator)[:kept]
            plain.batch_select_indices(index)
            roomy.batch_select_indices(index)
            rows = kept
        new = torch.randn(2, rows, 2, width, 5, generator=generator)
        for one, other in zip(plain.update(*new), roomy.update(*new), strict=True):
            assert torch.equal(one, other)
        assert roomy.get_seq_length() == plain.get_seq_length()
    assert roomy.keys.untyped_storage().nbytes() < 1.6 * plain.keys.untyped_storage().nbytes()
