"""Bootstrap intervals, the exact test, the smallest detectable effect."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sg.errors import UserError
from w2sg.evaluation import statistics

values = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_interval_agrees_with_the_normal_one_on_many_tasks() -> None:
    outcomes = [1.0] * 240 + [0.0] * 160
    found = statistics.interval(outcomes, resamples=4000, confidence=0.95, rng=rng())
    reach = 1.96 * np.sqrt(0.6 * 0.4 / 400)
    assert found.mean == pytest.approx(0.6)
    assert found.low == pytest.approx(0.6 - reach, abs=0.005)
    assert found.high == pytest.approx(0.6 + reach, abs=0.005)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    draws = np.random.default_rng(1).binomial(1, 0.5, size=(300, 60)).astype(float)
    intervals = [statistics.interval(list(draw), resamples=400, confidence=0.9, rng=rng()) for draw in draws]
    assert 0.84 <= np.mean([found.low <= 0.5 <= found.high for found in intervals]) <= 0.95


def test_blocks_do_not_change_the_number_of_resamples() -> None:
    many = np.linspace(0, 1, 3_000_000)
    found = statistics.interval(many.tolist(), resamples=3, confidence=0.9, rng=rng())
    assert found.low < found.high
    assert found.mean == pytest.approx(0.5)


@given(values)
def test_interval_stays_within_the_values(sample: list[float]) -> None:
    found = statistics.interval(sample, resamples=50, confidence=0.95, rng=rng())
    assert min(sample) - 1e-12 <= found.low <= found.high <= max(sample) + 1e-12
    assert found == statistics.interval(sample, resamples=50, confidence=0.95, rng=rng())


@given(values, values)
def test_turning_a_comparison_round_mirrors_it(left: list[float], right: list[float]) -> None:
    model, baseline = ({str(n): v for n, v in enumerate(side)} for side in (left, right))
    settings = {"resamples": 50, "confidence": 0.9}
    there = statistics.paired_difference(model, baseline, rng=rng(), **settings)
    back = statistics.paired_difference(baseline, model, rng=rng(), **settings)
    assert there.tasks == min(len(left), len(right))
    assert there.difference.mean == pytest.approx(-back.difference.mean)
    assert there.difference.low == pytest.approx(-back.difference.high)
    assert (there.wins, there.losses, there.p_value) == (back.losses, back.wins, back.p_value)


def test_pairing_uses_common_tasks_alone_and_is_narrower_than_no_pairing() -> None:
    hard = {str(n): float(n % 2) for n in range(100)}
    better = {**hard, **dict.fromkeys(("0", "2", "4"), 1.0), "only here": 0.0}
    found = statistics.paired_difference(better, hard, resamples=2000, confidence=0.95, rng=rng())
    assert (found.tasks, found.wins, found.losses) == (100, 3, 0)
    assert found.difference.mean == pytest.approx(0.03)
    single = statistics.interval(list(hard.values()), resamples=2000, confidence=0.95, rng=rng())
    assert found.difference.high - found.difference.low < (single.high - single.low) / 2


def test_thirds_that_cancel_are_zero() -> None:
    model = {str(n): v for n, v in enumerate([1 / 3, 2 / 3, 0.1 + 0.2] * 30)}
    baseline = {str(n): v for n, v in enumerate([2 / 3, 1 / 3, 0.3] * 30)}
    found = statistics.paired_difference(model, baseline, resamples=2000, confidence=0.95, rng=rng())
    assert found.difference.mean == 0.0
    assert (found.wins, found.losses) == (30, 30)
    noise = statistics.interval([1 / 3, -1 / 3, 1 / 3 - 1 / 3 + 1e-17], resamples=200, confidence=0.95, rng=rng())
    assert noise.mean == 0.0


def test_models_without_a_common_task_are_refused() -> None:
    with pytest.raises(UserError, match="share no task"):
        statistics.paired_difference({"a": 1.0}, {"b": 1.0}, resamples=10, confidence=0.9, rng=rng())


@pytest.mark.parametrize(
    ("wins", "losses", "p_value"),
    [(0, 0, 1.0), (1, 0, 1.0), (3, 3, 1.0), (6, 0, 2 / 64), (8, 2, 112 / 1024), (2, 8, 112 / 1024), (5, 1, 14 / 64)],
)
def test_sign_test_is_exact(wins: int, losses: int, p_value: float) -> None:
    assert statistics.sign_test(wins, losses) == p_value


def test_sign_test_of_very_many_tasks_does_not_overflow() -> None:
    assert statistics.sign_test(2500, 2500) == 1.0
    assert 0.0 <= statistics.sign_test(3000, 2000) < 1e-40


def test_smallest_detectable_effect_by_hand() -> None:
    differences = [1.0, -1.0] * 50
    expected = (1.959964 + 0.841621) * np.std(differences, ddof=1) / 10
    assert statistics.smallest_detectable(differences, confidence=0.95) == pytest.approx(expected, rel=1e-6)
    assert statistics.smallest_detectable([0.0] * 9, confidence=0.95) is None
    assert statistics.smallest_detectable([0.5], confidence=0.95) is None


def test_an_effect_of_that_size_is_found_four_times_in_five() -> None:
    noise = np.random.default_rng(3).normal(size=(2000, 50))
    effect = statistics.smallest_detectable((noise[0] - noise[0].mean()).tolist(), confidence=0.95)
    assert effect is not None
    shifted = noise * np.std(noise[0], ddof=1) + effect
    errors = shifted.std(axis=1, ddof=1) / np.sqrt(50)
    assert np.mean(shifted.mean(axis=1) - 1.96 * errors > 0) == pytest.approx(0.8, abs=0.03)
