"""Tries: each distinct prefix once, in the order of a depth-first walk, in blocks that hold what each token sees."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sg.training import tries
from w2sg.training.packing import packed_parts, packed_size
from w2sg.training.tries import Block, blocks, build

SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), min_size=1, max_size=8)


def prefixes(sequences: list[list[int]]) -> set[tuple[int, ...]]:
    return {tuple(each[:length]) for each in sequences for length in range(1, len(each) + 1)}


@given(SEQUENCES)
def test_each_prefix_is_there_once(sequences: list[list[int]]) -> None:
    trie = build(sequences)
    assert len(trie.tokens) == len(trie.depths) == len(trie.ends) == len(prefixes(sequences))
    named: dict[int, tuple[int, ...]] = {}
    for sequence, place in zip(sequences, trie.places, strict=True):
        assert trie.tokens[place].tolist() == sequence
        assert trie.depths[place].tolist() == list(range(len(sequence)))
        for length, number in enumerate(place.tolist(), start=1):
            assert named.setdefault(number, tuple(sequence[:length])) == tuple(sequence[:length])
    assert len(set(named.values())) == len(named)


def above(sequences: list[list[int]], place: list[np.ndarray]) -> dict[int, set[int]]:
    """The tokens that each one sees: those before it in its sequences, and itself."""
    return {
        int(number): set(row[: at + 1].tolist())
        for row, _ in zip(place, sequences, strict=True)
        for at, number in enumerate(row)
    }


@given(SEQUENCES, st.sampled_from([0, 3, 10, 1000]))
def test_blocks_hold_what_their_tokens_see(sequences: list[list[int]], call: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tries, "CALL", call)
        trie = build(sequences)
        cut = blocks(trie)
    seen = above(sequences, trie.places)
    assert [token for block in cut for token in range(block.begin, block.end)] == list(range(len(trie.tokens)))
    for block in cut:
        stretches = (*block.before, (block.begin, block.end))
        keys = [key for stretch in stretches for key in range(*stretch)]
        assert len(keys) == len(set(keys)) == block.keys
        for query in range(block.begin, block.end):
            assert {key for key in keys if key <= query < trie.ends[key]} == seen[query]


@given(SEQUENCES)
def test_no_cut_is_cheaper(sequences: list[list[int]]) -> None:
    """By trying all."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tries, "CALL", 4)
        trie = build(sequences)
        found = sum((block.end - block.begin) * block.keys + 4 for block in blocks(trie))
    starts, size = trie.starts.tolist(), len(trie.tokens)
    costs = []
    for chosen in itertools.product([False, True], repeat=min(len(starts) - 1, 8)):
        begins = [0, *(start for start, taken in zip(starts[1:], chosen, strict=False) if taken)]
        costs.append(
            sum(
                (end - begin) * (trie.depths[begin] + end - begin) + 4
                for begin, end in itertools.pairwise([*begins, size])
            )
        )
    assert found <= min(costs)


def test_a_history_and_two_short_sides_are_one_block_and_two_long_ones_are_not(monkeypatch) -> None:
    monkeypatch.setattr(tries, "CALL", 1000)
    history = list(range(100))
    assert blocks(build([[*history, 1], [*history, 2]])) == [Block(0, 102, ())]
    long = blocks(build([[*history, *[1] * 50], [*history, *[2] * 50]]))
    assert long == [Block(0, 100, ()), Block(100, 150, ((0, 100),)), Block(150, 200, ((0, 100),))]


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
@pytest.mark.parametrize("tokens", [None, 1, 30, 60, 10_000])
def test_every_example_is_in_one_part_of_one_process(tokens: int | None, processes: int) -> None:
    rng = random.Random(0)
    histories = [[rng.randint(0, 9) for _ in range(rng.randint(5, 20))] for _ in range(4)]
    pairs = [(rng.choice(histories), [rng.randint(0, 9)], [rng.randint(10, 19)]) for _ in range(17)]
    sequences = [history + side for at in (1, 2) for history, side in ((pair[0], pair[at]) for pair in pairs)]
    dealt = packed_parts(sequences, sides=2, tokens=tokens, processes=processes)
    assert len(dealt) == processes and len({len(own) for own in dealt}) == 1
    together = [number for own in dealt for part in own for number in part]
    assert sorted(together) == list(range(17))
    for own in dealt:
        assert sum(map(len, own)) <= -(-17 // processes)
        for part in filter(None, own):
            rows = [sequences[number + side] for number in part for side in (0, 17)]
            assert packed_size(rows) == len(build(rows).tokens)
            assert tokens is None or len(part) == 1 or packed_size(rows) <= tokens
    if tokens is None:
        assert all(len(own) == 1 for own in dealt)


def test_examples_that_begin_alike_share_a_part() -> None:
    one, other = [1] * 30, [2] * 30
    sequences = [[*one, 5], [*other, 5], [*one, 6], [*other, 6]]
    assert packed_parts(sequences, tokens=35) == [[[0, 2], [1, 3]]]
    assert packed_parts(sequences, most=3) == [[[0, 2, 1], [3]]]
    assert packed_parts([[1, 2, 3], [4, 5, 6]], tokens=6) == [[[0, 1]]], "as many as the bound are allowed"
    assert packed_parts([[1, 2, 3], [4, 5, 6]], tokens=5) == [[[0], [1]]]
