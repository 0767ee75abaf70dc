"""Bootstrap intervals, the exact test, the smallest detectable effect."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures import mixed, statistics
from w2sg.evaluation.measures.mixed import MixedModel
from w2sg.evaluation.measures.statistics import Interval, PairedDifference, Resampling

values = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def detectable(differences: ArrayLike) -> float | None:
    return statistics.smallest_detectable(mixed.fit(differences), confidence=0.95)


def how(resamples: int, confidence: float = 0.95) -> Resampling:
    return Resampling(resamples, confidence, seed=0)


def test_interval_agrees_with_the_normal_one_on_many_tasks() -> None:
    outcomes = [1.0] * 240 + [0.0] * 160
    found = statistics.interval(outcomes, resampling=how(4000))
    reach = 1.96 * np.sqrt(0.6 * 0.4 / 400)
    assert found.mean == pytest.approx(0.6)
    assert found.low == pytest.approx(0.6 - reach, abs=0.005)
    assert found.high == pytest.approx(0.6 + reach, abs=0.005)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    draws = np.random.default_rng(1).binomial(1, 0.5, size=(300, 60)).astype(float)
    intervals = [statistics.interval(list(draw), resampling=how(400, 0.9)) for draw in draws]
    assert 0.84 <= np.mean([found.low <= 0.5 <= found.high for found in intervals]) <= 0.95


def test_models_are_resampled_together() -> None:
    """Equal seeds draw equal resamples: the mean of a sum is the sum of the means, resample by resample."""
    one, other = np.random.default_rng(6).normal(size=(2, 30, 3))
    means = [statistics._resampled_means(v, how(50)) for v in (one, other, one + other)]
    assert means[2] == pytest.approx(means[0] + means[1])
    assert len(set(means[0])) == 50
    different = statistics._resampled_means(one, Resampling(50, 0.95, seed=1))
    assert not np.allclose(means[0], different)


@given(values)
def test_interval_stays_within_the_values(sample: list[float]) -> None:
    found = statistics.interval(sample, resampling=how(50))
    assert min(sample) - 1e-12 <= found.low <= found.high <= max(sample) + 1e-12
    assert found == statistics.interval(sample, resampling=how(50))


@given(values, values)
def test_turning_a_comparison_round_mirrors_it(left: list[float], right: list[float]) -> None:
    model, baseline = ({str(n): v for n, v in enumerate(side)} for side in (left, right))
    there = statistics.paired_difference(model, baseline, resampling=how(50, 0.9))
    back = statistics.paired_difference(baseline, model, resampling=how(50, 0.9))
    assert there.tasks == min(len(left), len(right))
    assert there.difference.mean == pytest.approx(-back.difference.mean)
    assert there.difference.low == pytest.approx(-back.difference.high)
    assert (there.wins, there.losses, there.p_value) == (back.losses, back.wins, back.p_value)


def test_pairing_uses_common_tasks_alone_and_is_narrower_than_no_pairing() -> None:
    hard = {str(n): float(n % 2) for n in range(100)}
    better = {**hard, **dict.fromkeys(("0", "2", "4"), 1.0), "only here": 0.0}
    found = statistics.paired_difference(better, hard, resampling=how(2000))
    assert (found.tasks, found.wins, found.losses) == (100, 3, 0)
    assert found.difference.mean == pytest.approx(0.03)
    single = statistics.interval(list(hard.values()), resampling=how(2000))
    assert found.difference.high - found.difference.low < (single.high - single.low) / 2


def test_a_zero_has_no_sign() -> None:
    """Which sign an error in the last bits leaves differs between machines."""
    found = statistics.interval([-1e-17, 0.0, -1e-17], resampling=Resampling(100, 0.95, 0))
    assert str(found) == str(statistics.Interval(0.0, 0.0, 0.0))


def test_thirds_that_cancel_are_zero() -> None:
    model = {str(n): v for n, v in enumerate([1 / 3, 2 / 3, 0.1 + 0.2] * 30)}
    baseline = {str(n): v for n, v in enumerate([2 / 3, 1 / 3, 0.3] * 30)}
    found = statistics.paired_difference(model, baseline, resampling=how(2000))
    assert found.difference.mean == 0.0
    assert (found.wins, found.losses) == (30, 30)
    noise = statistics.interval([1 / 3, -1 / 3, 1 / 3 - 1 / 3 + 1e-17], resampling=how(200))
    assert noise.mean == 0.0


def test_models_without_a_common_task_are_refused() -> None:
    with pytest.raises(UserError, match="share no task"):
        statistics.paired_difference({"a": 1.0}, {"b": 1.0}, resampling=how(10, 0.9))


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
    expected = (1.9842170 + 0.8452670) * np.std(differences, ddof=1) / 10  # quantiles of t with 99 degrees of freedom
    assert detectable(differences) == pytest.approx(expected, rel=1e-6)
    assert detectable([0.0] * 9) is None
    assert detectable([0.5]) is None


def test_where_seeds_are_what_varies_their_number_is_what_counts() -> None:
    """Five seeds: t with 4 degrees of freedom in place of z, which is 2.776 + 0.941 against 1.960 + 0.842."""
    seeds = [0.1, -0.1, 0.2, 0.0, -0.2]
    expected = (2.776445 + 0.940965) * np.std(seeds, ddof=1) / np.sqrt(5)
    assert detectable([seeds] * 100) == pytest.approx(expected, rel=1e-5)


def test_an_effect_of_that_size_is_found_four_times_in_five() -> None:
    noise = np.random.default_rng(3).normal(size=(2000, 50))
    effect = detectable((noise[0] - noise[0].mean()).tolist())
    assert effect is not None
    shifted = noise * np.std(noise[0], ddof=1) + effect
    errors = shifted.std(axis=1, ddof=1) / np.sqrt(50)
    assert np.mean(shifted.mean(axis=1) - 1.96 * errors > 0) == pytest.approx(0.8, abs=0.03)


def test_of_seeds_and_tasks_the_variances_add_up() -> None:
    """Two-way effects with known variances: the bootstrap's standard error is that of the design, a bit above."""
    noise = np.random.default_rng(5)
    values = noise.normal(size=(300, 1)) + noise.normal(size=(1, 12))
    found = statistics.interval(values, resampling=how(4000))
    expected = np.sqrt(np.var(values.mean(axis=1)) / 300 + np.var(values.mean(axis=0)) / 12)
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(expected, rel=0.06)
    alone = statistics.interval(values.mean(axis=1), resampling=how(4000))
    assert alone.high - alone.low < found.high - found.low


def test_repeating_a_seed_adds_no_evidence() -> None:
    outcomes = np.random.default_rng(2).binomial(1, 0.5, size=60).astype(float)
    one = statistics.interval(outcomes, resampling=how(3000))
    five = statistics.interval(np.tile(outcomes[:, None], 5), resampling=how(3000))
    assert five.high - five.low == pytest.approx(one.high - one.low, abs=0.02)
    pair = ({str(n): [v] * 5 for n, v in enumerate(outcomes)}, {str(n): [0.0] * 5 for n in range(60)})
    found = statistics.paired_difference(*pair, resampling=how(100))
    assert found.wins == int(outcomes.sum())
    assert (found.test, found.seeds, found.seeds_won) == ("sign, seed means", 5, 5)


@pytest.mark.parametrize(("values", "test"), [([1.0, 0.0, 1.0], "McNemar"), ([0.5, 0.0, 1.0], "sign")])
def test_the_test_is_named_after_what_it_is(values: list[float], test: str) -> None:
    model = dict(zip("abc", values, strict=True))
    found = statistics.paired_difference(model, dict.fromkeys("abc", 0.0), resampling=how(10, 0.9))
    assert found.test == test


def test_seeds_must_be_the_same() -> None:
    with pytest.raises(UserError, match="numbers of seeds"):
        statistics.paired_difference({"a": [1.0, 0.0]}, {"a": [1.0]}, resampling=how(10, 0.9))


RATIO = how(2000)


def test_ratio_of_means_that_move_together_is_narrow() -> None:
    """A numerator that is half the denominator task by task has the ratio one half in every resample."""
    hard = np.random.default_rng(4).uniform(0.2, 1.0, size=80)
    ceiling = {str(n): v for n, v in enumerate(hard)}
    model = {str(n): v / 2 for n, v in enumerate(hard)}
    found = statistics.ratio(model, dict.fromkeys(ceiling, 0.0), ceiling, resampling=RATIO)
    assert found.value is not None
    assert (found.value.low, found.value.mean, found.value.high) == pytest.approx((0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("ceiling", "defined"), [(0.5, True), (0.03, True), (0.01, False), (0.0, False), (-0.5, False)]
)
def test_ratio_is_undefined_without_a_denominator_to_speak_of(ceiling: float, defined: bool) -> None:
    tasks = [str(n) for n in range(50)]
    found = statistics.ratio(
        dict.fromkeys(tasks, 0.2), dict.fromkeys(tasks, 0.0), dict.fromkeys(tasks, ceiling), resampling=RATIO
    )
    assert (found.value is not None) == defined
    assert found.denominator.mean == pytest.approx(ceiling)


def test_a_ratio_of_thirds_that_cancel_is_zero() -> None:
    model = {str(n): v for n, v in enumerate([1 / 3, 2 / 3, 0.1 + 0.2] * 30)}
    baseline = {str(n): v for n, v in enumerate([2 / 3, 1 / 3, 0.3] * 30)}
    found = statistics.ratio(model, baseline, resampling=RATIO)
    assert found.value is not None
    assert found.value.mean == 0.0 == round(found.value.mean, 15)
    assert found.value.low < 0 < found.value.high


def test_relative_gain_is_over_the_baseline() -> None:
    tasks = [str(n) for n in range(50)]
    found = statistics.ratio(dict.fromkeys(tasks, 0.532), dict.fromkeys(tasks, 0.51), resampling=RATIO)
    assert found.value is not None
    assert found.value.mean == pytest.approx(0.0431, abs=1e-4)


@pytest.mark.parametrize(
    ("low", "high", "mean", "error", "inside"),
    [
        (-0.02, 0.02, 0.0, 0.01, True),
        (-0.5, -0.4, -0.45, 0.01, False),
        (0.4, 0.5, 0.45, 0.01, False),
        (-0.02, 0.029, 0.02, 0.01, False),
        (-0.029, 0.02, -0.02, 0.01, False),
    ],
)
def test_level_needs_both_ends_of_the_interval_and_of_the_mixed_model(low, high, mean, error, inside):
    """In the last two the interval is within 3 points, and the mixed model reaches 4."""
    fitted = MixedModel(mean, error, 100.0, 1000)
    found = PairedDifference(1000, Interval(mean, low, high), 0, 0, 1.0, None, seeds=5, mixed=fitted)
    assert found.within(0.03, level=0.05) is inside


def test_a_seed_without_a_difference_is_not_won():
    ours, theirs = {"a": [1.0, 0.0, 1.0], "b": [1.0, 1.0, 1.0]}, {"a": [0.0, 0.0, 1.0], "b": [1.0, 1.0, 1.0]}
    found = statistics.paired_difference(ours, theirs, resampling=Resampling(200, 0.95, 0))
    assert (found.seeds, found.seeds_won) == (3, 1)


def test_mcnemar_wants_0_and_1_of_both():
    how = Resampling(200, 0.95, 0)
    assert statistics.paired_difference({"a": 1.0, "b": 0.0}, {"a": 0.5, "b": 0.0}, resampling=how).test == "sign"


def test_seeds_that_cancel_are_a_tie():
    """0.1 + 0.2 - 0.3 is not 0 in floating point."""
    how = Resampling(200, 0.95, 0)
    found = statistics.paired_difference({"a": [0.1, 0.2, 0.0]}, {"a": [0.0, 0.0, 0.3]}, resampling=how)
    assert (found.wins, found.losses) == (0, 0)
