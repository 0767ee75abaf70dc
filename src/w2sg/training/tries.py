"""Token sequences as one trie: what they begin with alike is there once, and attention is cut into few dense blocks.

Sequences in lexicographic order, each adding the tokens that the one before it does not have, give the trie in the
order of a depth-first walk: the tokens below a token follow it without a gap.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# What a further block costs, in pairs of query and key: its calls. From 2,000 to 60,000 an update takes as long.
CALL = 20_000

Numbers = npt.NDArray[np.int64]


class Trie(NamedTuple):
    """The distinct prefixes of some sequences.

    Attributes:
        tokens: one of each prefix, its last, shape (size,).
        depths: tokens before it in its sequences.
        ends: number of the first token after it that does not lie below it.
        places: of each sequence, in the order given, the numbers of its tokens.
        starts: numbers of the tokens that follow a branching, the first one included, in rising order.
    """

    tokens: Numbers
    depths: Numbers
    ends: Numbers
    places: list[Numbers]
    starts: Numbers


class Block(NamedTuple):
    """Queries that attend at once: consecutive tokens.

    Attributes:
        begin, end: the tokens.
        before: stretches of the tokens above the first of them, as (begin, end).
    """

    begin: int
    end: int
    before: tuple[tuple[int, int], ...]

    @property
    def keys(self) -> int:
        """Number of its keys: the tokens above, and its own."""
        return self.end - self.begin + sum(end - begin for begin, end in self.before)


def shared(one: Numbers, other: Numbers) -> int:
    """Tokens that two sequences begin with alike."""
    length = min(len(one), len(other))
    unlike = one[:length] != other[:length]
    return int(unlike.argmax()) if unlike.any() else length


def build(sequences: Sequence[Sequence[int]]) -> Trie:
    """The trie of sequences that are not empty."""
    rows = [np.asarray(sequence, dtype=np.int64) for sequence in sequences]
    tokens: list[Numbers] = []
    depths: list[Numbers] = []
    ends = np.zeros(sum(map(len, rows)), dtype=np.int64)
    places: list[Numbers] = [np.zeros(0, dtype=np.int64)] * len(rows)
    starts: set[int] = set()
    size, row, place = 0, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    for number in sorted(range(len(rows)), key=lambda number: tuple(sequences[number])):
        known = shared(row, rows[number])
        ends[place[known:]] = size
        if known < len(rows[number]):
            starts.update(place[known : known + 1].tolist(), (size,))
        row = rows[number]
        tokens.append(row[known:])
        depths.append(np.arange(known, len(row)))
        place = np.concatenate([place[:known], np.arange(size, size + len(row) - known)])
        size += len(row) - known
        places[number] = place
    ends[place] = size
    return Trie(np.concatenate(tokens), np.concatenate(depths), ends[:size], places, np.array(sorted(starts)))


def blocks(trie: Trie) -> list[Block]:
    """The trie's tokens as blocks of whole stretches between branchings, in order; least queries times keys in all."""
    starts = trie.starts
    limits = np.append(starts, len(trie.tokens))
    above = trie.depths[starts]  # tokens above each stretch
    best = np.zeros(len(limits))
    first = np.zeros(len(limits), dtype=np.int64)
    for last in range(1, len(limits)):
        queries = limits[last] - limits[:last]
        costs = best[:last] + queries * (above[:last] + queries) + CALL
        first[last] = costs.argmin()
        best[last] = costs[first[last]]
    found: list[Block] = []
    last = len(starts)
    while last:
        begin = int(starts[first[last]])
        found.append(Block(begin, int(limits[last]), _above(trie, limits, begin)))
        last = int(first[last])
    return found[::-1]


def _above(trie: Trie, limits: Numbers, begin: int) -> tuple[tuple[int, int], ...]:
    """The stretches above a token that follows a branching."""
    found: list[tuple[int, int]] = []
    for start, end in zip(limits[:-1].tolist(), limits[1:].tolist(), strict=True):
        if start >= begin:
            break
        if trie.ends[start] > begin:
            if found and found[-1][1] == start:
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
    return tuple(found)
