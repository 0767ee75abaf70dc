"""Theorem 1 as a diagnostic (paper, eq. 10): its third term with our figures, and how far its assumptions hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from w2sg.evaluation.measures.episodes import REPORTED, GroupedEpisodes
from w2sg.evaluation.measures.theorem import Quantities, pairs_needed, third_term

BASELINE = "sft_strong"


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
    """Mean G by environment, seed and model, on the reported split."""
    scores: dict[tuple[str, int, str], list[float]] = {}
    for environment in episodes.environments:
        for model, own in episodes.by_model(environment, REPORTED).items():
            for episode in own:
                scores.setdefault((environment, episode.seed, model), []).append(episode.trajectory.score)
    return {key: fmean(values) for key, values in scores.items()}
