"""What cells of a regime map come to, by hand."""

from itertools import product

import pytest

from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures.comparisons import Resampling
from w2sg.evaluation.measures.regime_map import Cell, Effect, Played, RegimeMap, corrected
from w2sg.evaluation.measures.statistics import Interval

RESAMPLING = Resampling(200, 0.95, 0)
TASKS = ["a", "b", "c", "d"]


def played(cell: Cell, seed: int, model: str, passes: int, solved: int, **changed: object) -> Played:
    """Of four tasks the first ones solved."""
    scores = [float(number < solved) for number in range(4)]
    figures = {"steps": 9.0, "mean": 0.25, "solved": 0.5, "complement": 0.25, "paths": 3, "pairs": 2, "commit": "abc"}
    return Played(
        seed=seed,
        places=cell.places,
        demonstrations=cell.demonstrations,
        samples=cell.samples,
        model=model,
        passes=passes,
        tasks=TASKS,
        scores=scores,
        **(figures | changed),  # type: ignore[arg-type]
    )


def rows(seeds: tuple[int, ...] = (0, 1)) -> list[Played]:
    """SFT strong solves one of four, one more under seed 1; MCTS one more for each step up of an axis."""
    found = []
    for seed, places, demonstrations, samples in product(seeds, (4, 8), (20, 60), (2, 6)):
        cell = Cell(places, demonstrations, samples)
        found.append(played(cell, seed, "sft_strong", 0, 1))
        for passes in (1, 3):
            better = (samples == 6) + (passes == 3) - (places == 8) * seed
            found.append(played(cell, seed, "mcts", passes, 1 + better, complement=0.1 * samples / 2))
        found.append(played(cell, seed, "own", 3, 2))
    return found


def test_levels_gains_and_standings() -> None:
    found = RegimeMap(rows(), resampling=RESAMPLING)
    assert found.seeds == [0, 1] and found.tasks == 4 and len(found.cells) == 8
    assert [found.levels(axis) for axis in ("places", "demonstrations", "samples", "passes")] == [
        [4, 8], [20, 60], [2, 6], [1, 3],
    ]  # fmt: skip
    least = Cell(4, 20, 2)
    assert found.gain(least, 1, model="mcts").mean == 0.0
    assert found.gain(Cell(4, 20, 6), 3, model="mcts").mean == 0.5
    assert found.score(least, "sft_strong").mean == 0.25
    assert found.standing(least, "complement") == 0.25  # that of the first row of the cell
    assert found.there(least, "own", 3) and not found.there(least, "own", 1)


def test_an_effect_is_the_difference_of_gains_with_all_else_alike() -> None:
    found = RegimeMap(rows(), resampling=RESAMPLING)
    assert found.effect("", "samples", 2, 6, model="mcts").difference.mean == pytest.approx(0.25)
    assert found.effect("", "passes", 1, 3, model="mcts").difference.mean == pytest.approx(0.25)
    none = found.effect("", "demonstrations", 20, 60, model="mcts")
    assert (none.difference, none.p_value) == (Interval(0.0, 0.0, 0.0), 1.0)


def test_other_games_are_paired_by_seed_alone() -> None:
    """0 points fewer under seed 0, 25 under seed 1: mean -12.5, standard error 12.5, one degree of freedom."""
    found = RegimeMap(rows(), resampling=RESAMPLING)
    effect = found.effect("", "places", 4, 8, model="mcts")
    assert effect.difference.mean == pytest.approx(-0.125)
    assert effect.difference.low == pytest.approx(-0.125 - 0.125 * 12.7062047, rel=1e-6)  # t of .975, 1 df
    assert effect.p_value == pytest.approx(0.5)
    one = RegimeMap(rows(seeds=(1,)), resampling=RESAMPLING).effect("", "places", 4, 8, model="mcts")
    assert one.difference.mean == pytest.approx(-0.25) and one.p_value is None


def test_a_change_of_the_control_is_taken_off() -> None:
    """MCTS falls by 0 and 25 points with the places and its control by none, so the gain over it falls as much."""
    found = RegimeMap(rows(), resampling=RESAMPLING)
    effect = found.effect("", "places", 4, 8, model="mcts", over="own")
    assert effect.difference.mean == pytest.approx(-0.125)
    assert found.effect("", "samples", 2, 6, model="mcts", over="own").difference.mean == pytest.approx(0.25)


def test_the_slope_is_that_of_least_squares_within_a_seed() -> None:
    """A complement of .1 more for two samples and .3 for six go with 25 points more."""
    found = RegimeMap(rows(), resampling=RESAMPLING)
    slope = found.slope("", lambda cell, seed: cell.samples / 20, model="mcts", passes=3)
    assert slope.difference.mean == pytest.approx(0.1 * 0.25 / 0.2)
    assert slope.p_value == pytest.approx(0.0, abs=1e-6)
    flat = found.slope("", lambda cell, seed: 0.5, model="mcts", passes=3)
    assert flat.p_value is None


def test_differences_are_over_what_both_have() -> None:
    """MCTS at 3 passes solves 2 or 3 of 4, under seed 1 one fewer where there are 8 places; its own best 2."""
    found = RegimeMap(rows(), resampling=RESAMPLING)
    ours = found.difference("", model="mcts", over="own")
    assert ours.difference.mean == pytest.approx((0.5 * (2 + 3) - 0.25 - 2) / 4)
    strong = found.difference("", model="own", over="sft_strong", passes=3, over_passes=0)
    assert strong.difference.mean == pytest.approx(0.25)


def test_only_cells_that_all_seeds_have_played_count() -> None:
    some = [row for row in rows() if row.seed == 0 or row.cell == Cell(4, 20, 2)]
    assert RegimeMap(some, resampling=RESAMPLING).cells == [Cell(4, 20, 2)]
    apart = [row for row in rows() if (row.seed == 0) == (row.places == 4)]
    with pytest.raises(ValueError, match="seeds 0, 1 have no cell in common"):
        RegimeMap(apart, resampling=RESAMPLING)


def test_holm_counts_what_was_tested() -> None:
    point = Interval(0.0, 0.0, 0.0)
    found = corrected([Effect("", point, 0.01), Effect("", point, None), Effect("", point, 0.04)])
    assert [each.adjusted for each in found] == [0.02, None, 0.04]


def test_a_row_whose_tasks_and_scores_differ_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "rows.parquet"
    good = played(Cell(4, 20, 2), 0, "mcts", 1, 2)
    Played.write(path, [good])
    assert Played.read(path) == [good]
    Played.write(path, [played(Cell(4, 20, 2), 0, "mcts", 1, 2, mean=1.5)])
    with pytest.raises(UserError, match=r"row 0: mean is 1\.5"):
        Played.read(path)
