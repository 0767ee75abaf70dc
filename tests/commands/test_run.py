"""`w2sg run` against the tools that it stands in for: the same stages, the same hashes, and DVC takes its work over."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from w2sg.commands.run import lock_file, schedule, stage_table
from w2sg.config.overlays import merged
from w2sg.contracts.errors import UserError

from .conftest import Run, dvc

ROOT = Path(__file__).parents[2]


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("out", ["/tmp/out", "../out", "data/../../out", ".", "", "a\\0b", " "])
def test_nothing_outside_the_project_is_removed(work: Path, run: Run, out: str) -> None:
    """An output is removed before its stage runs: `outs: [..]` would have taken the folder around the project."""
    beside = work.parent / "out"
    beside.mkdir(exist_ok=True)
    (work / "dvc.yaml").write_text((work / "dvc.yaml").read_text().replace("data/code.txt]", f'"{out}"]'))
    (line,) = run(status=2).splitlines()
    assert line.startswith("w2sg run: dvc.yaml: stages.code: ")
    assert "must lie below the project's folder" in line or "no path; write one on one line" in line
    assert beside.is_dir() and (work / "source").exists()


def test_wrong_parameters_are_told_before_anything_runs(work: Path, run: Run) -> None:
    table = (work / "dvc.yaml").read_text()
    check = "{first: true, check: 'grep -q ^width params.yaml || { echo params.yaml: width: missing >&2; exit 2; }'}"
    (work / "dvc.yaml").write_text(table.replace("{first: true}", check).replace("params: [width]", "params: [seeds]"))
    assert "draw@a-0: " in run("--dry-run")
    (work / "params.yaml").write_text("names: {a: 1}\nseeds: [0]\n")
    assert run(status=2) == run("--dry-run", status=2) == "w2sg run: params.yaml: width: missing\n"
    assert not (work / "data").exists()


def ran(work: Path) -> list[str]:
    """The stages that have run since the last look."""
    log = work / "runs.log"
    names = log.read_text().split() if log.exists() else []
    log.unlink(missing_ok=True)
    return names


def test_what_is_stale_runs(work: Path, run: Run) -> None:
    assert run("--cores", "2").endswith("6 stages have run\n")
    assert ran(work) == ["draw"] * 4 + ["sum"]
    assert run() == "all stages are up to date\n"
    (work / "params.yaml").write_text((work / "params.yaml").read_text().replace("other: 1", "other: 2"))
    assert run() == "all stages are up to date\n"
    (work / "params.yaml").write_text((work / "params.yaml").read_text().replace("[0, 7]", "[0, 7, 8]"))
    assert "draw@a-8: has not run\n" in run()
    assert ran(work) == ["draw", "draw", "sum"]
    (work / "data/draws/b-7.txt").unlink()
    assert "draw@b-7: data/draws/b-7.txt is missing" in run()
    assert ran(work) == ["draw"], "the same output came back"
    (work / "params.yaml").write_text((work / "params.yaml").read_text().replace("width: 3", "width: 4"))
    assert "draw@a-0: width changed" in run("--dry-run")
    assert ran(work) == []
    run()
    assert ran(work) == ["draw"] * 6 + ["sum"]


def test_what_a_killed_run_was_writing_is_taken_away(work: Path, run: Run) -> None:
    (work / "data/draws/.a-7.txt.12.tmp").mkdir(parents=True)
    (work / "data/draws/.a-7.txt.12.tmp/part").touch()
    left = [work / "data/draws/.b-7.txt.13.tmp", work / ".dvc.lock.14.tmp"]
    kept = [work / "data/draws/.b-7.txt", work / "data/draws/.c-7.txt.13.tmp"]
    for path in (*left, *kept):
        path.touch()
    run()
    assert not [path for path in work.rglob(".*.tmp") if path not in kept]
    assert all(path.exists() for path in kept)


def test_stages_that_are_named_run_with_what_they_need(work: Path, run: Run) -> None:
    assert run("draw@a-7").endswith("2 stages have run\n")
    assert (work / "data/draws/a-7.txt").exists() and ran(work) == ["draw"]
    assert run("code", "draw").endswith("3 stages have run\n")
    assert ran(work) == ["draw"] * 3
    assert run("sum").endswith("1 stages have run\n")
    assert run() == "all stages are up to date\n"
    assert run("a-7", status=2) == "w2sg run: a-7: no such stage; dvc.yaml has code, draw, sum\n"


def test_stages_side_by_side_are_spread_over_the_cards(work: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6")
    table = """\
stages:
  one:
    foreach: [a, b]
    do:
      cmd: "echo $CUDA_VISIBLE_DEVICES > ${item}; while ! test -s a || ! test -s b || ! test -s c; do sleep 0.01; done"
      outs: ["${item}"]
  two: {cmd: "echo $CUDA_VISIBLE_DEVICES > c", outs: [c], meta: {gpu: 2}}
  none: {cmd: "echo $CUDA_VISIBLE_DEVICES > d", deps: [a, b, c], outs: [d], meta: {gpu: 0}}
  all: {cmd: "echo $CUDA_VISIBLE_DEVICES > e", deps: [d], outs: [e], meta: {gpu: 3}}
"""
    (work / "dvc.yaml").write_text(table)
    run("--cores", "3")
    seen = {name: (work / name).read_text().strip() for name in "abcde"}
    assert seen == {"a": "3", "b": "5", "c": "6,3", "d": "3,5,6", "e": "3,5,6"}
    (work / "dvc.yaml").write_text(table.replace("gpu: 2", "gpu: -1"))
    assert run(status=2) == "w2sg run: dvc.yaml: stages.two.meta.gpu: -1; expected a number from 0\n"


def test_what_a_killed_run_has_left_keeps_the_folder(work: Path, run: Run) -> None:
    (work / "dvc.yaml").write_text("stages: {a: {cmd: 'echo > begun; sleep 3; echo > a', outs: [a]}}\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    killed = subprocess.Popen([sys.executable, "-m", "w2sg.commands", "run"], env=environment)
    wait_until(lambda: (work / "begun").exists())
    killed.kill()
    killed.wait()
    assert "another `w2sg run` is at work in this folder, or what one has left" in run(status=2)
    with schedule.ALONE.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # waits for the end of what was left
    assert run().endswith("1 stages have run\n")


def test_dvc_takes_the_work_over(work: Path, run: Run) -> None:
    run()
    ran(work)
    dvc("init", "--no-scm", "--quiet")
    dvc("commit", "--force", "--quiet")
    assert "up to date" in dvc("status")
    (work / "params.yaml").write_text((work / "params.yaml").read_text().replace("width: 3", "width: 4"))
    dvc("repro", "--quiet")
    assert ran(work) == ["draw"] * 4 + ["sum"]
    assert run() == "all stages are up to date\n"


def test_a_failure_stops_what_follows_and_the_rest_goes_on_later(work: Path, run: Run) -> None:
    text = (work / "dvc.yaml").read_text()
    (work / "dvc.yaml").write_text(text.replace("data/draws && echo", "data/draws && test ${item.name} = a && echo"))
    said = run(status=1)
    assert "w2sg run: draw@b-0: failed (exit code 1); its own line is above\n" in said
    assert not (work / "results").exists()
    kept = ran(work)
    (work / "dvc.yaml").write_text(text)
    run()
    assert len(kept + ran(work)) >= 5


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("dvc.yaml", "deps: [source]", "deps: [sources]", "code: sources, which it reads, is not there"),
        ("dvc.yaml", "${seeds}", "${sizes}", "dvc.yaml: names sizes, which params.yaml does not have"),
        ("dvc.yaml", "params: [width]", "params: [widths]", "dvc.yaml: names widths, which params.yaml does not have"),
        ("dvc.yaml", "deps: [source]", "deps: [results]", "dvc.yaml: stages depend on each other: "),
        ("dvc.yaml", "outs: [results/all]", "outs: [data/code.txt]", "dvc.yaml: stages code and sum both write "),
        ("dvc.yaml", "outs: [results/all]", "outs: [{results/all: {cache: false}}]", "dvc.yaml: stages.sum: "),
        ("dvc.yaml", "meta: {first: true}", "frozen: true", "dvc.yaml: stages.code: frozen: not known to `w2sg run`"),
        ("params.yaml", "seeds: [", "seeds: 5 #[", "params.yaml: seeds is 5, but stage "),
        ("dvc.yaml", "meta: {first: true}", "meta: {thread: 2}", "dvc.yaml: stages.code.meta.thread: unknown; allowed"),
        ("dvc.yaml", "meta: {first: true}", "meta: {threads: x}", "dvc.yaml: stages.code.meta.threads: "),
        ("dvc.yaml", "    deps: [source]", "    deps: 3", "dvc.yaml: stages.code: not a stage as DVC"),
        (".dvcignore", "/logs", "a/b", ".dvcignore: a/b: not known to `w2sg run`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(work: Path, run: Run, file: str, old: str, new: str, line: str) -> None:
    text = (work / file).read_text()
    assert old in text
    (work / file).write_text(text.replace(old, new))
    said = run(status=2)
    assert said.startswith(f"w2sg run: {line}") and said.count("\n") == 1


def resolved_by_dvc(folder: Path) -> dict[str, dict[str, Any]]:
    """The stages as DVC reads them."""
    from dvc.repo import Repo

    with Repo.init(str(folder), no_scm=True) as repo:
        return {
            stage.addressing: {
                "cmd": stage.cmd,
                "deps": sorted(dep.def_path for dep in stage.deps if not hasattr(dep, "params")),
                "params": sorted(key for dep in stage.deps if hasattr(dep, "params") for key in dep.params or ["*"]),
                "outs": sorted(out.def_path for out in stage.outs),
            }
            for stage in repo.index.stages
        }


@pytest.mark.parametrize("preset", ["study", "smoke", "paper", "authors"])
def test_the_stages_of_the_project_are_those_that_dvc_sees(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    values = merged(ROOT / f"params/{preset}.yaml").values
    values["outside"] = {"alfworld": "games", "weak": "llama"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    found = {
        stage.name: {
            "cmd": stage.command,
            "deps": sorted(stage.deps),
            "params": ["*"] if stage.name == "report" else sorted(stage.params),
            "outs": sorted(stage.outs),
        }
        for stage in stage_table.read()
    }
    assert found == resolved_by_dvc(tmp_path)
    stage_table.before(stage_table.read())


def test_what_runs_beside_a_mistake_is_recorded(work: Path, run: Run) -> None:
    """What a stage should have made and has not, and an output that cannot be removed."""
    table = """\
stages:
  first: {cmd: "mkdir -p f", outs: [f]}
  user: {cmd: "touch u", deps: [f/typed.csv], outs: [u]}
  slow: {cmd: "sleep 1; echo x > slow", outs: [slow]}
"""
    (work / "dvc.yaml").write_text(table)
    said = run("--cores", "2", status=1)
    assert "w2sg run: user: f/typed.csv, which it reads, is not there\n" in said
    assert {*lock_file.read()} == {"first", "slow"}
    (work / "dvc.yaml").write_text(table.replace("f/typed.csv", "f").replace("[u]", "[u/v]"))
    (work / "u").touch()
    (work / "slow").unlink()
    said = run("--cores", "2", status=1)
    assert "w2sg run: user: u/v: not a directory" in said
    assert {*lock_file.read()} == {"first", "slow"} and (work / "slow").exists()


def test_an_output_that_is_a_link_to_a_folder_is_taken_away_as_a_link(work: Path, run: Run) -> None:
    (work / "scratch").mkdir()
    (work / "scratch/other").touch()
    (work / "a").symlink_to(work / "scratch")
    (work / "dvc.yaml").write_text("stages: {a: {cmd: 'mkdir a && touch a/b', outs: [a]}}\n")
    assert run().endswith("1 stages have run\n")
    assert (work / "scratch/other").exists() and not (work / "a").is_symlink()


@pytest.mark.parametrize("file", ["params.yaml", "dvc.yaml"])
def test_nothing_begins_by_parameters_that_have_changed(work: Path, run: Run, file: str) -> None:
    """Put back after the run, they would seem to have made what others have."""
    table = f"""\
stages:
  slow: {{cmd: "sed -i 's/width: 3/width: 4/' params.yaml; echo '#' >> {file}; touch s", outs: [s]}}
  train: {{cmd: "grep width params.yaml > t", deps: [s], params: [width], outs: [t]}}
"""
    (work / "dvc.yaml").write_text(table if file == "params.yaml" else table.replace("width: 4", "width: 3"))
    before = (work / file).read_text()
    assert f"w2sg run: {file}: changed while this call worked by it; call again to go on\n" in run(status=1)
    assert not (work / "t").exists() and {*lock_file.read()} == {"slow"}
    (work / file).write_text(before)
    assert "train: has not run" in run() and (work / "t").read_text() == "width: 3\n"


def test_a_file_system_without_locks_and_an_editor_that_replaces_files(
    work: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with schedule._alone():
        (work / "dvc.yaml").rename(work / "old.yaml")
        shutil.copy(work / "old.yaml", work / "dvc.yaml")
        assert "another `w2sg run` is at work" in run(status=2)
        assert "code: has not run" in run("--dry-run")

    def unknown(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unknown)
    assert run("code").endswith("1 stages have run\n")


def test_two_at_once(work: Path) -> None:
    with (
        schedule._alone(),
        pytest.raises(UserError, match="another `w2sg run` is at work in this folder"),
        schedule._alone(),
    ):
        pass
