"""What Snakemake and DVC promise each other, on the real commands (the table in docs/pipeline.md)."""

import os
import re
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ALL = ["prepare-a", "prepare-b", "report", "score-a", "score-b", "train-a", "train-b"]
AFTER_BETA = [name for name in ALL if not name.startswith("prepare")]


def test_first_run(done_toy):
    assert sorted((done_toy.path / "runs.log").read_text().split()) == ALL
    lock = (done_toy.path / "dvc.lock").read_text()
    assert len(re.findall(r"^  \S+:$", lock, re.MULTILINE)) == len(ALL), "several jobs at once lose no entry"
    assert "lock" not in done_toy.log.lower().replace("dvc.lock", "").replace("lock file", "")
    assert "hello from train-a" in done_toy.log, "a stage's output is shown"
    assert "and to stderr from train-a" in (done_toy.path / "logs/train@a.log").read_text()
    assert "train@a: it has not run before" in done_toy.log
    assert done_toy.clean


def test_both_tools_agree(toy):
    assert toy.nothing_to_do
    toy.run("dvc", "repro")
    toy.snakemake()
    for file in toy.path.rglob("*"):
        if ".git" not in file.parts and ".dvc" not in file.parts:
            file.touch()
    assert toy.nothing_to_do
    toy.snakemake()
    assert toy.ran() == []


def test_one_parameter_there_and_back(toy):
    toy.edit("params.yaml", "beta: 0.3", "beta: 0.5")
    toy.snakemake()
    assert toy.ran() == AFTER_BETA
    assert toy.clean
    toy.edit("params.yaml", "beta: 0.5", "beta: 0.3")
    before = toy.snapshot()
    plan = toy.snakemake("-n")
    assert "would be restored from DVC's run cache: train@a" in plan
    assert "Nothing to be done" in plan
    assert toy.snapshot() == before
    assert "restored from DVC's run cache: train@a" in toy.snakemake()
    assert toy.ran() == []
    assert toy.clean
    assert toy.nothing_to_do


def test_after_dvc_repro(toy):
    toy.edit("params.yaml", "beta: 0.3", "beta: 0.5")
    toy.run("dvc", "repro")
    assert toy.ran() == AFTER_BETA
    assert toy.nothing_to_do
    toy.edit("params.yaml", "beta: 0.5", "beta: 0.3")
    toy.run("dvc", "repro")
    assert toy.nothing_to_do


def test_deleted_outputs_are_restored(toy):
    (toy.path / "out/train/a.txt").unlink()
    (toy.path / "out/score/b.json").unlink()
    toy.snakemake()
    assert toy.ran() == []
    assert toy.clean


def test_a_comment_in_a_dependency_is_cut_off_early(toy):
    toy.edit("stage.sh", "# stage.sh", "# A comment.\n# stage.sh")
    toy.snakemake()
    assert toy.ran() == ["prepare-a", "prepare-b"]
    assert toy.clean


def test_clone_and_pull(toy, tmp_path):
    toy.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    toy.run("dvc", "push", "--quiet")
    toy.run("git", "add", "--all")
    toy.run("git", "commit", "--quiet", "--message", "built")
    toy.run("git", "clone", "--quiet", ".", str(tmp_path / "clone"))
    clone = type(toy)(tmp_path / "clone", tmp_path)
    clone.run("dvc", "pull", "--quiet")
    assert clone.nothing_to_do
    clone.snakemake()
    assert clone.ran() == []


def test_a_failure_stops_only_its_descendants(toy):
    toy.edit("params.yaml", "beta: 0.3", "beta: 0.5")
    (toy.path / "fail-train-a").touch()
    done = toy.run("snakemake", "--cores", "2", check=False)
    assert done.returncode == 1
    assert "exited with 3" in done.stdout
    assert "Traceback" not in done.stdout
    assert toy.ran() == ["score-b", "train-a", "train-b"]
    assert not (toy.path / ".dvc/tmp/snakemake/train@a").exists()
    (toy.path / "fail-train-a").unlink()
    toy.snakemake()
    assert toy.ran() == ["report", "score-a", "train-a"]
    assert toy.clean


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("train@a", ["prepare-a", "train-a"]),
        ("prepare", ["prepare-a", "prepare-b"]),
        ("out/prepare/a/part.txt", ["prepare-a"]),
        ("./out/score/a.json", ["prepare-a", "score-a", "train-a"]),
    ],
)
def test_targets(unbuilt, target, expected):
    unbuilt.snakemake("--cores", "4", target)
    assert unbuilt.ran() == expected


def test_without_an_environment_of_conda(unbuilt):
    """Which is optional: Snakemake would read the file after each job."""
    (unbuilt.path / "environment.yml").unlink()
    unbuilt.snakemake("--cores", "2")
    assert "Nothing to be done" in unbuilt.snakemake("-n")


def test_unknown_target(unbuilt):
    done = unbuilt.run("snakemake", "-n", "trian@a", check=False)
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if "profile" not in line]
    assert line.startswith("Error: no stage or output is called 'trian@a'; did you mean train@a")


LOOKING = "-n|-nq|-nF|--touch|--unlock|--summary|--lint|--dag|--list|--list-changes code|--report {tmp}/report.html"


def test_looking_changes_nothing(toy, tmp_path):
    toy.edit("params.yaml", "beta: 0.3", "beta: 0.5")
    (toy.path / "out/prepare/a/part.txt").unlink()
    before = toy.snapshot()
    for command in LOOKING.split("|"):
        toy.snakemake(*command.format(tmp=tmp_path).split())
        assert toy.snapshot() == before, command
    assert toy.ran() == []


def test_lint_and_format(toy):
    assert "good condition" in toy.snakemake("--lint")
    toy.run("snakefmt", "--check", "Snakefile")


def test_called_from_outside_its_environment(unbuilt, tmp_path):
    """Without `activate`, a stage's `python` is nevertheless the one that runs Snakemake."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "bin/python").chmod(0o755)
    (unbuilt.path / "prefix.py").write_text("import sys\nopen('prefix', 'w').write(sys.prefix)\n")
    (unbuilt.path / "dvc.yaml").write_text("stages:\n  prefix: {cmd: python prefix.py, outs: [prefix]}\n")
    outside = [folder for folder in os.environ["PATH"].split(":") if Path(folder) != Path(sys.executable).parent]
    snakemake = Path(sys.executable).with_name("snakemake")
    unbuilt.run(str(snakemake), "--cores", "1", PATH=":".join([f"{tmp_path}/bin", *outside]))
    assert (unbuilt.path / "prefix").read_text() == sys.prefix
