"""What the Snakefile is told, and the job of a rule."""

import inspect
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
import snakemake.cli
from hypothesis import given
from hypothesis import strategies as st

from snakemake_dvc import jobs
from snakemake_dvc.command_line import SHOWING, Mode, read_command
from snakemake_dvc.plan import load_pipeline
from snakemake_dvc.stages import BridgeError

STAMP = ".dvc/tmp/snakemake/train@a"

# DVC uses something its dependency pygtrie deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


def test_every_way_not_to_execute_is_known():
    """Snakemake decides by a chain of conditions on its options; one that is new to us would count as execution."""
    chain = inspect.getsource(snakemake.cli.args_to_api).partition("if args.lint:")[2].partition("execute_workflow(")[0]
    asked = set(re.findall(r"if args\.(\w+)", chain)) | {"lint", "reporter", "report", "deploy_sources"}
    asked -= {"preemptible_rules"}  # qualifies an execution
    assert asked == set(SHOWING.split())


def command(line, monkeypatch, *, main=True):
    monkeypatch.setattr("sys.argv", ["snakemake", *line.split()])
    return read_command(types.SimpleNamespace(is_main_process=main))


@pytest.mark.parametrize(
    ("line", "mode", "targets"),
    [
        ("--cores 2", Mode.EXECUTE, []),
        ("-c2 -k train results/x.csv", Mode.EXECUTE, ["results/x.csv", "train"]),
        ("-c2 --config a=b --report r.html --report-after-run", Mode.EXECUTE, []),
        ("-c2 train -R score report", Mode.EXECUTE, ["report", "score", "train"]),
        ("-c2 -R score", Mode.EXECUTE, []),
        ("-n", Mode.SHOW, []),
        ("-nq -- train", Mode.SHOW, ["train"]),
        ("-Fnp", Mode.SHOW, []),
        ("--lint", Mode.SHOW, []),
        ("--dag mermaid-js", Mode.SHOW, []),
        ("--report r.html", Mode.REPORT, []),
        ("--no-such-option", Mode.SHOW, []),
    ],
)
def test_read_command(line, mode, targets, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert command(line, monkeypatch) == (mode, targets)


def test_read_command_of_a_job(monkeypatch):
    assert command("--cores 2", monkeypatch, main=False) == (Mode.JOB, [])


@given(st.lists(st.text(min_size=1), min_size=2, max_size=2, unique=True))
def test_file_names_differ_as_the_stages_do(names):
    one, other = map(jobs.file_name, names)
    assert one != other
    assert re.fullmatch(r"[\w.~@%-]+", one, re.ASCII)


def test_file_names_are_readable():
    assert jobs.file_name("trees@alfworld-0") == "trees@alfworld-0"
    assert jobs.file_name("sub/dvc.yaml:x@1e-05") == "sub%2Fdvc.yaml%3Ax@1e-05"


def test_showing_and_executing_agree(here, tmp_path):
    here.edit("params.yaml", "beta: 0.3", "beta: 0.5")
    before = here.snapshot()
    shown = load_pipeline(Mode.SHOW, [], scratch=tmp_path)
    assert here.snapshot() == before
    (rule,) = [rule for rule in shown.rules if rule.stage.name == "train@a"]
    assert rule.message == "train@a: beta changed"
    assert not Path(rule.stamp).exists()
    executing = load_pipeline(Mode.EXECUTE, [], scratch=tmp_path)
    stale = [rule.stage.name for rule in executing.rules if not Path(rule.stamp).exists()]
    assert stale == [rule.stage.name for rule in shown.rules if not Path(rule.stamp).exists()]
    assert sorted(stale) == ["report", "score@a", "score@b", "train@a", "train@b"]


def test_showing_a_clone(here, tmp_path):
    """Everything is up to date, but no stamp says so."""
    shutil.rmtree(".dvc/tmp/snakemake")
    shown = load_pipeline(Mode.SHOW, [], scratch=tmp_path)
    assert all(Path(rule.stamp).exists() and Path(rule.stamp).is_relative_to(tmp_path) for rule in shown.rules)
    assert not Path(".dvc/tmp/snakemake").exists()


def test_a_job_judges_nothing(here, tmp_path):
    here.edit("params.yaml", "beta: 0.3", "beta: 0.5")
    job = load_pipeline(Mode.JOB, [], scratch=tmp_path)
    assert {rule.stamp for rule in job.rules} == {str(path) for path in Path(".dvc/tmp/snakemake").iterdir()}


def test_only_the_targets_are_judged(here, tmp_path):
    here.edit("params.yaml", "beta: 0.3", "beta: 0.5")
    load_pipeline(Mode.EXECUTE, ["train@a", "out/prepare/b/part.txt"], scratch=tmp_path)
    assert not Path(STAMP).exists()
    assert Path(".dvc/tmp/snakemake/train@b").exists(), "not asked about"


def test_aliases(here, tmp_path):
    pipeline = load_pipeline(Mode.SHOW, ["train@a", "score", "out/report/figure.svg"], scratch=tmp_path)
    stamps = ".dvc/tmp/snakemake"
    assert pipeline.aliases == {
        "score": (f"{stamps}/score@a", f"{stamps}/score@b"),
        "out/report/figure.svg": (f"{stamps}/report",),
    }


def test_only_a_report_names_real_files(here, tmp_path):
    figures = {
        mode: load_pipeline(mode, [], scratch=tmp_path).rules[-1].figures for mode in (Mode.REPORT, Mode.EXECUTE)
    }
    assert figures == {Mode.REPORT: ("out/report/figure.svg",), Mode.EXECUTE: ()}


def test_run_stage(here):
    here.edit("params.yaml", "beta: 0.3", "beta: 0.5")
    Path(STAMP).unlink()
    assert jobs.main(["run", "train@a", STAMP]) == 0
    assert here.ran() == ["train-a"]
    assert Path(STAMP).exists()
    assert jobs.main(["run", "train@a", STAMP]) == 0
    assert here.ran() == []


def test_failing_stage(here, capfd):
    here.edit("params.yaml", "beta: 0.3", "beta: 0.5")
    Path("fail-train-a").touch()
    Path(STAMP).unlink()
    assert jobs.main(["run", "train@a", STAMP]) == 1
    assert not Path(STAMP).exists()
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("Error")]
    assert line.startswith("Error: failed to reproduce 'train@a': failed to run: sh stage.sh train-a")
    assert line.endswith("exited with 3")


def spoil(name):
    match name:
        case "no dvc.yaml":
            Path("dvc.yaml").unlink()
        case "no .dvc":
            shutil.rmtree(".dvc")
        case "no .git":
            shutil.rmtree(".git")
        case "not yaml":
            Path("dvc.yaml").write_text("stages: [")
        case "unknown key":
            Path("dvc.yaml").write_text("stages:\n  x:\n    cmd: 'true'\n    dep: [raw.txt]\n")
        case "cycle":
            Path("dvc.yaml").write_text(
                "stages:\n  x: {cmd: 'true', deps: [p], outs: [q]}\n  y: {cmd: 'true', deps: [q], outs: [p]}\n"
            )
        case "two makers":
            Path("dvc.yaml").write_text("stages:\n  x: {cmd: 'true', outs: [q]}\n  y: {cmd: 'true', outs: [q]}\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no dvc.yaml", "dvc.yaml is not in this folder"),
        ("no .dvc", "this is not a DVC repository"),
        ("no .git", "this is not a git repository"),
        ("not yaml", "dvc.yaml"),
        ("unknown key", r"dvc.yaml.*dep"),
        ("cycle", "both a dependency and an output in stages: (x, y|y, x)"),
        ("two makers", "q"),
    ],
)
def test_what_the_user_must_mend_is_one_line(here, tmp_path, name, message):
    spoil(name)
    with pytest.raises(BridgeError, match=message) as error:
        load_pipeline(Mode.SHOW, [], scratch=tmp_path)
    assert "\n" not in str(error.value)


PACKAGE = Path(jobs.__file__).parent


@pytest.mark.parametrize("call", [["-m", "snakemake_dvc"], [PACKAGE], [PACKAGE / "__main__.py"]], ids=str)
def test_the_job_is_a_module_a_folder_and_a_file(call, tmp_path):
    """By its path it needs nothing to be installed, and puts none of its modules in the way of others."""
    path = {"PYTHONPATH": str(PACKAGE.parent)} if "-m" in call else {}
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | path
    done = subprocess.run([sys.executable, *call], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "usage: python -m snakemake_dvc run STAGE STAMP, or dvc WORDS\n")


@pytest.mark.slow
def test_a_folder_whose_path_snakemake_cannot_use(toy, tmp_path):
    other = type(toy)(tmp_path / "run{s}", Path(toy.env["HOME"]))
    shutil.copytree(toy.path, other.path)
    done = other.run("snakemake", "-n", check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == (
        f"Error: {other.path}: Snakemake takes braces in a path for wildcards; call it in a folder without"
    )
