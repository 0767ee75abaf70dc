"""The regime map: what its cells play, what is kept, and what is refused."""

import os
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from played import NAME, ROOT, made_up, project

import derived
import regime_map
import regime_map_cells
from w2sg.config import overlays
from w2sg.config.data import ROLES
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures.regime_played import Cell, Played

LEVELS = regime_map_cells.Levels((3, 4), (20, 300), (2, 3), (1, 2, 4), (1, 3))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with bases, which nobody loads here."""
    folder = project(tmp_path / "run")
    for role in ROLES:
        (folder / layout.base(0, role)).mkdir(parents=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(read(folder), sort_keys=False))
    return folder


def read(run: Path) -> dict[str, Any]:
    values = overlays.merged(run / "params.yaml").values
    values["environments"][NAME]["tasks"]["train"] = 400
    values["experts"]["tasks"] = 300
    return values


def options(run: Path, **changed: object) -> Namespace:
    return Namespace(**({"run": run, "seeds": None, "pool": False, "cores": "1"} | asdict(LEVELS) | changed))


def test_a_cell_differs_from_the_run_in_what_the_map_varies(run: Path) -> None:
    values = read(run)
    made = regime_map_cells.students(values, run, LEVELS, Cell(4, 20, 2), 0)
    assert (made["seeds"], made["environments"][NAME]["max_receptacles"]) == ([0], 4)
    assert (made["tree"]["breadth"], made["explore"]["samples"]) == (2, 3)  # a tree of the first two of three
    assert made["sft"]["optimization"] is None and made["experts"] == values["experts"]
    for role, number in (("weak", 20), ("strong", 300)):
        base = regime_map_cells.PLACE / "0/cells" / made["models"][role]["base"]
        assert base.resolve() == regime_map_cells.agent(4, number, role, 0).resolve()
    doses = {name: each["imitate"]["optimization"]["epochs"] for name, each in made["imitation"].items()}
    assert doses == {"mcts_1": 1, "mcts_2": 2, "mcts_4": 4, "best_2": 2, "own_2": 2}
    assert [each["data"] for each in made["imitation"].values()] == ["mcts", "mcts", "mcts", "best_of_m", "strong"]
    for section in ("pairs", "mcts", "dpo", "embed", "pretrain"):
        assert made[section] == values[section]
    tuned = regime_map_cells.tuning(values, run, places=4, demonstrations=20, seed=0)
    assert tuned["experts"]["tasks"] == 20 and tuned["sft"] == values["sft"]


def test_what_does_not_depend_on_the_weak_model_is_played_once() -> None:
    where: dict[tuple[str, int], list[Cell]] = {}
    for cell in LEVELS.cells():
        for model, home in LEVELS.students(cell).items():
            where.setdefault(model, []).append(home)
    assert len(where["mcts", 1]) == len(where["best", 2]) == 8
    assert where["own", 2] == [Cell(3, 0, 2), Cell(3, 0, 3), Cell(4, 0, 2), Cell(4, 0, 3)]
    for control in (("expert", 2), ("again", 1), ("again", 3)):
        assert where[control] == [Cell(3, 0, 0), Cell(4, 0, 0)]


def test_settings_are_those_that_no_axis_varies(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels and doses are in none of them; other trainings, methods, data or bases change them."""
    values = read(run)
    found = {regime_map_cells.settings(values)}
    values["pretrain"]["weak"]["play"]["epochs"] += 1
    found.add(regime_map_cells.settings(values))
    values["imitate"]["optimization"]["learning_rate"] /= 2
    found.add(regime_map_cells.settings(values))
    values["imitation"]["w2s_mcts"]["expert_share"] = 0.125
    found.add(regime_map_cells.settings(values))
    monkeypatch.setitem(regime_map_cells.DATA, "best", "first")
    found.add(regime_map_cells.settings(values))
    assert len(found) == 5


def test_levels_are_taken_in_order_and_once(run: Path) -> None:
    assert regime_map.levels_of(options(run, samples=[6, 2, 6])).samples == (2, 6)
    with pytest.raises(UserError, match=r"--places 2: must be at least 3"):
        regime_map.levels_of(options(run, places=[8, 2]))


def test_what_cannot_be_mapped_is_one_line(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived, "play", None)
    monkeypatch.setattr(regime_map, "KEPT", run / "kept")

    def refused(line: str, **changed: object) -> None:
        with pytest.raises(UserError, match=line):
            regime_map.follow(options(run, **changed))

    def said(**values: object) -> None:
        (run / "params.yaml").write_text(yaml.safe_dump(read(run) | values, sort_keys=False))

    refused(r"models/base/7/weak: missing; finish the run of seed 7 first", seeds=[7])
    for name, most in (("passes", 1_000_000), ("again", 1_000_000), ("samples", 10_000)):
        too_many = rf"^--{name} 10000000: input should be less than or equal to {most} \(found 10000000\)$"
        refused(too_many, **{name: [2, 10_000_000]})
    refused(r"--demonstrations 500: .*params\.yaml leaves 380 training tasks that are not", demonstrations=[500])
    values = read(run)
    said(imitation={"other": values["imitation"]["w2s_mcts"]})
    refused(r"params\.yaml: imitation: no w2s_mcts, whose settings")
    said(imitation=values["imitation"], sft={**values["sft"], "optimization": None})
    refused(r"params\.yaml: sft: the map tunes whole models; lora null and an optimization are wanted")
    (run / "games").mkdir()
    outside = {"outside": {NAME: "games"}}
    said(sft=values["sft"], environments={NAME: {**values["environments"][NAME], "data_dir": "games"}}, **outside)
    refused(r"environments\.alfworld\.data_dir: the map varies generated games, so null")
    said(environments=values["environments"], outside={})
    monkeypatch.setattr(regime_map, "PLACE", run.parent)
    refused(r"is a part of a map; give the run that it was made of")


def test_the_code_of_a_row_is_what_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither comments nor other environments, nor what shows it; but what stages and this study compute."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    for module in (regime_map_cells, derived):
        shutil.copy(str(module.__file__), tmp_path)
        monkeypatch.setattr(module, "__file__", str(tmp_path / Path(str(module.__file__)).name))
    monkeypatch.chdir(tmp_path)

    def added(line: str, *paths: str) -> str:
        texts = {path: Path(path).read_text() for path in paths}
        for path, text in texts.items():
            Path(path).write_text(f"{text}\n{line}\n")
        found = regime_map_cells.code()
        for path, text in texts.items():
            Path(path).write_text(text)
        return found

    own, src = regime_map_cells.code(), "src/w2sg"
    counted = (f"{src}/trees/mcts.py", f"{src}/evaluation/measures/complement.py", "derived.py", "regime_map_cells.py")
    assert added("# A comment.", *counted) == own
    others = ("environments/webshop/world/goals.py", "evaluation/report/page.py", "stages/theorem.py")
    assert added("another = 1", *(f"{src}/{path}" for path in others)) == own
    assert len({own, *(added("another = 1", path) for path in counted)}) == 1 + len(counted)


@pytest.fixture
def playing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Cell]]:
    """A function that plays seed 0 with some code and says which cells were played, not only read; some fail."""
    for name in ("KEPT", "PLACE"):
        monkeypatch.setattr(regime_map, name, tmp_path / name)
    (tmp_path / "PLACE/0/cells").mkdir(parents=True)
    monkeypatch.setattr(regime_map.Playing, "_tune", lambda *arguments: None)
    monkeypatch.setattr(regime_map, "commit", lambda: "abc")
    played: list[Cell] = []

    def collected(levels: object, cell: Cell, seed: int, *, origin: dict[str, str], commit: str) -> Iterator[Played]:
        played.append(cell)
        yield made_up(cell, seed, 1.0, **origin, commit=commit)

    monkeypatch.setattr(regime_map, "collected", collected)

    def play(*, code: str = "a", fails: Callable[[dict[str, Any]], bool] | None = None) -> list[Cell]:
        played.clear()
        monkeypatch.setattr(regime_map, "code", lambda: code)
        monkeypatch.setattr(derived, "play", lambda folder, made, **how: 3 if fails and fails(made) else 0)
        assert regime_map.Playing(read(run), run, LEVELS, "1").seed(0) == (3 if fails else 0)
        return list(played)

    return play


def test_a_cell_is_read_again_only_where_the_code_is_the_same(playing: Callable[..., list[Cell]]) -> None:
    assert playing() == LEVELS.cells()
    assert playing() == []
    assert playing(code="b") == LEVELS.cells()


def test_a_cell_that_fails_leaves_the_others_alone(
    playing: Callable[..., list[Cell]], capsys: pytest.CaptureFixture[str]
) -> None:
    """As where no tree has a path: it is told, the others are kept, and the next call goes on with it."""

    def fails(made: dict[str, Any]) -> bool:
        return (made["environments"][NAME]["max_receptacles"], made["tree"]["breadth"]) == (3, 2)

    left = [cell for cell in LEVELS.cells() if (cell.places, cell.samples) == (3, 2)]
    assert playing(fails=fails) == [cell for cell in LEVELS.cells() if cell not in left]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(left) == 2
    assert "seed 0: {'places': 3, 'demonstrations': 20, 'samples': 2}: not played, " in lines[0]
    assert "PLACE/0/cells/logs says why; without a path or a pair in its trees it has no student" in lines[0]
    assert {row.cell for row in Played.read(regime_map.KEPT / "seeds/0.parquet")} == {*LEVELS.cells()} - {*left}
    assert playing() == left
    assert {row.cell for row in Played.read(regime_map.KEPT / "seeds/0.parquet")} == {*LEVELS.cells()}


def test_a_seed_keeps_cells_of_other_levels(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second call with one level replaces that one's cells; of other settings, bases or code nothing stays.

    Other doses of a cell stand beside those that it has.
    """
    monkeypatch.setattr(regime_map, "KEPT", tmp_path / "kept")

    def cell(self: regime_map.Playing, cell: Cell, seed: int, origin: dict[str, str]) -> list[Played]:
        own = made_up(cell, seed, float(self.cores) / 10, **origin)
        students = [replace(own, model="mcts", passes=passes, updates=9) for passes in self.levels.passes]
        return [own, *students, replace(own, demonstrations=0, model="own")]

    monkeypatch.setattr(regime_map.Playing, "_cell", cell)

    def kept(levels: regime_map_cells.Levels, cores: str, code: str = "a", rate: float = 1) -> dict[int, set[float]]:
        monkeypatch.setattr(regime_map, "code", lambda: code)
        values = read(run)
        values["imitate"]["optimization"]["learning_rate"] *= rate
        regime_map.Playing(values, run, levels, cores).seed(5)
        found: dict[int, set[float]] = {}
        for row in Played.read(tmp_path / "kept/seeds/5.parquet"):
            found.setdefault(row.places, set()).update(row.scores)
        return found

    one = regime_map_cells.Levels((4,), *list(asdict(LEVELS).values())[1:])
    assert kept(LEVELS, "0") == {3: {0.0}, 4: {0.0}}
    assert kept(one, "1") == {3: {0.0}, 4: {0.1}}
    doses = replace(one, demonstrations=(20,), samples=(2,), passes=(2, 9))
    assert kept(doses, "9") == {3: {0.0}, 4: {0.1, 0.9}}
    own = {
        (row.passes, *row.scores)
        for row in Played.read(tmp_path / "kept/seeds/5.parquet")
        if row.cell == Cell(4, 20, 2) and row.model == "mcts"
    }
    assert own == {(1, 0.1), (2, 0.9), (4, 0.1), (9, 0.9)}
    assert kept(one, "1") == {3: {0.0}, 4: {0.1, 0.9}}
    assert capsys.readouterr().err == ""
    cells = "3, 20, 2; 3, 20, 3; 3, 300, 2; 3, 300, 3"
    assert kept(one, "2", code="b") == {4: {0.2}}
    assert capsys.readouterr().err == f"map: seed 5: dropped, as of other code: {cells}\n"
    assert kept(LEVELS, "3", code="b") == {3: {0.3}, 4: {0.3}}
    (run / layout.base(5, "weak")).mkdir(parents=True)
    (run / layout.base(5, "weak") / "model.safetensors").write_text("another")
    assert kept(one, "4", code="b") == {4: {0.4}}
    assert capsys.readouterr().err == f"map: seed 5: dropped, as of other bases: {cells}\n"
    assert kept(LEVELS, "5", code="b") == {3: {0.5}, 4: {0.5}}
    assert kept(regime_map_cells.Levels((4,), (20,), (2,), (1, 2), (1,)), "6", rate=0.5) == {4: {0.6}}
    assert "dropped, as of other settings and code: 3, 20, 2; " in capsys.readouterr().err


def test_what_is_kept_is_the_files_of_seeds(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told before anything is played."""
    monkeypatch.setattr(regime_map, "KEPT", tmp_path)
    monkeypatch.setattr(regime_map.Playing, "check", None)
    folder, strong = tmp_path / "seeds", made_up(Cell(4, 20, 2), 0, 0.5)
    good = [strong, replace(strong, model="mcts", passes=1, updates=9, scores=[1.0])]
    Played.write(folder / "0.parquet", good)

    def refused(name: str, rows: list[Played], line: str) -> None:
        Played.write(folder / name, rows)
        for pool in (True, False):
            with pytest.raises(UserError, match=line):
                regime_map.follow(options(run, pool=pool))
        (folder / name).unlink()

    for name in ("0_old.parquet", "00.parquet", "-1.parquet", "notes.txt"):
        refused(name, good, rf"seeds/{name}: not the file of a seed, such as 2\.parquet; move it elsewhere")
    refused("1.parquet", good, r"seeds/1\.parquet: has rows of seed 0; restore it from git, or delete it")
    (folder / "0.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"seeds/0\.parquet: not a readable Parquet file .*; restore it from git, or"):
        regime_map.follow(options(run, pool=True))
    Played.write(folder / "0.parquet", good)
    refused("1.parquet", [], r"seeds/1\.parquet: has rows of seed none; ")
    Played.write(folder / ".1.parquet.9.tmp", good)
    assert regime_map.follow(options(run, pool=True)) == 0
    assert "1 cells, seeds 0\n" in capsys.readouterr().out
    assert "| 4, 20, 2 | – | 50.0 [" in (tmp_path / "README.md").read_text()  # nobody has played SFT weak
    Played.write(folder / "0.parquet", good + good[1:])
    with pytest.raises(UserError, match=r"seeds: seed 0: 4, 20, 2: mcts, 1: is there twice; play it again"):
        regime_map.follow(options(run, pool=True))


def test_the_page_is_of_what_is_kept_whatever_the_run_was_last_called_with(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make study SEEDS=4` leaves a run of seed 4, whose map of seed 0 has the intervals of before."""
    monkeypatch.setattr(regime_map, "KEPT", tmp_path)
    tasks = [str(number) for number in range(40)]
    strong = replace(made_up(Cell(4, 20, 2), 0, 0.0), tasks=tasks, scores=[float(n % 3 == 0) for n in range(40)])
    student = replace(strong, model="mcts", passes=1, updates=9, scores=[float(n % 2 == 0) for n in range(40)])
    Played.write(tmp_path / "seeds" / "0.parquet", [strong, student])
    made = {}
    for seeds in ([0], [4]):
        values = yaml.safe_load((run / "params.yaml").read_text()) | {"seeds": seeds}
        (run / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
        assert regime_map.follow(options(run, pool=True)) == 0
        made[seeds[0]] = (tmp_path / "cells.csv").read_bytes()
    assert made[0] == made[4]


def test_what_others_say_of_dates_and_screens_is_not_asked(run: Path) -> None:
    strong = made_up(Cell(4, 20, 2), 0, 0.5)
    Played.write(run / "docs/map/seeds/0.parquet", [strong, replace(strong, model="mcts", passes=1, updates=9)])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "SOURCE_DATE_EPOCH": "x", "MPLBACKEND": "x"}
    command = [sys.executable, str(ROOT / "workflow/studies/regime_map.py"), "--pool"]
    done = subprocess.run(command, cwd=run, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "docs/map: 1 cells, seeds 0\n", "")
    assert "<svg" in (run / "docs/map/map.svg").read_text()
