"""Theorem 1 as a diagnostic (paper, eq. 10): its third term with our figures, and how far its assumptions hold.

What the figures can and cannot say is in docs/theorem.md. Nothing here needs a model: the stage theorem has measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log, sqrt
from pathlib import Path
from statistics import fmean
from typing import Any, Self

import numpy as np

from w2sg.contracts.errors import UserError
from w2sg.contracts.files import read_json
from w2sg.evaluation.measures.episodes import GroupedEpisodes

BASELINE = "sft_strong"


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


@dataclass(frozen=True, slots=True)
class Reading:
    """Eq. 10 with the quantities of one environment and seed.

    Attributes:
        term: the third term without C, in units of reward.
        margin: R(pi*) - R(pi_s^SFT) on held-out tasks (assumption 1.1: above 0); None where one was not evaluated.
        gain: R(pi-hat_s) - R(pi_s^SFT); None where one was not evaluated.
        largest_constant: the C up to which eq. 10 leaves a gain, margin / term; None without a positive margin.
        pairs_needed: the N_p from which it leaves one with C = 1; None without a positive margin.
    """

    quantities: Quantities
    term: float
    margin: float | None
    gain: float | None
    largest_constant: float | None
    pairs_needed: int | None


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


def readings(quantities: Sequence[Quantities], episodes: GroupedEpisodes) -> list[Reading]:
    """Eq. 10 for every environment and seed, rewards being those on the last held-out split that was evaluated."""
    rewards = held_out_rewards(episodes)
    found = []
    for each in quantities:
        here = {model: rewards.get((each.environment, each.seed, model)) for model in (each.superior, each.method)}
        base = rewards.get((each.environment, each.seed, BASELINE))
        margin, gain = (
            value - base if value is not None and base is not None else None
            for value in (here[each.superior], here[each.method])
        )
        term = third_term(each.pairs, kl=each.kl, delta=each.delta)
        promising = margin is not None and margin > 0
        found.append(
            Reading(
                quantities=each,
                term=term,
                margin=margin,
                gain=gain,
                largest_constant=margin / term if margin is not None and promising else None,
                pairs_needed=pairs_needed(margin, kl=each.kl, delta=each.delta)
                if margin is not None and promising
                else None,
            )
        )
    return found


def held_out_rewards(episodes: GroupedEpisodes) -> dict[tuple[str, int, str], float]:
    """Mean G by environment, seed and model, on the last split of each environment."""
    scores: dict[tuple[str, int, str], list[float]] = {}
    for environment in episodes.environments:
        for model, own in episodes.by_model(environment, episodes.last_split(environment)).items():
            for episode in own:
                scores.setdefault((environment, episode.seed, model), []).append(episode.trajectory.score)
    return {key: fmean(values) for key, values in scores.items()}
