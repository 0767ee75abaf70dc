"""What cells of a regime map come to, by hand."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures import mixed, statistics
from w2sg.evaluation.measures.regime_map import Effect, RegimeMap, corrected
from w2sg.evaluation.measures.regime_played import Cell, Played
from w2sg.evaluation.measures.statistics import Interval, Resampling

RESAMPLING = Resampling(200, 0.95, 0)
TASKS = ["a", "b", "c", "d"]


def played(cell: Cell, seed: int, model: str, passes: int, solved: int, updates: int = 8, **changed: object) -> Played:
    """Of four tasks the first ones solved."""
    figures = {"steps": 9.0, "mean": 0.25, "solved": 0.5, "complement": 0.25, "paths": 3, "pairs": 2, "tasks": TASKS}
    return Played(
        seed=seed,
        places=cell.places,
        demonstrations=cell.demonstrations,
        samples=cell.samples,
        model=model,
        passes=passes,
        updates=updates,
        scores=[float(number < solved) for number in range(4)],
        **(figures | {"settings": "same", "bases": "these", "code": "this", "commit": "abc"} | changed),  # type: ignore[arg-type]
    )


def rows(seeds: Iterable[int] = (0, 1)) -> list[Played]:
    """SFT strong solves one of four, MCTS one more a step of samples and dose, one less in 8 places and seed 1.

    Of the demonstrations again there are doses of 4 and 16 updates, which solve 1 and 2.
    """
    found = []
    for seed, places, demonstrations, samples in product(seeds, (4, 8), (20, 60), (2, 6)):
        cell = Cell(places, demonstrations, samples)
        found.append(played(cell, seed, "sft_strong", 0, 1, complement=0.05 * samples + 0.1 * (places == 8)))
        for passes in (1, 3):
            better = (samples == 6) + (passes == 3) - (places == 8) * seed
            found.append(played(cell, seed, "mcts", passes, 1 + better, updates=4 * passes))
        found.append(played(Cell(places, 0, samples), seed, "own", 3, 2))
        found += [played(Cell(places, 0, 0), seed, "again", *each) for each in ((1, 1, 4), (4, 2, 16))]
    return list({(row.seed, row.cell, row.model, row.passes): row for row in found}.values())


def of(passes: int, **levels: int) -> list[tuple[Cell, int]]:
    """All cells of these levels."""
    every = [Cell(*each) for each in product((4, 8), (20, 60), (2, 6))]
    return [(cell, passes) for cell in every if all(getattr(cell, axis) == level for axis, level in levels.items())]


def test_levels_gains_and_standings() -> None:
    found = RegimeMap(rows(), resampling=RESAMPLING)
    assert (found.seeds, found.tasks, len(found.cells), found.left_out) == ([0, 1], 4, 8, [])
    assert [found.levels(axis) for axis in ("places", "demonstrations", "samples")] == [[4, 8], [20, 60], [2, 6]]
    assert (found.passes, found.middle) == ([1, 3], 3)
    least = Cell(4, 20, 2)
    assert found.gain(least, 1, model="mcts").mean == 0.0
    assert found.gain(Cell(4, 20, 6), 3, model="mcts").mean == 0.5
    assert found.score(least, "sft_strong").mean == 0.25
    assert found.standing(least, "complement") == pytest.approx(0.1)


def test_a_control_stands_for_all_cells_that_are_alike_for_it() -> None:
    found = RegimeMap(rows(), resampling=RESAMPLING)
    for cell in (Cell(4, 20, 2), Cell(4, 60, 6)):
        assert found.doses(cell, "own") == [3] and found.doses(cell, "again") == [1, 4]
        assert found.gain(cell, 4, model="again").mean == 0.25
    assert found.doses(Cell(4, 20, 2), "expert") == []


def test_the_dose_with_as_many_updates_is_compared() -> None:
    """MCTS has 4 and 9 updates: 4 is 4, and 9 is nearer to 16 than to 4 by ratio (1.78 and 2.25), not by difference."""
    own = [replace(row, updates=9) if (row.model, row.passes) == ("mcts", 3) else row for row in rows()]
    found = RegimeMap(own, resampling=RESAMPLING)
    assert [found.matched(Cell(4, 20, 2), passes, "again") for passes in found.passes] == [1, 4]
    assert found.matched(Cell(4, 20, 2), 1, "expert") is None


def test_an_effect_is_the_difference_of_gains_with_all_else_alike() -> None:
    found = RegimeMap(rows(), resampling=RESAMPLING)
    assert found.effect("", of(1, samples=2), of(1, samples=6)).mean == pytest.approx(0.25)
    assert found.effect("", of(1), of(3)).mean == pytest.approx(0.25)
    # Of the quarter that a higher dose brings, the demonstrations again bring one, too.
    assert found.effect("", of(1), of(3), control="again").mean == pytest.approx(0.0)
    none = found.effect("", of(1, demonstrations=20), of(1, demonstrations=60))
    assert (none.interval, none.p_value) == (Interval(0.0, 0.0, 0.0), 1.0)


def test_games_of_other_places_are_paired_by_task() -> None:
    """0 points fewer under seed 0; 25 under seed 1: with two samples the second task is lost, with six the third one.

    The other two tasks stay as they are, so that two are worse and none is better: p is 2 / 2^2.
    """
    found = RegimeMap(rows(), resampling=RESAMPLING)
    effect = found.effect("", of(3, places=4), of(3, places=8))
    assert effect.mean == pytest.approx(-0.125)
    assert effect.p_value == pytest.approx(0.5)
    one = RegimeMap(rows(seeds=(1,)), resampling=RESAMPLING).effect("", of(3, places=4), of(3, places=8))
    assert one.mean == pytest.approx(-0.25) and one.p_value == pytest.approx(0.5)
    # In pairs, no draw of tasks comes out better.
    assert one.interval is not None and one.interval.high == pytest.approx(0.0)


def test_the_slope_is_that_of_least_squares_among_cells_of_the_same_places() -> None:
    """A complement of .1 for two samples and .3 for six goes with 25 points more; 8 places have .1 more of it."""
    found = RegimeMap(rows(), resampling=RESAMPLING)
    slope = found.slope("", "complement", 3)
    assert slope and slope.mean == pytest.approx(0.1 * 0.25 / 0.2) and slope.interval is not None
    assert found.slope("", "mean", 3) is None
    one = RegimeMap(rows(seeds=(0,)), resampling=RESAMPLING).slope("", "complement", 3)
    assert one and one.mean == pytest.approx(0.125) and one.interval is None


def test_differences_are_over_the_places_that_are_named() -> None:
    """MCTS at 3 passes solves 2 or 3 of 4, under seed 1 one fewer where there are 8 places; its own best 2."""
    found = RegimeMap(rows(), resampling=RESAMPLING)
    places = [(place, place) for place in of(3)]
    assert found.difference("", places, model="mcts", over="own").mean == pytest.approx((2.5 - 0.25 - 2) / 4)
    assert found.difference("", places[:1], model="mcts", over="own").mean == pytest.approx(0.0)


def test_only_cells_that_all_seeds_have_played_count() -> None:
    some = [row for row in rows() if row.seed == 0 or row.cell in (Cell(4, 20, 2), Cell(4, 0, 0))]
    found = RegimeMap(some, resampling=RESAMPLING)
    assert found.cells == [Cell(4, 20, 2)] and len(found.left_out) == 7
    apart = [row for row in rows() if (row.seed == 0) == (row.places == 4)]
    with pytest.raises(UserError, match="seeds 0, 1: no cell is common to them; play the same levels"):
        RegimeMap(apart, resampling=RESAMPLING)


@pytest.mark.parametrize(("what", "other"), [("settings", "others"), ("tasks", ["a", "b", "c", "e"])])
def test_seeds_that_cannot_be_compared_are_refused(what: str, other: object) -> None:
    mixed = [*rows(seeds=(0,)), played(Cell(4, 20, 2), 1, "sft_strong", 0, 1, **{what: other})]  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"seed 1: played with other {what} than seed 0; play it again"):
        RegimeMap(mixed, resampling=RESAMPLING)


def test_holm_counts_what_was_tested() -> None:
    found = corrected([Effect("", 0.0, None, 0.01), Effect("", 0.0, None, None), Effect("", 0.0, None, 0.04)])
    assert [each.adjusted for each in found] == [0.02, None, 0.04]


def test_a_row_that_cannot_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    good = played(Cell(4, 20, 2), 0, "mcts", 1, 2)
    Played.write(path, [good])
    assert Played.read(path) == [good]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"mean": 1.5}, r"mean is 1\.5"),
        ({"tasks": ["a"]}, "has 1 tasks and 4 scores"),
        ({"tasks": ["a", "b", "c", "a"]}, "has a task twice"),
        ({"scores": [0.0, 1.0, 7.0, 0.0]}, r"a score is 7\.0, allowed is 0 to 1"),
        ({"scores": [0.0, nan, 1.0, 0.0]}, "a score is nan, allowed is 0 to 1"),
        ({"steps": inf}, "steps is inf, allowed is a number from 0"),
        ({"paths": -5}, "paths is -5, allowed is 0 and more"),
        ({"seed": -1}, "seed is -1, allowed is 0 and more"),
        ({"updates": 0}, "updates is 0, and passes 1: what was trained has updates"),
    ]
    for changed, line in wrong:
        Played.write(path, [replace(good, **changed)])
        with pytest.raises(UserError, match=f"row 0: {line}"):
            Played.read(path)


def test_what_is_there_twice_or_lacks_its_student_is_refused() -> None:
    """Of two rows of one model neither is the right one."""
    twice = [*rows(), played(Cell(4, 20, 2), 1, "mcts", 1, 0)]
    with pytest.raises(UserError, match="seed 1: 4, 20, 2: mcts, 1: is there twice; play it again"):
        RegimeMap(twice, resampling=RESAMPLING)
    without = [row for row in rows() if row.model != "mcts" or row.passes == 1 + 2 * row.seed]
    with pytest.raises(UserError, match="seeds 0, 1: no dose of MCTS is common to them; play the same passes"):
        RegimeMap(without, resampling=RESAMPLING)


def test_a_cell_that_lacks_a_dose_has_no_control_of_as_many_updates() -> None:
    some = [row for row in rows() if row.cell != Cell(4, 20, 2) or row.passes != 3]
    found = RegimeMap(some, resampling=RESAMPLING)
    assert found.passes == [1, 3] and found.doses(Cell(4, 20, 2), "mcts") == [1]
    assert found.matched(Cell(4, 20, 2), 3, "again") is None
    assert found.slope("", "complement", 3) is not None


def test_a_cell_without_its_start_is_left_out() -> None:
    some = [row for row in rows() if row.cell != Cell(4, 20, 2) or row.model != "sft_strong"]
    assert RegimeMap(some, resampling=RESAMPLING).left_out == [Cell(4, 20, 2)]


def test_the_interval_of_a_slope_is_student_s() -> None:
    """0.125 under seed 0 and none under seed 1: a mean of 0.0625 with as large an error, one degree of freedom."""
    some = [replace(row, scores=[1.0, 0, 0, 0]) if (row.seed, row.model) == (1, "mcts") else row for row in rows()]
    found = RegimeMap(some, resampling=RESAMPLING).slope("", "complement", 3)
    assert found and found.interval
    assert found.mean == pytest.approx(0.0625) and found.p_value == pytest.approx(0.5)
    reach = 12.706205 * 0.0625
    assert (found.interval.low, found.interval.high) == pytest.approx((0.0625 - reach, 0.0625 + reach))


def test_an_effect_has_the_p_value_of_the_stricter_test() -> None:
    """Three tasks are won under seed 0, none under seed 1: 2 / 2^3 by the sign test, more by the mixed model."""
    some = [
        replace(row, scores=[1.0] * 4 if row.seed == 0 else [1.0, 0, 0, 0]) if row.model == "mcts" else row
        for row in rows()
    ]
    cell = Cell(4, 20, 2)
    places = [((cell, 3), (cell, 0))]
    found = RegimeMap(some, resampling=RESAMPLING).difference("", places, model="mcts", over="sft_strong")
    fitted = mixed.fit([[0.0, 0.0]] + [[1.0, 0.0]] * 3)
    assert fitted and fitted.p_value > 0.25 == statistics.sign_test(3, 0)
    assert found.p_value == pytest.approx(fitted.p_value)
