"""Spread independent pieces of work over a few processes, results in order whatever their number."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item], *, processes: int, size: int = 25
) -> list[Result]:
    """Apply `work` to runs of `size` items; return all results in the order of the items.

    Args:
        work: a function of a module (it travels to other processes), one list of results for one run of items.
        processes: 1 works in this process.
    """
    runs = [items[start : start + size] for start in range(0, len(items), size)]
    if processes == 1:
        results: Iterable[list[Result]] = map(work, runs)
        return list(chain.from_iterable(results))
    with ProcessPoolExecutor(processes) as pool:
        return list(chain.from_iterable(pool.map(work, runs)))
