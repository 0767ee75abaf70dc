"""Batches of conversations of like length, so that little of a batch is padding."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


def grouped_order(lengths: Sequence[int], *, batch: int, rng: np.random.Generator) -> list[int]:
    """A random order of all rows in which each run of `batch` rows, from the first, has like lengths.

    Lengths are blurred by a tenth, so that batches differ from epoch to epoch. Rows that fill no whole batch are drawn
    at random and come last.
    """
    blurred = np.asarray(lengths) * rng.uniform(0.9, 1.1, size=len(lengths))
    shuffled = rng.permutation(len(lengths))
    whole = len(lengths) // batch * batch
    ordered = shuffled[:whole][np.argsort(blurred[shuffled[:whole]], kind="stable")]
    batches = ordered.reshape(-1, batch)[rng.permutation(whole // batch)]
    return [*batches.flatten().tolist(), *shuffled[whole:].tolist()]


class GroupedSampler(Sampler[int]):
    """Another `grouped_order` every epoch.

    The sampler of transformers sorts within a quarter of the rows at most: 256 rows in batches of 16 had 27 % padding
    on top of their tokens (5 % when sorted), 96 rows 117 % (16 %).
    """

    def __init__(self, lengths: Sequence[int], *, batch: int, seed: int) -> None:
        self._lengths = list(lengths)
        self._batch = batch
        self._rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(grouped_order(self._lengths, batch=self._batch, rng=self._rng))
