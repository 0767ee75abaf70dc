"""Correction for the number of comparisons."""

from collections.abc import Sequence


def holm(p_values: Sequence[float], *, hypotheses: int | None = None) -> list[float]:
    """Holm's adjusted p-values (1979), in the order given: those up to alpha hold with a family-wise error of alpha.

    The smallest is multiplied by the number of hypotheses, the next by one less, and so on; none falls below one that
    was smaller.

    Args:
        hypotheses: how many could have been tested where only some were picked out by their outcome; as many as
            p-values otherwise.
    """
    number = len(p_values) if hypotheses is None else hypotheses
    assert number >= len(p_values), "more p-values than hypotheses"
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda each: p_values[each])):
        largest = max(largest, min(1.0, (number - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
