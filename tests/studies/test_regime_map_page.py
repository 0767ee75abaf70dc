"""The page of a regime map, of made-up cells."""

import csv
import re
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import pytest
from played import made_up

import regime_map_page
from w2sg.evaluation.measures.regime_map import RegimeMap
from w2sg.evaluation.measures.regime_played import Cell, Played
from w2sg.evaluation.measures.statistics import Resampling

RESAMPLING = Resampling(200, 0.95, 0)


def test_cells_with_other_doses_stand_beside_each_other(tmp_path: Path) -> None:
    """A dash where a cell lacks a dose; differences are over the cells that have both."""
    found = {}
    for cell, doses in ((Cell(4, 20, 2), (1, 3)), (Cell(4, 20, 6), (1, 3, 9)), (Cell(8, 20, 6), (9,))):
        own = replace(made_up(cell, 0, 0.0), tasks=["a", "b"], scores=[0.0, 0.0])
        rows = [own, replace(own, demonstrations=0, samples=0, model="again", passes=2, updates=5)]
        rows += [replace(own, model="mcts", passes=dose, updates=9, scores=[1.0, float(dose > 1)]) for dose in doses]
        found |= {(row.cell, row.model, row.passes): row for row in rows}
    regime_map_page.write(tmp_path, RegimeMap(found.values(), resampling=RESAMPLING), commits=["abc"])
    page = (tmp_path / "README.md").read_text()
    assert "| 4, 20, 2 | 9 | 9 | – | – | – | 5 | – | – |" in page
    assert "| 8, 20, 6 | – | – | 9 | – | – | – | – | – |" in page
    rows = {row["effect"]: float(row["difference"]) for row in numbers(tmp_path / "effects.csv")}
    assert (rows["MCTS: 3 passes − 1"], rows["MCTS: 9 passes − 3"]) == (0.5, 0.0)
    assert (rows["MCTS: 6 samples − 2"], rows["MCTS: 8 places − 4"], rows["MCTS − SFT strong"]) == (0.0, 0.0, 1.0)


def test_the_page_of_made_up_cells(tmp_path: Path) -> None:
    """MCTS gains with samples, loses with places; TreeDPO changes nothing where it had 5 updates."""
    found = []
    for seed, places, demonstrations, samples in product((0, 1), (4, 8), (20, 60), (2, 6)):
        figures = {"steps": 9.0, "mean": 0.25, "solved": 0.5, "complement": samples / 20, "paths": 3, "pairs": 2}
        cell = Cell(places, demonstrations, samples)
        solved = {("sft_weak", 0): 4, ("sft_strong", 0): 10, ("dpo", 2): 10 - 2 * (samples == 2), ("best", 3): 12}
        solved |= {("again", 1): 10, ("again", 9): 11}
        gains = {1: 0, 3: 2 * samples - places, 9: -5}
        solved |= {("mcts", passes): 10 + gain for passes, gain in gains.items()}
        for (model, passes), number in solved.items():
            scores = [float(task < number + seed * (passes == 3)) for task in range(40)]
            updates = samples if model == "dpo" else 10 * passes
            found.append(
                Played(seed, **asdict(cell.home(model)), model=model, passes=passes, updates=updates, scores=scores,
                       tasks=[f"{n:02}" for n in range(40)], **figures, settings="s", bases="b", code="c", commit="abc")  # type: ignore[arg-type]
            )  # fmt: skip
    once = {(row.seed, row.cell, row.model, row.passes): row for row in found}  # controls stand for several cells
    regime_map_page.write(tmp_path, RegimeMap(once.values(), resampling=RESAMPLING), commits=["abc"])
    page = (tmp_path / "README.md").read_text()
    assert "(seeds 0, 1; commit abc)" in page and "40 unseen tasks" in page
    assert page.count("interval over tasks and seeds ") == page.count("intervals over tasks and seeds;") == 1
    assert "| 4, 20, 2 | 10.0 [" in page
    # 30 updates of MCTS lie as far from 10 of the demonstrations again as from 90: the lower dose is taken.
    assert "| 4, 20, 2 | 10 | 30 | 90 | 30 | – | 10 | – | 2 |" in page
    rows = {row["effect"]: row for row in numbers(tmp_path / "effects.csv")}
    assert float(rows["MCTS: 6 samples − 2"]["difference"]) == pytest.approx(8 / 40 / 3)
    assert float(rows["MCTS: 8 places − 4"]["difference"]) == pytest.approx(-4 / 40 / 3)
    assert float(rows["TreeDPO (of 5 updates and more) − SFT strong"]["difference"]) == 0.0
    assert "MCTS − its own best of as many samples" not in rows  # which nobody has played
    assert rows["MCTS: 10 points more of complement"]["p"]
    assert len(numbers(tmp_path / "cells.csv")) == 8 * (3 + 1 + 1 + 2)
    drawn = (tmp_path / "map.svg").read_text()
    assert drawn.count('class="chart"') == 6
    # 2 x 6 - 4 = 8 of 40 tasks, and one more under seed 1.
    assert len(re.findall(r">\+21<", drawn)) == 2


def test_a_cell_that_is_not_there_leaves_its_like_out_of_the_difference(tmp_path: Path) -> None:
    """With 60 demonstrations, 6 samples win one task of two and 2 none; with 20, 6 win both and 2 were not played."""
    cells = [Cell(4, 20, 6), Cell(4, 60, 2), Cell(4, 60, 6)]
    found = []
    for cell in cells:
        solved = {("sft_strong", 0): [0.0, 0.0], ("sft_weak", 0): [0.0, 0.0]}
        solved["mcts", 1] = [1.0, 1.0] if cell.demonstrations == 20 else [float(cell.samples == 6), 0.0]
        for (model, passes), scores in solved.items():
            row = made_up(cell, 0, 0.0)
            found.append(replace(row, model=model, passes=passes, updates=9, tasks=["a", "b"], scores=scores))
    regime_map_page.write(tmp_path, RegimeMap(found, resampling=RESAMPLING), commits=["abc"])
    rows = {row["effect"]: float(row["difference"]) for row in numbers(tmp_path / "effects.csv")}
    assert (rows["MCTS: 6 samples − 2"], rows["MCTS: 60 demonstrations of the weak − 20"]) == (0.5, -0.5)
    assert "a cell has no student): 4, 20, 2; below," in (tmp_path / "README.md").read_text()


def test_the_page_of_one_cell_and_one_seed(tmp_path: Path) -> None:
    """Nothing is varied: no effects of axes, no slope, no controls; intervals are over tasks alone."""
    row = made_up(Cell(4, 20, 2), 0, 0.0)
    found = [
        replace(row, model=model, passes=passes, updates=9, tasks=["a", "b"], scores=scores)
        for model, passes, scores in (
            ("sft_strong", 0, [0.0, 1.0]),
            ("sft_weak", 0, [0.0, 0.0]),
            ("mcts", 2, [1.0, 1.0]),
        )
    ]
    regime_map_page.write(tmp_path, RegimeMap(found, resampling=RESAMPLING), commits=["abc"])
    rows = {row["effect"]: row for row in numbers(tmp_path / "effects.csv")}
    assert list(rows) == ["MCTS − SFT strong"]
    assert rows["MCTS − SFT strong"]["difference"] == "0.5"
    page = (tmp_path / "README.md").read_text()
    assert page.count("interval over tasks excludes") == page.count("intervals over tasks;") == 1
    assert "tasks and seeds" not in page


def numbers(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))
