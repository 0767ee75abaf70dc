"""What theorem 1 is about (paper, eq. 10): the quantities of its third term, as the stage theorem measures them.

What they can and cannot say is in docs/theorem.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log, sqrt
from pathlib import Path
from typing import Any, Self

import numpy as np

from w2sg.contracts.errors import UserError
from w2sg.contracts.files import read_json


@dataclass(frozen=True, slots=True)
class Quantities:
    """What the stage theorem measures for one environment and seed.

    Attributes:
        method: the TreeDPO policy, pi-hat_s in eq. 10.
        superior: the model that stands in for pi*.
        reference: the model that is pi_w^SFT.
        delta: delta_0.
        pairs: N_p; `pair_tasks` is the number of tasks they come from.
        kl: mean over trajectories of pi* of log pi*(e) - log pi_w(e), in nats, with its standard error.
        trajectories: of pi*, one per held-out task; `turns` is their mean number of agent turns.
        ranked: per model the share of the pairs with r(tau+) > r(tau-) (assumption 1.2 for pi*).
        successful, mean_score: of the weak trajectories (alpha of assumption 2), and their number, `explored`.
    """

    environment: str
    seed: int
    method: str
    superior: str
    reference: str
    delta: float
    pairs: int
    pair_tasks: int
    kl: float
    kl_error: float
    trajectories: int
    turns: float
    ranked: Mapping[str, float]
    successful: float
    mean_score: float
    explored: int

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what the stage has written.

        Raises:
            UserError: the file is of another version of the stage.
        """
        values = read_json(path)
        try:
            return cls(**values)
        except TypeError:
            raise UserError(f"{path}: not what the stage theorem writes; run it again") from None

    def as_json(self) -> dict[str, Any]:
        """The attributes as plain values."""
        return asdict(self)


def divergence(ratios: Sequence[float]) -> tuple[float, float]:
    """KL(pi* || pi_w) and its standard error from log pi*(e) - log pi_w(e), e drawn from pi*; at least two, in nats."""
    assert len(ratios) > 1, "a standard error needs two trajectories"
    return float(np.mean(ratios)), float(np.std(ratios, ddof=1)) / sqrt(len(ratios))


def third_term(pairs: float, *, kl: float, delta: float) -> float:
    """sqrt((KL + log(N_p / delta_0)) / N_p); an estimate of the KL below 0 counts as 0."""
    return sqrt((max(kl, 0.0) + log(pairs / delta)) / pairs)


def pairs_needed(margin: float, *, kl: float, delta: float) -> int:
    """The smallest N_p >= 3, from where on the term falls, at which the third term is at most `margin` > 0."""
    low, high = 2, 3
    while third_term(high, kl=kl, delta=delta) > margin:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if third_term(middle, kl=kl, delta=delta) <= margin else (middle, high)
    return high
