"""Full-text search with exactly Lucene's BM25 ranking (k1 = 0.9, b = 0.4), as Pyserini's default searcher sets it."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from w2sg.environments.webshop.world.analysis import terms

_K1, _B = np.float32(0.9), np.float32(0.4)


class Index:
    """An inverted index over short documents; 8 bytes for each term of a document.

    Args:
        documents: (id, text) pairs with distinct ids.
    """

    def __init__(self, documents: Iterable[tuple[str, str]]) -> None:
        self._ids: list[str] = []
        self._term_numbers: dict[str, int] = {}
        term_of, document_of, frequency_of, lengths = array("i"), array("i"), array("f"), array("i")
        for number, (name, text) in enumerate(documents):
            self._ids.append(name)
            found = terms(text)
            lengths.append(len(found))
            for term, count in Counter(found).items():
                term_of.append(self._term_numbers.setdefault(term, len(self._term_numbers)))
                document_of.append(number)
                frequency_of.append(count)
        order = np.argsort(np.frombuffer(term_of, np.int32), kind="stable") if term_of else np.zeros(0, np.int64)
        self._documents = np.array(document_of, np.int32)[order]
        self._begins = np.concatenate(
            [[0], np.cumsum(np.bincount(np.array(term_of, np.int32), minlength=len(self._term_numbers)))]
        ).astype(np.int64)
        # Documents without any term do not count.
        self._count = sum(length > 0 for length in lengths)
        norms = _inverse_norms(np.array(lengths, np.int64), max(self._count, 1))
        self._saturation = np.array(frequency_of, np.float32)[order] * norms[self._documents]
        self._rank = np.argsort(np.argsort(np.array(self._ids, dtype=object))).astype(np.int32)

    def search(self, query: str, limit: int) -> list[tuple[str, float]]:
        """The best `limit` documents with their scores, best first, equal ones by id; only those that share a term."""
        scores = np.zeros(len(self._ids), np.float64)
        for term, count in Counter(terms(query)).items():
            number = self._term_numbers.get(term)
            if number is None:
                continue
            postings = slice(self._begins[number], self._begins[number + 1])
            frequency = postings.stop - postings.start
            idf = np.float32(math.log(1 + (self._count - frequency + 0.5) / (frequency + 0.5)))
            weight = idf * np.float32(count)
            # Every document is there once, so the addition is safe.
            scores[self._documents[postings]] += weight - weight / (1 + self._saturation[postings])
        hits = np.flatnonzero(scores)
        rounded = scores[hits].astype(np.float32)
        if len(hits) > limit:
            worst = np.partition(rounded, len(hits) - limit)[len(hits) - limit]
            hits, rounded = hits[rounded >= worst], rounded[rounded >= worst]
        best = np.lexsort((self._rank[hits], -rounded))[:limit]
        return [(self._ids[hits[place]], float(rounded[place])) for place in best]


def _inverse_norms(lengths: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    """1 / (k1 (1 - b + b length / mean length)) of each document, in single precision like Lucene's table."""
    mean = np.float32(lengths.sum() / count)
    kept = _kept_lengths(lengths).astype(np.float32)
    one = np.float32(1)
    result: NDArray[np.float32] = one / (_K1 * ((one - _B) + _B * kept / max(mean, one)))
    return result


def _kept_lengths(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lengths as Lucene stores them in one byte: exact below 24, above it 24 and four significant bits of the rest."""
    rest = np.maximum(lengths - 24, 0)
    dropped = np.maximum(np.frexp(rest.astype(np.float64))[1] - 4, 0)
    return np.where(lengths < 24, lengths, 24 + (rest >> dropped << dropped))
