"""What each of the two SFT models solves and the other does not, by hand."""

from dataclasses import replace

import pytest

from w2sg.contracts.trajectories import Trajectory
from w2sg.evaluation.measures.complement import Attempts, attempts, complements
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.statistics import Resampling

from .builders import episode, trajectory

RESAMPLING = Resampling(resamples=400, confidence=0.95, seed=0)


def sample(number: int, score: float, temperature: float) -> Trajectory:
    return replace(trajectory(["look"], score=score, task="t1", sample=number), temperature=temperature)


def test_once_is_the_coolest_sample_and_ever_any_of_the_first_m() -> None:
    samples = [sample(0, 1.0, 0.9), sample(1, 0.0, 0.5), sample(2, 1.0, 0.5), sample(3, 0.9, 1.0), sample(4, 1.0, 0.1)]
    place = {"environment": "alfworld", "seed": 3, "role": "weak"}
    assert attempts(samples, samples=4, **place) == [Attempts("alfworld", 3, "weak", "t1", 4, 0.5, False, True)]
    assert attempts(samples, samples=5, **place) == [Attempts("alfworld", 3, "weak", "t1", 5, 0.1, True, True)]
    partly = attempts([sample(1, 0.9, 0.5)], samples=4, **place)
    assert not partly[0].ever, "a graded reward below 1 is no success"


def explored(role: str, once: str, ever: str, *, seed: int = 0) -> list[Attempts]:
    """A task a digit: 1 solved, 0 not."""
    return [
        Attempts("alfworld", seed, role, f"t{n}", 6, 0.5, one == "1", any_ == "1")
        for n, (one, any_) in enumerate(zip(once, ever, strict=True))
    ]


def test_shares_by_hand() -> None:
    """Ten explored tasks, four unseen ones."""
    weak = explored("weak", once="1100000000", ever="1111110000")
    strong = explored("strong", once="1111000000", ever="1111111110")
    episodes = [episode("sft_weak", task=f"t{n}", score=float(n == 0)) for n in range(4)]
    episodes += [episode("sft_strong", task=f"t{n}", score=float(n > 1)) for n in range(4)]
    greedy = [replace(e, trajectory=replace(e.trajectory, temperature=0.0)) for e in episodes]
    found = complements(GroupedEpisodes(greedy), [*weak, *strong], resampling=RESAMPLING)
    shares = [{outcome: share.mean for outcome, share in each.shares.items()} for each in found]
    assert [(each.split, each.weak, each.strong, each.tasks) for each in found] == [
        ("explored", "best of 6", "once, at 0.5", 10),
        ("explored", "once, at 0.5", "best of 6", 10),
        ("unseen", "greedy", "greedy", 4),
    ]
    assert shares == [
        {"both": 0.4, "only weak": 0.2, "only strong": 0.0, "neither": 0.4},
        {"both": 0.2, "only weak": 0.0, "only strong": 0.7, "neither": 0.1},
        {"both": 0.0, "only weak": 0.25, "only strong": 0.5, "neither": 0.25},
    ]


def test_of_none_the_interval_is_the_exact_bound() -> None:
    """Of ten tasks none: 1 - 0.025^(1/10) = 0.308."""
    weak, strong = explored("weak", "1" * 10, "1" * 10), explored("strong", "1" * 10, "1" * 10)
    (first, _) = complements(GroupedEpisodes([episode("base_weak")]), [*weak, *strong], resampling=RESAMPLING)
    none, both = first.shares["only weak"], first.shares["both"]
    assert (none.mean, none.low, none.high) == (0.0, 0.0, pytest.approx(0.3085, abs=1e-4))
    assert (both.mean, both.low, both.high) == (1.0, pytest.approx(0.6915, abs=1e-4), 1.0)


def test_seeds_are_paired_and_a_task_counts_under_all_of_them() -> None:
    weak = explored("weak", "00", "11", seed=0) + explored("weak", "00", "10", seed=1)
    strong = explored("strong", "01", "11", seed=0) + explored("strong", "000", "111", seed=1)
    (first, _) = complements(GroupedEpisodes([episode("base_weak")]), [*weak, *strong], resampling=RESAMPLING)
    assert (first.tasks, first.seeds) == (2, 2), "the third task was explored by one model alone"
    assert {outcome: share.mean for outcome, share in first.shares.items()} == {
        "both": 0.25,  # task 1 under seed 0
        "only weak": 0.5,  # task 0 under both
        "only strong": 0.0,
        "neither": 0.25,
    }


def test_without_the_strong_models_exploration_only_held_out_tasks_are_left() -> None:
    episodes = [episode(model) for model in ("sft_weak", "sft_strong")]
    found = complements(GroupedEpisodes(episodes), explored("weak", "1", "1"), resampling=RESAMPLING)
    assert [each.split for each in found] == ["unseen"]


def test_a_task_that_the_weak_model_explored_under_one_of_two_seeds_does_not_count() -> None:
    weak = explored("weak", "00", "11") + explored("weak", "000", "101", seed=1)
    strong = explored("strong", "01", "11") + explored("strong", "000", "111", seed=1)
    first, _ = complements(GroupedEpisodes([episode("base_weak")]), [*weak, *strong], resampling=RESAMPLING)
    assert (first.tasks, first.seeds) == (2, 2)
