"""The cache of many conversations: nothing is lost or mixed up where they change places, are left out and come back."""

import pytest
import torch
from transformers import LlamaConfig, MistralConfig

from w2sg.agents.cache import ConversationCache

HEADS, SIZE, LAYERS = 2, 6, 2


class Reader:
    """Feeds a cache as a model does, one number per token in the place of its keys, and keeps what each row was fed."""

    def __init__(self, config, *, rows):
        self.cache = ConversationCache(config, rows=rows, device=torch.device("cpu"))
        self.fed = {row: [] for row in range(rows)}
        self.next = 1.0

    def numbers(self, count):
        """The next numbers, all different."""
        self.next += count
        return [self.next - count + number for number in range(count)]

    def read(self, lengths):
        """Enter a left-padded block with so many tokens of each row; padding has number -1."""
        rows, width = self.cache.rows, max(lengths.values())
        block = torch.full((len(rows), width), -1.0)
        for place, row in enumerate(rows):
            numbers = self.numbers(lengths[row])
            block[place, width - len(numbers) :] = torch.tensor(numbers)
            self.fed[row] += numbers
        positions = self.cache.append_block(block > 0)
        for place, row in enumerate(rows):
            end = len(self.fed[row])
            own = positions[place, width - lengths[row] :].tolist()
            assert own == list(range(end - lengths[row], end)), "positions count a row's own tokens only"
        self._update(block)

    def write(self, rows, *, ahead=0):
        """Enter one token of each of `rows`, and `ahead` more that are taken back."""
        block = torch.full((len(self.cache.rows), 1 + ahead), -1.0)
        for place, row in enumerate(self.cache.rows):
            if row in rows:
                block[place] = torch.tensor(self.numbers(1 + ahead))
                self.fed[row].append(float(block[place, 0]))
        positions = self.cache.append_block(block > 0)
        for place, row in enumerate(self.cache.rows):
            if row in rows:
                end = len(self.fed[row])
                assert positions[place].tolist() == list(range(end - 1, end + ahead))
        self._update(block)
        self.cache.take_back([ahead * (row in rows) for row in self.cache.rows])

    def write_fixed(self, rows, *, slots, width):
        """Enter one token of each of `rows` in a block of a shape that recurs."""
        *_, room = self.cache.make_room(width)
        block = torch.full((slots, width), -1.0)
        for place, row in enumerate(self.cache.rows):
            if row in rows:
                block[place, -1:] = torch.tensor(self.numbers(1))
                self.fed[row].append(float(block[place, -1]))
        _, targets = self.cache.append_fixed(block > 0, columns=room)
        self.cache.write_to(targets)
        self._update(block)
        return room

    def _update(self, block):
        states = block[:, None, :, None].expand(-1, HEADS, -1, SIZE)
        for layer in range(LAYERS):
            keys, values = self.cache.states.update(states + layer, -states - layer, layer)
            for place, row in enumerate(self.cache.rows):
                end = len(self.fed[row])
                expected = torch.tensor(self.fed[row])[None, :, None].expand(HEADS, -1, SIZE) + layer
                assert torch.equal(keys[place][:, :end], expected)
                assert torch.equal(values[place][:, :end], -expected)

    def blocks(self):
        return [block.data_ptr() for layer in self.cache.states.layers for block in layer._blocks]


def config(kind=LlamaConfig, **settings):
    return kind(hidden_size=HEADS * SIZE, num_hidden_layers=LAYERS, num_attention_heads=HEADS, **settings)


@pytest.mark.parametrize(
    ("kind", "settings"), [(LlamaConfig, {}), (MistralConfig, {"sliding_window": 4})], ids=["full", "window"]
)
def test_rows_left_out_come_back_and_each_keeps_its_own(kind, settings):
    reader = Reader(config(kind, **settings), rows=5)
    cache = reader.cache
    cache.keep([0, 1, 2, 3, 4])
    reader.read({0: 30, 1: 1, 2: 2, 3: 3, 4: 4})
    cache.set_aside([True, False, True, False, False])
    assert cache.rows == [3, 1, 4], "the fewest that can change places do"
    reader.write({3, 4})
    assert cache.width == 5, "as wide as the longest of the rest"
    cache.set_aside([False, True, False])
    assert cache.rows == [3, 4]
    reader.write({3})
    cache.keep([0, 1, 2, 3, 4])
    assert sorted(cache.rows) == [0, 1, 2, 3, 4]
    reader.read({0: 1, 1: 2, 2: 1, 3: 2, 4: 1})
    cache.keep([1, 2, 4])
    assert sorted(cache.rows) == [1, 2, 4]
    reader.read({1: 100, 2: 9, 4: 3})
    assert all(len(block) == 3 for layer in cache.states.layers for block in layer._blocks), "room for those alone"
    reader.write({1, 2, 4})


def test_a_few_that_are_done_are_not_worth_a_change():
    reader = Reader(config(), rows=16)
    reader.cache.keep(range(16))
    reader.read(dict.fromkeys(range(16), 3))
    reader.cache.set_aside([True] + [False] * 15)
    assert reader.cache.rows == list(range(16))
    reader.cache.set_aside([True, True] + [False] * 14)
    assert reader.cache.rows == [14, 15, *range(2, 14)]


def test_many_turns_of_rows_that_end_by_chance():
    generator = torch.Generator().manual_seed(0)

    def chance(share):
        return bool(torch.rand(1, generator=generator) < share)

    reader = Reader(config(), rows=12)
    left = list(range(12))
    grown = set()
    while left:
        reader.cache.keep(left)
        reader.read({row: int(torch.randint(1, 20, (1,), generator=generator)) for row in left})
        writing = set(left)
        while writing:
            reader.write(writing, ahead=int(torch.randint(0, 4, (1,), generator=generator)))
            writing -= {row for row in sorted(writing) if chance(0.1)}
            reader.cache.set_aside([row not in writing for row in reader.cache.rows])
        left = [row for row in left if not chance(0.15)]
        grown.update(reader.blocks())
    assert max(map(len, reader.fed.values())) > 200
    assert len(grown) < 10 * 2 * LAYERS, "room grows in steps"


@pytest.mark.parametrize("width", [1, 4])
def test_blocks_of_one_shape_write_over_nothing_at_the_edge_of_the_room(width):
    """Row 0, which is set aside, fills its slot to the last column; row 2 waits in its own, row 3 is given up."""
    reader = Reader(config(), rows=4)
    cache = reader.cache
    reader.read({0: 80, 1: 3, 2: 5, 3: 90})
    _, _, room = cache.make_room(1)
    cache.keep([0, 1, 2])
    while len(reader.fed[0]) < room:
        reader.write({0})
    cache.set_aside([row != 1 for row in cache.rows])
    assert cache.rows == [1]
    rooms = {reader.write_fixed({1}, slots=3, width=width) for _ in range(2 * room)}
    assert room < min(rooms) < max(rooms), "it grows before anything is written"
    assert all(each % 8 == 0 for each in rooms)
    cache.keep([0, 1, 2])
    reader.read({0: 1, 1: 1, 2: 1})
    reader.write({0, 1, 2})
