"""What steps are worth and what was luck, by hand and against games whose values are known."""

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sg.evaluation.measures.credit import Credit, PathCredit, States, StepOutcomes, credits
from w2sg.evaluation.measures.statistics import Resampling

RESAMPLING = Resampling(resamples=400, confidence=0.95, seed=0)


def step(
    before: str, after: str, *, number: int = 0, task: str = "t0", states: States = "recorded", seed: int = 0
) -> StepOutcomes:
    """A continuation a digit: 1 won, 0 lost."""
    of = (tuple(map(float, side)) for side in (before, after))
    return StepOutcomes("alfworld", seed, task, "best_of_m", states, number, *of)


def path(*sides: str, outcome: float = 1.0, task: str = "t0", states: States = "recorded", seed: int = 0) -> PathCredit:
    """What came before and after each step, as "0101 1111"."""
    steps = [
        step(*side.split(), number=number, task=task, states=states, seed=seed) for number, side in enumerate(sides)
    ]
    return PathCredit(outcome, tuple(steps))


def values(paths: list[PathCredit], states: States = "recorded") -> dict[str, Credit]:
    return {each.measure: each for each in credits(paths, resampling=RESAMPLING) if each.states == states}


@pytest.mark.parametrize(
    ("before", "after", "worth", "right", "strictly"),
    [
        ("0011", "1111", 0.5, True, True),
        ("0011", "1010", 0.0, True, True),
        ("0011", "1000", -0.25, True, False),
        ("0111", "0100", -0.5, False, False),
        ("1111", "0000", -1.0, False, False),
        ("0000", "0000", 0.0, True, True),
        ("111", "110", -1 / 3, False, False),
    ],
)
def test_a_step_is_right_unless_more_than_a_quarter_is_lost(
    before: str, after: str, worth: float, right: bool, strictly: bool
) -> None:
    found = step(before, after)
    assert found.worth == pytest.approx(worth)
    assert (found.right(), found.right(tolerance=0.0)) == (right, strictly)


def test_what_noise_would_do_is_counted_by_exchanges() -> None:
    """Of the four differences all exchanges of sides: of 16 ways 5 lose more than one of four."""
    found = step("1111", "0000")
    assert (found.by_chance(), found.by_chance(tolerance=0.25), found.by_chance(tolerance=0.0)) == (11 / 16,) * 3
    assert found.p_worse == 1 / 16
    assert step("0101", "0101").by_chance() == 1.0
    assert step("0000", "1111").p_worse == 1.0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=6))
def test_exchanges_are_exact_for_scores_of_every_kind(pairs: list[tuple[int, int]]) -> None:
    before, after = ([pair[side] / 4 for pair in pairs] for side in (0, 1))
    found = StepOutcomes("webshop", 0, "t", "mcts", "recorded", 0, tuple(before), tuple(after))
    count = worse = 0
    for ways in range(2 ** len(pairs)):
        signs = [1 - 2 * (ways >> place & 1) for place in range(len(pairs))]
        mean = sum(sign * (b - a) for sign, a, b in zip(signs, before, after, strict=True)) / len(pairs)
        count += mean >= -0.25 - 1e-9
        worse += mean <= found.worth + 1e-9
    assert found.by_chance() == pytest.approx(count / 2 ** len(pairs))
    assert found.p_worse == pytest.approx(worse / 2 ** len(pairs))


def test_steps_that_change_nothing_are_found_right_as_often_as_is_said() -> None:
    """The yardstick beside the share: what a path without any wrong step would be measured as."""
    rng = random.Random(0)
    drawn = [step(*("".join(rng.choice("01") for _ in range(4)) for _ in range(2))) for _ in range(4000)]
    right = np.mean([each.right() for each in drawn])
    assert right == pytest.approx(np.mean([each.by_chance() for each in drawn]), abs=0.02)
    assert right == pytest.approx(1 - 37 / 256, abs=0.02), "two binomials of 4 differ by two or more: 37 of 256 ways"


def test_shares_are_means_over_steps_then_paths_then_tasks() -> None:
    """Half of two steps; all of one step; of the other seed's path of that task none."""
    first = path("1111 0000", "0000 1111")
    second = path("0000 1111", task="t1")
    third = path("1111 0000", task="t1", outcome=0.0, seed=1)
    found = values([first, second, third])
    assert found["right"].value.mean == pytest.approx((0.5 + (1.0 + 0.0) / 2) / 2)
    assert (found["right"].tasks, found["right"].paths, found["right"].steps) == (2, 3, 4)
    assert found["outcome"].value.mean == pytest.approx((1.0 + 0.5) / 2)
    assert found["start"].value.mean == pytest.approx((1.0 + 0.5) / 2)
    above = found["right"].value.mean - found["by chance"].value.mean
    assert found["above chance"].value.mean == pytest.approx(above)
    assert found["strictly right"].value.mean == found["right"].value.mean
    assert "luck" not in found and "kind state" not in found


def test_gain_splits_into_skill_and_luck_without_rest() -> None:
    """From .25 to 1: the first step is worth .25 and its answer another .5 of luck; the second .25, its answer -.25."""
    found = path("0001 0011", "1111 1111", states="redrawn")
    assert (found.start, found.skill, found.luck) == (0.25, 0.25, 0.5)
    measured = values([found], states="redrawn")
    assert [measured[name].value.mean for name in ("outcome", "start", "skill", "luck")] == [1.0, 0.25, 0.25, 0.5]


def test_in_the_recorded_state_there_is_no_luck() -> None:
    """What follows a step is what comes before the next."""
    assert path("0001 0011", "0011 0111", "0111 1111").luck == 0.0


def test_a_kind_state_is_one_where_the_policy_does_better_than_in_those_that_look_alike() -> None:
    here = path("0011 0111", "0111 1111")
    elsewhere = path("0001 0011", "0011 1111", states="redrawn")
    found = values([here, elsewhere], states="redrawn")
    assert found["kind state"].value.mean == pytest.approx(((0.5 - 0.25) + (0.75 - 0.5)) / 2)
    assert "kind state" not in values([elsewhere], states="redrawn")
    with pytest.raises(ValueError):
        here.kindness(path("0001 0011", states="redrawn"))


def test_luck_in_a_game_of_boxes() -> None:
    """A prize is in one of five boxes, an agent may open two. The path opens the right one first.

    Before it opens any the agent wins 2/5; opening this one rather than another changes nothing, so all that the path
    has gained is luck.
    """
    rng = random.Random(1)

    def plays_on(prize: int, opened: list[int]) -> float:
        left = [box for box in range(5) if box not in opened]
        return float(prize in opened or prize in rng.sample(left, 2 - len(opened)))

    prizes = [rng.randrange(5) for _ in range(4000)]
    before = tuple(plays_on(prize, []) for prize in prizes)
    after = tuple(plays_on(prize, [3]) for prize in prizes)
    found = PathCredit(1.0, (StepOutcomes("alfworld", 0, "t", "mcts", "redrawn", 0, before, after),))
    assert found.start == pytest.approx(0.4, abs=0.03)
    assert found.skill == pytest.approx(0.0, abs=0.04)
    assert found.luck == pytest.approx(0.6, abs=0.04)


def test_states_are_paired_within_a_seed_and_a_kind() -> None:
    def of_kind(given: PathCredit, name: str) -> PathCredit:
        return replace(given, steps=tuple(replace(step, kind=name) for step in given.steps))

    here = [path("0011 0111"), path("1111 1111", seed=1), of_kind(path("1111 1111"), "mcts")]
    there = [path("0001 0011", states="redrawn"), path("0011 0011", states="redrawn", seed=1)]
    there.append(of_kind(path("0000 0000", states="redrawn"), "mcts"))
    found = credits([*here, *there], resampling=Resampling(200, 0.95, 0))
    kinds = {each.kind: each.value.mean for each in found if each.measure == "kind state"}
    assert kinds == {"best_of_m": pytest.approx((0.25 + 0.5) / 2), "mcts": 1.0}
    right = [(each.kind, each.paths) for each in found if (each.measure, each.states) == ("right", "recorded")]
    assert right == [("best_of_m", 2), ("mcts", 1)]
