"""Sensitivity: only what is missing is run, rows say what changed, tables agree; and once with the real commands."""

import os
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import readings
import sensitivity
import workspace
from sensitivity_table import BEGIN, END, PAGE, TABLE, markdown, page, read
from w2sg.config import params
from w2sg.contracts.episodes import Episode
from w2sg.contracts.errors import UserError
from w2sg.contracts.trajectories import Step, Trajectory

ROOT = Path(__file__).parents[2]
READINGS = {(reading.question, reading.text): reading for reading in readings.READINGS}


@pytest.fixture
def default(values: dict) -> dict:
    values["report"]["resamples"] = 100
    return sensitivity.reduced(values)


def episodes(*scores: float, models: tuple[str, ...] = readings.BOTH, seeds: tuple[int, ...] = (0,)) -> list[Episode]:
    """One unseen task per score, and a seen one that must not count."""
    made = []
    for model in models:
        for seed in seeds:
            for number, score in enumerate((*scores, 1.0)):
                step = Step("o", "th", "a", "th: a", "o", score)
                split = "unseen" if number < len(scores) else "seen"
                run = Trajectory("alfworld", f"{split}-{number}", model, 0, 0.0, 1.0, True, (step,))
                made.append(Episode(model, seed, split, run))
    return made


class Recorder:
    """Stands in for snakemake: the default wins half of four tasks, gamma 0.2 three, others as the default."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, tuple[str, ...]]] = []

    def __call__(self, values: dict, groups: tuple[str, ...]) -> list[Episode]:
        self.calls.append((values["mcts"]["gamma"], tuple(groups)))
        if values["mcts"]["iterations"] == 100:
            raise UserError("snakemake failed")
        return episodes(1.0, 1.0, 1.0 if values["mcts"]["gamma"] == 0.2 else 0.0, 0.0)


def test_every_reading_is_a_change_that_the_parameters_allow(default: dict, tmp_path: Path) -> None:
    assert len(READINGS) == len(readings.READINGS), "two readings of one name"
    for reading in readings.READINGS:
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(sensitivity.changed(default, reading.changes)))
        params.load(tmp_path / "params.yaml")
        assert set(reading.methods) <= set(readings.GROUPS)


def test_the_stages_that_it_asks_for_need_no_baseline(
    default: dict, resolve: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    default["environments"] = {"alfworld": default["environments"]["alfworld"]}
    stages = resolve(default)
    assert all(f"evaluate-{group}@alfworld-0" in stages for group in readings.GROUPS.values())
    trained = [name for name in stages if name.startswith(("preference@", "imitation@", "explore@"))]
    assert trained == ["explore@alfworld-0-weak", "preference@alfworld-0-w2s_dpo", "imitation@alfworld-0-w2s_mcts"]


def test_what_changes_nothing_is_refused(default: dict) -> None:
    with pytest.raises(UserError, match=r"mcts\.gamma: the default is 1\.41"):
        sensitivity.changed(default, {"mcts.gamma": 1.41})
    with pytest.raises(UserError, match=r"mcts\.delta: the default is 'missing'"):
        sensitivity.changed(default, {"mcts.delta": 1})


def test_rows_and_resuming(default: dict, tmp_path: Path) -> None:
    table, run = tmp_path / "sensitivity.csv", Recorder()
    chosen = [READINGS["A2", text] for text in ("gamma 0.2", "100 iterations")]
    failed = sensitivity.measure(default, chosen, run=run, table=table)
    assert failed == ["A2, 100 iterations: snakemake failed"]
    assert run.calls == [(1.41, ("preference", "imitation")), (0.2, ("imitation",)), (1.41, ("imitation",))]
    (row,) = read(table)
    assert (row.method, row.environment, row.tasks, row.reward, row.difference) == (
        "w2s_mcts",
        "alfworld",
        4,
        0.75,
        0.25,
    )
    assert (row.wins, row.losses, row.changes) == (1, 0, '{"mcts.gamma": 0.2}')
    assert row.low <= row.difference <= row.high

    again = Recorder()
    assert sensitivity.measure(default, chosen[:1], run=again, table=table) == []
    assert again.calls == [], "what is there is not run again, nor is the default"
    default["seeds"] = [0, 1]
    assert sensitivity.measure(default, chosen[:1], run=lambda v, g: episodes(1.0, seeds=(0, 1)), table=table) == []
    (other,) = read(table)
    assert other.default != row.default, "a row of another default is replaced"
    assert (other.tasks, other.difference) == (1, 0.0)


def test_a_reading_that_changes_something_else_now_is_measured_again(default: dict, tmp_path: Path) -> None:
    """Its old row goes when the new one comes; rows of other readings stay."""
    table, run = tmp_path / "sensitivity.csv", Recorder()
    before = readings.Reading("A2", "gamma 0.2", {"mcts.gamma": 0.3}, ("w2s_mcts",))
    other = READINGS["A2", "ties by visits, whatever the length"]
    assert sensitivity.measure(default, [before, other], run=run, table=table) == []
    run.calls.clear()
    assert sensitivity.measure(default, [READINGS["A2", "gamma 0.2"], other], run=run, table=table) == []
    assert [gamma for gamma, _ in run.calls] == [1.41, 0.2]
    found = [(row.reading, row.changes) for row in read(table)]
    assert found == [("gamma 0.2", '{"mcts.gamma": 0.2}'), (other.text, '{"mcts.ties": "visits"}')]


def test_the_table_for_people(default: dict, tmp_path: Path) -> None:
    reading = READINGS["A2", "gamma 0.2"]
    better, same = episodes(1.0, 1.0, 1.0), episodes(1.0, 0.0, 0.0)
    (row,) = sensitivity.compare(reading, better, same, values=default)
    assert "| A2 | gamma 0.2 | W2S MCTS | 100.0 | +66.7 [+0.0, +100.0] | 2, 0 of 3 |" in markdown([row])
    (row,) = sensitivity.compare(reading, same, same, values=default)
    assert "| 33.3 | no task differs | 0, 0 of 3 |" in markdown([row])
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert page(text, []).splitlines()[2] == "Not measured yet: `make sensitivity`."
    assert page(page(text, [row]), [row]) == page(text, [row])
    with pytest.raises(UserError, match="marks"):
        page("no marks", [row])


def test_the_page_holds_the_table() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    assert text == page(text, read(ROOT / TABLE)), "run it with --table"


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that calls the command in a project in which nothing must run, and compares the one line it says."""
    (tmp_path / "docs").mkdir()
    for path in (sensitivity.PARAMS, TABLE, PAGE):
        shutil.copy(ROOT / path, tmp_path / path)
    monkeypatch.chdir(tmp_path)
    for name in ("prepare", "snakemake"):
        monkeypatch.setattr(sensitivity, name, None)

    def call(line: str, *, only: list[str] | None = None, table: bool = False) -> None:
        before = PAGE.read_bytes() if PAGE.is_file() else None
        with pytest.raises(UserError, match=line):
            sensitivity.follow(Namespace(only=only, table=table, cores="1"))
        assert before is None or PAGE.read_bytes() == before

    return call


@pytest.mark.parametrize("name", ["A99", "a11", "A3"])
def test_a_question_without_readings_is_refused(refused: Callable[..., None], name: str) -> None:
    for table in (True, False):
        refused(
            rf"^--only {name}: no reading of this question; there are A1, A2, .*eq\. 6", only=["A1", name], table=table
        )


def test_wrong_parameters_are_one_line(refused: Callable[..., None]) -> None:
    right = yaml.safe_load(sensitivity.PARAMS.read_text())
    for text, line in (
        ("seeds: 5\n", r"^params\.yaml: seeds: "),
        (yaml.safe_dump({**right, "preference": {}}), r"^params\.yaml: "),
        (yaml.safe_dump({**right, "imitation": {"other": right["imitation"]["w2s_mcts"]}}), "imitation: no w2s_mcts"),
    ):
        sensitivity.PARAMS.write_text(text)
        refused(line)


def test_a_damaged_table_is_told_before_anything_runs(refused: Callable[..., None]) -> None:
    right = TABLE.read_text()
    first, second, *_ = right.splitlines()
    cells = dict(zip(first.split(","), second.split(","), strict=True))
    remedy = "restore it from git, or delete it to measure again"
    for text, reason in (
        ("", ": other columns than a table of readings has"),
        ("a,b\n1,2\n", ": other columns than a table of readings has"),
        (right[: len(first) + 30], ": ends within a line"),
        (f"{first}\n{second},more\n", ": line 2: 14 cells, and a table of readings has 13 columns"),
        (f"{first}\n{second.rpartition(',')[0]}\n", ": line 2: 12 cells, and a table of readings has 13 columns"),
        (f"{first}\n{second.replace(cells['tasks'], 'many', 1)}\n", ": line 2: tasks: 'many' is no number"),
        (f"{first}\n{second.replace(cells['reward'], 'nan', 1)}\n", ": line 2: reward: 'nan' is no number"),
    ):
        TABLE.write_text(text)
        for table in (True, False):
            refused(rf"^docs/sensitivity\.csv{reason}; {remedy}$", table=table)


def test_a_page_that_is_missing_or_none_is_told_before_anything_runs(refused: Callable[..., None]) -> None:
    PAGE.write_bytes(b"\xff")
    refused(r"^docs/method\.md: not a page \(.*\); restore it from git$")
    PAGE.unlink()
    refused(r"^docs/method\.md: no such file; restore it from git$")


def test_a_workspace_that_cannot_be_made_is_one_line(refused: Callable[..., None]) -> None:
    refused(r"^dvc.yaml: no such file; run this in the folder of the project")


def test_another_call_is_refused_while_one_plays(refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """It would give the parameters of one reading to the play of another."""
    handed: list[int] = []

    def measure(*_: object, run: Callable[..., object], **__: object) -> list[str]:
        with pytest.raises(UserError, match="another call is at work here"), workspace.claimed(sensitivity.FOLDER):
            pass
        run({}, ())
        return []

    Path("dvc.yaml").touch()
    monkeypatch.setattr(sensitivity, "prepare", lambda folder: None)
    monkeypatch.setattr(sensitivity, "snakemake", lambda *_, lock, **__: handed.append(lock))
    monkeypatch.setattr(sensitivity, "measure", measure)
    assert sensitivity.follow(Namespace(only=None, table=False, cores="1")) == 0
    assert len(handed) == 1
    with workspace.claimed(sensitivity.FOLDER):
        pass


STAND_IN = """
import sys
from pathlib import Path
import yaml
sys.path.insert(0, "tests")
from test_sensitivity import episodes
from w2sg.contracts.episodes import write_episodes

group, out = sys.argv[1:]
beta = yaml.safe_load(Path("params.yaml").read_text())["dpo"]["beta"]
model = {"preference": "w2s_dpo", "imitation": "w2s_mcts"}[group]
write_episodes(Path(out), episodes(1.0, 1.0 if beta == 0.5 else 0.0, models=(model,)))
with open("runs.log", "a") as log:
    print(group, file=log)
"""


@pytest.mark.slow
def test_with_the_real_commands(tmp_path: Path) -> None:
    """A stage table of two stand-ins: both run for the default, one for the reading, none the second time."""
    project = tmp_path / "project"
    for folder in ("profiles", "workflow", "params"):
        shutil.copytree(ROOT / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, project)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["environments"] = {"alfworld": values["environments"]["alfworld"]}  # the stand-ins play no other
    (project / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    (project / "tests").mkdir()
    shutil.copy(__file__, project / "tests")
    (project / "docs").mkdir()
    (project / "docs/method.md").write_text(f"{BEGIN}\n{END}\n")
    (project / "stand_in.py").write_text(STAND_IN)
    (project / ".gitignore").write_text("/.sensitivity/\n/results/\n/logs/\n/.snakemake/\n__pycache__/\n")
    out = "results/episodes/alfworld-0/{}.parquet"
    stages = {
        f"evaluate-{group}": {
            "cmd": f"python stand_in.py {group} {out.format(group)}",
            "deps": ["stand_in.py"],
            "params": names,
            "outs": [out.format(group)],
        }
        for group, names in (("preference", ["dpo"]), ("imitation", ["mcts"]))
    }
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'workflow/studies'}",
        "DVC_SITE_CACHE_DIR": str(tmp_path / "site"),
        "XDG_CACHE_HOME": str(tmp_path / "site"),
    }
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=project, env=environment, check=True)
    before = (project / "params.yaml").read_text()
    command = [sys.executable, "workflow/studies/sensitivity.py", "--cores", "1", "--only", "eq. 6"]

    def measured() -> list[str]:
        done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        log = project / ".sensitivity/runs.log"
        names = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return sorted(names)

    assert measured() == ["imitation", "preference", "preference"]
    (row,) = read(project / "docs/sensitivity.csv")
    assert (row.reading, row.method, row.difference, row.tasks) == ("beta 0.5", "w2s_dpo", 0.5, 2)
    assert "| eq. 6 | beta 0.5 |" in (project / "docs/method.md").read_text()
    assert measured() == []
    # Without its table it measures again, but nothing runs: all of it is in the cache, which is the project's own.
    (project / "docs/sensitivity.csv").unlink()
    shutil.rmtree(project / ".sensitivity")
    assert measured() == []
    assert (project / "docs/sensitivity.csv").exists()
    assert (project / "params.yaml").read_text() == before
    assert not (project / "results").exists(), "the project's own outputs are left alone"
