"""`workflow/studies/grid.py`: what is planned; and on the real `dvc exp`, over stand-ins for stages."""

import copy
import sys
from argparse import Namespace
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

import grid as study
from toys import Toy
from w2sg.config import overlays
from w2sg.config.params import validated
from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures import grid

ROOT = Path(__file__).parents[2]

STAND_IN = """
import os, sys
from pathlib import Path
import yaml
from w2sg.contracts import files, layout
from w2sg.contracts.episodes import Episode, write_episodes
from w2sg.contracts.trajectories import Step, Trajectory

stage = sys.argv[1]
params = yaml.safe_load(Path("params.yaml").read_text())
with open(os.environ["RUNS"], "a") as log:
    print(stage, file=log)
if stage == "explore":
    files.write_text(Path("data/explore.txt"), str(params["explore"]["samples"]))
elif stage == "trees":
    figures = {"depth_mean": 5.0, "best_score": 1.0}
    total = {"branchings": params["tree"]["breadth"], "informative": 2}
    summary = {"tasks": 2, "mean": figures, "total": total, "mixed": {"tasks": 1}}
    files.write_json(layout.tree_quality("alfworld", 0), {"summary": summary})
else:
    if params["dpo"]["beta"] == 0.7:
        sys.exit("beta 0.7 does not train")
    won = params["tree"]["breadth"] if stage == "imitation" else round(10 * params["dpo"]["beta"])
    episodes = []
    for model in params[stage]:
        for number in range(10):
            step = Step("o", "", "look", "Action: look", "o", float(number < won))
            done = Trajectory("alfworld", f"t{number}", model, 0, 0.0, 1.0, True, (step,))
            episodes.append(Episode(model, 0, "unseen", done))
    write_episodes(layout.episodes("alfworld", 0, stage), episodes)
"""
TABLE = {
    "stages": {
        "explore": {"cmd": "python stand_in.py explore", "params": ["explore"], "outs": ["data/explore.txt"]},
        "trees": {
            "matrix": {"run": ["alfworld-0"]},
            "cmd": "python stand_in.py trees",
            "deps": ["data/explore.txt"],
            "params": ["tree"],
            "outs": ["results/trees/${item.run}.json"],
        },
        **{
            f"evaluate-{group}": {
                "matrix": {"run": ["alfworld-0"]},
                "cmd": f"python stand_in.py {group}",
                "deps": ["results/trees/${item.run}.json"],
                "params": [group, *(["dpo"] if group == "preference" else [])],
                "outs": [f"results/episodes/${{item.run}}/{group}.parquet"],
            }
            for group in ("preference", "imitation")
        },
    }
}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Toy]:
    """A repository with the smoke parameters and a commit; exploration has run."""
    toy = Toy(tmp_path / "project", tmp_path / "home")
    toy.env["PYTHONPATH"] = str(ROOT / "src")
    toy.path.mkdir()
    (toy.path / "params.yaml").write_text(overlays.merged(ROOT / "params/smoke.yaml").text())
    (toy.path / "dvc.yaml").write_text(yaml.safe_dump(TABLE, sort_keys=False))
    (toy.path / "stand_in.py").write_text(STAND_IN)
    (toy.path / ".gitignore").write_text("/data/\n/results/*\n!/results/grid.csv\n/logs/\n/runs.log\n__pycache__/\n")
    (toy.path / "results").mkdir()
    grid.write(toy.path / "results/grid.csv", [])
    toy.run("git", "init", "--quiet")
    toy.run("dvc", "init", "--quiet")
    yield toy
    assert not toy.left()


def run_grid(toy: Toy, *arguments: str, check: bool = True) -> str:
    return toy.run(sys.executable, str(ROOT / "workflow/studies/grid.py"), *arguments, check=check).stdout


def commit(toy: Toy) -> None:
    toy.run("git", "add", "--all")
    toy.run("git", "commit", "--quiet", "--message", "project")


@pytest.mark.slow
def test_grid_explores_again_only_for_broader_trees(project: Toy) -> None:
    assert "git repository with a commit" in run_grid(project, check=False)
    commit(project)
    project.run("dvc", "repro", "--quiet")
    project.ran()
    samples = yaml.safe_load((project.path / "params.yaml").read_text())["explore"]["samples"]

    assert "--breadth 1: must be at least 2" in run_grid(project, "--breadth", "1", check=False)
    run_grid(project, "--breadth", "2", "--beta", "0.1", "0.5")
    ran = project.ran()
    assert "explore" not in ran
    assert ran.count("trees") == 1, "of the breadth that params.yaml does not have"
    rows = grid.read(project.path / "results/grid.csv")
    own = yaml.safe_load((project.path / "params.yaml").read_text())["tree"]["breadth"]
    rewards = {(row.model, row.breadth, row.beta): row.average_reward for row in rows}
    assert rewards == {
        ("w2s_dpo", 2, 0.1): 0.1,
        ("w2s_dpo", own, 0.1): 0.1,
        ("w2s_dpo", own, 0.5): 0.5,
        ("w2s_mcts", 2, 0.1): 0.2,
        ("w2s_mcts", own, 0.1): own / 10,
    }
    assert {row.branchings_total for row in rows if row.breadth == 2} == {2}
    changed = project.run("git", "status", "--porcelain").stdout.split()
    assert set(changed) == {"M", "results/grid.csv", "??", "dvc.lock"}

    assert "beta0_7 failed" in run_grid(project, "--breadth", "2", "--beta", "0.7", check=False)
    assert project.ran().count("trees") == 0, "points that are there are not run again"
    assert grid.read(project.path / "results/grid.csv") == rows

    run_grid(project, "--breadth", str(samples + 2), "--beta", "0.1")
    ran = project.ran()
    assert ran.count("explore") == 1, "one exploration for all points"
    assert ran.count("trees") == 2
    assert {row.breadth for row in grid.read(project.path / "results/grid.csv")} == {own, samples + 2}


def plan(values: dict[str, Any], breadths: list[int], betas: list[float]) -> list[tuple[int, float]]:
    settings = validated(values, source=Path("params.yaml"))
    return [(run.breadth, run.beta) for run in study.plan(settings, breadths=breadths, betas=betas)]


def test_values_of_beta_that_the_table_cannot_tell_apart_are_refused(values: dict[str, Any]) -> None:
    """And those that are planned are trained with as they are, under names of their own."""
    for betas in ([0.1234567, 0.12345672], [0.10000001]):
        alike = r"^--beta: 0\.1\d* and 0\.1\d+, that of params.yaml counted: .*grid\.csv holds 6 digits"
        with pytest.raises(UserError, match=alike):
            plan(values, [6], betas)
    settings = validated(values, source=Path("params.yaml"))
    runs = study.plan(settings, breadths=[6], betas=[0.123456789, 0.12345])
    assert [run.name for run in runs][1:] == ["grid-breadth6-beta0_12345", "grid-breadth6-beta0_123456789"]
    assert "dpo.beta=0.123456789" in runs[2].command(values)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ({"breadth": [3, 100_000]}, r"^--breadth 100000 --beta 0\.1: explore\.samples: .*10000 \(found 100000\)$"),
        ({"beta": [0.5, 1e7]}, r"^--breadth 6 --beta 10000000\.0: dpo\.beta: .*$"),
    ],
)
def test_a_point_that_cannot_be_is_told_before_the_first_starts(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: dict[str, Any], line: str
) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    monkeypatch.chdir(tmp_path)
    for name in ("check_repository", "run_all"):
        monkeypatch.setattr(study, name, None)
    with pytest.raises(UserError, match=line):
        study.follow(Namespace(**({"breadth": None, "beta": study.BETAS} | words)))


def test_the_points_of_the_command_are_those_that_are_checked(values: dict[str, Any]) -> None:
    settings = validated(values, source=Path("params.yaml"))
    runs = study.plan(settings, breadths=[3, 12], betas=study.BETAS)
    study.check_points(runs, values)
    for run in runs:
        made = copy.deepcopy(values)
        words = run.command(values)
        for change in (after for word, after in pairwise(words) if word == "--set-param"):
            key, _, value = change.lstrip("~").partition("=")
            section, name = key.split(".")
            if value:
                made[section][name] = yaml.safe_load(value)
            else:
                del made[section][name]
        assert made == run.changed(values)


def test_what_experiments_need_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("logs").touch()
    with pytest.raises(UserError, match=r"^logs: a file, where experiments' output goes; move it elsewhere$"):
        study.check_repository()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"^git: not found, and experiments need it; install it"):
        study.check_repository()


def test_what_reaches_no_method_is_not_varied(values: dict[str, Any]) -> None:
    """Along the other axis there is a grid all the same."""
    assert plan(values, [3], [0.5]) == [(6, 0.1), (3, 0.1), (6, 0.5)]
    values["preference"]["w2s_dpo"]["dpo"] = {**values["dpo"], "likelihood": 0.5}
    with pytest.raises(
        UserError, match=r"^params\.yaml: preference\.w2s_dpo\.dpo: .*; let it be null, .*--beta 0\.1\)$"
    ):
        plan(values, [3], [0.5])
    assert plan(values, [3], [0.1]) == [(6, 0.1), (3, 0.1)]
    values["preference"]["w2s_dpo"] |= {"dpo": None, "data": "eto"}
    with pytest.raises(
        UserError, match=r"^params\.yaml: preference\.w2s_dpo\.data: .* of eto; write tree, .*--breadth 6\)$"
    ):
        plan(values, [3], [0.5])
    assert plan(values, [6], [0.5]) == [(6, 0.1), (6, 0.5)]
    values["preference"]["w2s_dpo"]["data"] = "tree"
    values["imitation"]["w2s_mcts"]["data"] = "first"
    with pytest.raises(UserError, match=r"^params\.yaml: imitation\.w2s_mcts\.data: .* of first; write mcts"):
        plan(values, [3], [0.5])
    # The expert is held against the samples of the trees, so that their breadth counts.
    values["preference"]["w2s_dpo"]["data"] = "expert"
    values["imitation"]["w2s_mcts"]["data"] = "mcts"
    assert plan(values, [3], [0.5]) == [(6, 0.1), (3, 0.1), (6, 0.5)]
