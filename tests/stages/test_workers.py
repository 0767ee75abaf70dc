"""Results come in the order of the items, whatever the number of processes."""

import os
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sg.contracts.errors import UserError
from w2sg.stages.workers import spread


def doubled(items: Sequence[int]) -> list[int]:
    return [2 * item for item in items]


def process(items: Sequence[int]) -> list[int]:
    return [os.getpid()] * len(items)


def refused(items: Sequence[int]) -> list[int]:
    raise UserError(f"item {items[0]}: no")


@given(items=st.lists(st.integers(), max_size=60), size=st.integers(1, 70))
def test_in_this_process(items, size):
    assert spread(doubled, items, processes=1, size=size) == doubled(items)


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_in_two_processes(count):
    assert spread(doubled, range(count), processes=2, size=3) == doubled(range(count))


def test_where_it_runs():
    assert set(spread(process, range(9), processes=1, size=2)) == {os.getpid()}
    assert os.getpid() not in spread(process, range(9), processes=2, size=2)


@pytest.mark.parametrize("processes", [1, 2])
def test_errors_reach_the_caller(processes):
    with pytest.raises(UserError, match=r"^item 0: no$"):
        spread(refused, range(9), processes=processes, size=2)
