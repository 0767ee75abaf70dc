"""Copying of random tokens: what a base trained from scratch learns before it reads any play.

Agents copy all the time: the name of what they look for, a price, the product to click. A transformer learns this all
at once ("induction heads", Olsson et al. 2022), and on play that moment comes late. On random sequences that are said
twice there is nothing else to learn, so it comes within some three hundred updates of short sequences (docs/log).
"""

from typing import Any

import numpy as np

from w2sg.config.training import Copying


def copying_rows(settings: Copying, *, vocabulary: int, first: int, seed: int) -> list[dict[str, Any]]:
    """Training rows, each a random sequence said twice; only the second half is learned.

    Args:
        vocabulary: number of tokens; those from `first` on are drawn evenly.
        seed: equal seeds give equal rows.

    Returns:
        Rows of input_ids, labels (-100 where nothing is learned) and length, of 2 * shortest to 2 * longest tokens.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for length in rng.integers(settings.shortest, settings.longest + 1, size=settings.sequences).tolist():
        said = rng.integers(first, vocabulary, size=length).tolist()
        rows.append({"input_ids": said + said, "labels": [-100] * length + said, "length": 2 * length})
    return rows
