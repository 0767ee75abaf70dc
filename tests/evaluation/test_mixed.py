"""The mixed model over tasks and seeds: by hand, by simulation."""

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from w2sg.evaluation.measures import mixed

HAND = [[2.0, 0.0], [4.0, 3.0], [1.0, -1.0]]


def test_three_tasks_and_two_seeds_by_hand() -> None:
    """Mean squares 6.5 of tasks, 25/6 of seeds, 1/6 of the rest: a variance of (6.5 + 25/6 - 1/6) / 6 = 1.75."""
    found = mixed.fit(HAND)
    assert found is not None
    assert (found.mean, found.error, found.tasks) == (1.5, pytest.approx(sqrt(1.75)), 3)
    assert found.df == pytest.approx(10.5**2 / (6.5**2 / 2 + (25 / 6) ** 2 / 1 + (1 / 6) ** 2 / 2))
    reach = stats.t.ppf(0.975, found.df) * sqrt(1.75)
    assert found.bounds(0.95) == pytest.approx((1.5 - reach, 1.5 + reach))
    assert found.p_value == pytest.approx(2 * stats.t.sf(1.5 / sqrt(1.75), found.df))


def test_seeds_alone_that_vary_are_a_t_test_over_their_means() -> None:
    found = mixed.fit([[0.1, 0.3, -0.2]] * 4)
    assert found is not None
    wanted = stats.ttest_1samp([0.1, 0.3, -0.2], 0.0)
    assert (found.df, found.p_value) == (2, pytest.approx(wanted.pvalue))


def test_tasks_alone_that_vary_are_a_t_test_over_them_whatever_the_seeds() -> None:
    values = [0.5, -0.2, 0.1, 0.0]
    wanted = stats.ttest_1samp(values, 0.0)
    for differences in (values, [[value] * 3 for value in values]):
        found = mixed.fit(differences)
        assert found is not None
        assert (found.df, found.p_value) == (3, pytest.approx(wanted.pvalue))


def test_a_negative_component_counts_as_none() -> None:
    """Tasks and seeds that average out exactly: all that varies is the rest, 4 * 0.25 / 1."""
    found = mixed.fit([[0.5, -0.5], [-0.5, 0.5]])
    assert found is not None
    assert (found.mean, found.error, found.df) == (0.0, pytest.approx(sqrt(1.0 / 4)), 1)


def test_a_single_task_has_no_model() -> None:
    assert mixed.fit([0.5]) is None
    assert mixed.fit([[0.5, 0.25]]) is None


@pytest.mark.parametrize(("task", "seed"), [(0.3, 0.0), (0.3, 0.05), (0.3, 0.15), (0.0, 0.15), (0.0, 0.0)])
def test_intervals_cover_the_truth_as_often_as_they_say(task: float, seed: float) -> None:
    """Five seeds, also where they are most of what varies, which is where the bootstrap is too short."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(1500):
        values = 0.1 + task * rng.normal(size=(60, 1)) + seed * rng.normal(size=5) + 0.3 * rng.normal(size=(60, 5))
        found = mixed.fit(values)
        assert found is not None
        low, high = found.bounds(0.95)
        covered += low <= 0.1 <= high
    assert 0.93 <= covered / 1500 <= 0.985


def test_an_amount_is_excluded_by_its_own_p_value() -> None:
    found = mixed.fit([0.1, -0.1, 0.2, 0.0])
    assert found is not None
    error = sqrt(found.error**2 + 1 / 36)  # of four tasks and two halves
    assert found.p_of(0.4) == pytest.approx(2 * stats.t.sf((0.4 - 0.05) / error, 3))


def test_tasks_that_do_not_differ_say_little_when_they_are_few() -> None:
    few, many = mixed.fit([0.0] * 4), mixed.fit([[0.0] * 5] * 120)
    assert few is not None and many is not None
    assert (few.p_value, many.p_value) == (1.0, 1.0)
    assert few.p_of(0.05) > 0.7
    assert many.p_of(0.05) < 1e-6
    assert many.p_of(0.01) > 0.05


def test_there_is_a_degree_of_freedom_at_least():
    """Two tasks and two seeds with effects of 1.05 each and an interaction of 1."""
    found = mixed.fit([[3.1, -1.0], [-1.0, -1.1]])
    assert found is not None and found.error > 0 and found.df == 1.0


def test_a_difference_without_any_error_is_certain():
    for values in ([0.5] * 4, [[0.5] * 3] * 4):
        found = mixed.fit(values)
        assert found is not None and found.p_value == 0.0
