"""Holm's correction."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sg.evaluation.measures.multiplicity import holm


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # 3 * 0.01, then 2 * 0.03, then not below it: 0.06
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.036, 0.2, 0.3, 0.4, 0.5, 0.6], [0.216, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_by_hand(p_values: list[float], adjusted: list[float]) -> None:
    assert holm(p_values) == pytest.approx(adjusted)


def test_picked_out_by_their_outcome_they_count_as_all_that_could_have_been() -> None:
    assert holm([0.02, 0.001], hypotheses=6) == pytest.approx([0.1, 0.006])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_adjusted_is_between_none_and_bonferroni_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p, q in zip(p_values, adjusted, strict=True):
        assert p <= q <= min(1.0, len(p_values) * p) + 1e-12
    assert sorted(adjusted) == [q for _, q in sorted(zip(p_values, adjusted, strict=True))]


def test_obvious_contrasts_in_the_family_cost_the_others_nothing() -> None:
    alone = holm([0.01, 0.02])
    assert holm([0.01, 1e-9, 0.02, 1e-8])[::2] == pytest.approx(alone)
