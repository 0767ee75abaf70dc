import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from w2sg.training.batches import GroupedSampler, grouped_order


@given(st.lists(st.integers(1, 900), max_size=70), st.integers(1, 20), st.integers(0, 99))
def test_every_row_comes_once(lengths: list[int], batch: int, seed: int) -> None:
    order = grouped_order(lengths, batch=batch, rng=np.random.default_rng(seed))
    assert sorted(order) == list(range(len(lengths)))


def test_little_of_a_batch_is_padding() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(150, 900, size=96).tolist()
    order = grouped_order(lengths, batch=16, rng=rng)
    padded = sum(16 * max(lengths[row] for row in order[start : start + 16]) for start in range(0, 96, 16))
    assert padded < 1.3 * sum(lengths)


def test_batches_are_not_in_the_order_of_their_lengths() -> None:
    lengths = list(range(100, 900, 10))
    order = grouped_order(lengths, batch=8, rng=np.random.default_rng(0))
    means = [np.mean([lengths[row] for row in order[start : start + 8]]) for start in range(0, 80, 8)]
    assert means != sorted(means) and means != sorted(means, reverse=True)


def test_epochs_differ_and_seeds_repeat() -> None:
    lengths = list(range(100, 140))
    one, two = (GroupedSampler(lengths, batch=8, seed=3) for _ in range(2))
    epochs = [list(one) for _ in range(3)]
    assert epochs == [list(two) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != list(GroupedSampler(lengths, batch=8, seed=4))
    assert len(one) == 40


def test_who_shares_a_batch_changes_from_epoch_to_epoch() -> None:
    """Lengths are blurred; sorted as they are, whole batches would be the same rows each time."""
    rng = np.random.default_rng(0)
    lengths = range(100, 164)

    def batches() -> set[frozenset[int]]:
        order = grouped_order(lengths, batch=8, rng=rng)
        return {frozenset(order[first : first + 8]) for first in range(0, 64, 8)}

    assert batches() != batches()
