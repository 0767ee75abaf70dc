"""The regime map: what its cells play, what is refused, and the page of made-up cells."""

import csv
import re
from argparse import Namespace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from played import NAME, project

import derived
import regime_map
import regime_map_cells
import regime_map_page
from w2sg.config import overlays
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures.comparisons import Resampling
from w2sg.evaluation.measures.regime_map import Cell, Played, RegimeMap

RESAMPLING = Resampling(200, 0.95, 0)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with bases, which nobody loads here."""
    folder = project(tmp_path / "run")
    for role in derived.ROLES:
        (folder / layout.base(0, role)).mkdir(parents=True)
    return folder


def options(run: Path, **changed: object) -> Namespace:
    levels = {"places": [3, 4], "demonstrations": [20, 300], "samples": [2, 3], "passes": [1, 2, 4]}
    return Namespace(**({"run": run, "seeds": None, "pool": False, "cores": "1"} | levels | changed))


def read(run: Path) -> dict[str, Any]:
    values = overlays.merged(run / "params.yaml").values
    values["environments"][NAME]["tasks"]["train"] = 400
    values["experts"]["tasks"] = 300
    return values


def test_a_cell_differs_from_the_run_in_what_the_map_varies(run: Path) -> None:
    values = read(run)
    made = regime_map_cells.students(values, options(run), Cell(4, 20, 2), 0)
    assert (made["seeds"], made["environments"][NAME]["max_receptacles"]) == ([0], 4)
    assert (made["tree"]["breadth"], made["explore"]["samples"]) == (2, 3)  # a tree of the first two of three
    assert made["sft"]["optimization"] is None and made["experts"] == values["experts"]
    for role, number in (("weak", 20), ("strong", 300)):
        base = regime_map_cells.PLACE / "cells" / made["models"][role]["base"]
        assert base.resolve() == regime_map_cells.agent(4, number, role, 0).resolve()
    doses = {name: each["imitate"]["optimization"]["epochs"] for name, each in made["imitation"].items()}
    assert doses == {"mcts_1": 1, "mcts_2": 2, "mcts_4": 4, "best_2": 2, "own_2": 2, "again_2": 2}
    assert {name: each["data"] for name, each in made["imitation"].items()} == {
        "mcts_1": "mcts", "mcts_2": "mcts", "mcts_4": "mcts",
        "best_2": "best_of_m", "own_2": "strong", "again_2": "demonstrations",
    }  # fmt: skip
    for section in ("pairs", "mcts", "dpo", "embed", "pretrain"):
        assert made[section] == values[section]


def test_the_room_there_is_is_measured_once_for_games_of_a_kind(run: Path) -> None:
    chosen = options(run)
    with_room = [
        cell for cell in regime_map.cells(chosen)
        if "expert_2" in regime_map_cells.students(read(run), chosen, cell, 0)["imitation"]
    ]  # fmt: skip
    assert with_room == [Cell(3, 300, 3), Cell(4, 300, 3)]


def test_what_cannot_be_mapped_is_one_line(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived, "play", None)

    def refused(line: str, **changed: object) -> None:
        with pytest.raises(UserError, match=line):
            regime_map.check(values, Namespace(**(vars(options(run)) | changed)), changed.get("seeds") or [0])  # type: ignore[call-overload]

    values = read(run)
    refused(r"models/base/7/weak: missing; finish the run of seed 7 first", seeds=[7])
    refused(r"--places 2: must be at least 3", places=[2])
    refused(
        r"--demonstrations 500: .*params\.yaml leaves 380 training tasks that are not explored", demonstrations=[500]
    )
    refused(r"is a part of a map; give the run that it was made of", run=regime_map_cells.PLACE / "cells")
    values["imitation"] = {}
    refused(r"params\.yaml: imitation: no w2s_mcts, whose settings")
    values["environments"][NAME]["data_dir"] = "games"
    refused(r"environments\.alfworld\.data_dir: the map varies generated games; null wanted")
    values["environments"] = {}
    refused(r"params\.yaml: environments: no alfworld")


def test_the_page_of_made_up_cells(tmp_path: Path) -> None:
    """MCTS gains with samples, loses with places; TreeDPO changes nothing."""
    found = []
    for seed, places, demonstrations, samples in product((0, 1), (4, 8), (20, 60), (2, 6)):
        figures = {"steps": 9.0, "mean": 0.25, "solved": 0.5, "complement": samples / 20, "paths": 3, "pairs": 2}
        solved = {("sft_weak", 0): 4, ("sft_strong", 0): 10, ("dpo", 1): 10, ("best", 3): 12, ("again", 3): 11}
        gains = {1: 0, 3: 2 * samples - places, 9: -5}
        solved |= {("mcts", passes): 10 + gain for passes, gain in gains.items()}
        for (model, passes), number in solved.items():
            scores = [float(task < number + seed * (passes == 3)) for task in range(40)]
            found.append(
                Played(seed, places, demonstrations, samples, model, passes, [f"{n:02}" for n in range(40)], scores,
                       **figures, commit="abc")  # type: ignore[arg-type]
            )  # fmt: skip
    regime_map_page.write(tmp_path, RegimeMap(found, resampling=RESAMPLING), commits=["abc"])
    page = (tmp_path / "README.md").read_text()
    assert "(seeds 0, 1; commit abc)" in page and "40 unseen tasks" in page
    assert "| 4, 20, 2 | 10.0 [" in page
    rows = {row["effect"]: row for row in numbers(tmp_path / "effects.csv")}
    assert float(rows["MCTS: 6 samples − 2"]["difference"]) == pytest.approx(8 / 40 / 3)
    assert float(rows["MCTS: 8 places − 4"]["difference"]) == pytest.approx(-4 / 40 / 3)
    assert float(rows["TreeDPO − SFT strong"]["difference"]) == 0.0
    assert "MCTS − its own best of as many samples" not in rows  # which nobody has played
    assert len(numbers(tmp_path / "cells.csv")) == 8 * (3 + 1 + 1 + 1)
    drawn = (tmp_path / "map.svg").read_text()
    assert drawn.count('class="chart"') == 6
    # 2 x 6 - 4 = 8 of 40 tasks, and one more under seed 1.
    assert len(re.findall(r">\+21<", drawn)) == 2


def numbers(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))
