"""What the killed leave: notes, temporary files, experiments half-way; and disks that take no more."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snakemake_dvc import jobs, writes
from snakemake_dvc.command_line import Mode
from snakemake_dvc.plan import load_pipeline
from snakemake_dvc.stages import BridgeError
from test_kills import JOB, KILLED, STAMP, change, finish, results, undisturbed  # noqa: F401, the last is a fixture
from toys import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")]

RWLOCK = Path(".dvc/tmp/rwlock")


@pytest.fixture
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def plan(toy):
    return load_pipeline(Mode.EXECUTE, [], scratch=toy.path / "logs")


def note(pid):
    return {"pid": pid, "cmd": "snakemake_dvc run"}


def test_notes_of_the_dead_are_forgotten(here, dead):
    """Those of the living stay, and the note of one whose number another process has by now is not of the living."""
    both = {"read": {"x": [note(dead), note(os.getpid())]}, "write": {"y": note(dead), "z": note(os.getpid())}}
    RWLOCK.write_text(json.dumps(both))
    plan(here)
    assert json.loads(RWLOCK.read_text()) == {"read": {"x": [note(os.getpid())]}, "write": {"z": note(os.getpid())}}
    long_ago = time.time() - 10 * 365 * 86400
    os.utime(RWLOCK, (long_ago, long_ago))
    plan(here)
    assert not any(json.loads(RWLOCK.read_text()).values())


def test_a_number_that_is_another_process_by_now_blocks_nobody(here):
    """DVC would say that the output is busy, after a reboot for good."""
    RWLOCK.write_text(json.dumps({"read": {}, "write": {str(here.path / "out/train/a.txt"): note(os.getppid())}}))
    long_ago = time.time() - 10 * 365 * 86400
    os.utime(RWLOCK, (long_ago, long_ago))
    (here.path / "out/train/a.txt").unlink()
    jobs.run_stage("train@a", STAMP)


def test_temporary_files_of_the_dead_are_taken_away(here, dead):
    host = socket.gethostname()
    cache = next(path.parent for path in Path(".dvc/cache/files/md5").glob("*/*"))
    left = [
        cache / f".{writes.HOST}-{dead}.abc_-d.tmp",
        next(Path(".dvc/cache/runs").glob("*/*")) / f"ff.{writes.HOST}-{dead}.abc.tmp",
        next(Path(".dvc/cache/runs").glob("*/*")) / f"..{writes.HOST}-{dead}.abc.tmp.tmp",
        Path(f"out/train/.{writes.HOST}-{dead}.abc.tmp"),
        Path(f"out/report/.{writes.HOST}-{dead}.abc.tmp"),
        Path("out/train/.a.txt.77.tmp"),
        Path("out/.report.77.tmp/part"),
        Path(".dvc.lock.tmp"),
        Path("out/.gitignore.tmp"),
        Path("out/..gitignore.tmp"),
        Path(".dvc/tmp/.rwlock.tmp"),
    ]
    kept = [
        cache / f".{writes.HOST}-{os.getpid()}.abc.tmp",
        cache / f".not-{host}-{dead}.abc.tmp",
        cache / ".abc.tmp",
        Path("out/train/.b.txt.old"),
        Path("out/.gitignore.tmp"),
    ]
    for path in [*left, *kept]:
        path.parent.mkdir(exist_ok=True)
        path.write_text("some")
    plan(here)
    assert [path for path in left if path.exists()] == [Path("out/.gitignore.tmp")], "which is nobody's name"
    assert [path for path in kept if not path.exists()] == []
    for path in kept:
        path.unlink()
    assert not writes.is_of_the_dead(str(left[0])), "it is gone, as where its writer has moved it meanwhile"


def test_what_a_living_run_writes_stays(here):
    """The command of a killed job lives on, and has its temporary file."""
    change(here)
    Path("block-train-a").touch()
    call = here.start("snakemake", "--cores", "2", "train@a", screen="first")
    wait_until(lambda: Path("runs.log").exists() and "train-a" in Path("runs.log").read_text())
    temporary = here.path / "out/train/.a.txt.77.tmp"
    temporary.write_text("some")
    for process in here.processes():
        if process.info["name"] not in ("sh", "sleep") and process.pid != os.getpid():
            process.kill()
    assert call.wait(120) == -signal.SIGKILL
    plan(here)
    assert temporary.exists()
    Path("block-train-a").unlink()
    wait_until(lambda: not jobs.is_busy("train@a"))
    plan(here)
    assert not temporary.exists()


def test_temporary_files_of_dvc_are_signed(here, monkeypatch):
    """So that the first test above is about names that there are."""
    seen = []
    copy = shutil.copyfile

    def copyfile(source, target, **options):
        seen.append(str(target))
        return copy(source, target, **options)

    change(here)
    monkeypatch.setattr("shutil.copyfile", copyfile)
    jobs.run_stage("train@a", STAMP)
    (here.path / "out/train/a.txt").unlink()
    jobs.run_stage("train@a", STAMP)
    into_cache = [path for path in seen if ".dvc/cache" in path]
    assert into_cache and len(seen) > len(into_cache)
    assert all(f".{writes.HOST}-{os.getpid()}." in path and path.endswith(".tmp") for path in seen)


@pytest.mark.parametrize("moment", ["writing", "moving"])
def test_a_gitignore_is_whole(here, undisturbed, moment):  # noqa: F811
    """DVC adds to it when a stage runs for the first time."""
    change(here)
    ignored = here.path / "out/train/.gitignore"
    ignored.write_text("/b.txt\n# ours, without an end")
    done = here.run(sys.executable, str(KILLED), ".gitignore", moment, *JOB, check=False)
    assert done.returncode == -signal.SIGKILL, done.stdout
    assert ignored.read_text() == "/b.txt\n# ours, without an end"
    finish(here)
    assert ignored.read_text() == "/b.txt\n# ours, without an end\n/a.txt\n"
    ignored.write_text("/a.txt\n/b.txt\n")
    assert {path.name for path in (here.path / "out/train").iterdir()} == {"a.txt", "b.txt", ".gitignore"}


@pytest.fixture
def committed(here):
    here.run("git", "add", "--all")
    here.run("git", "commit", "--quiet", "--message", "built")
    return here


@pytest.mark.parametrize("moment", ["writing", "moving"])
def test_an_experiment_killed_while_it_sets_a_parameter(committed, moment):
    """Under `python -m snakemake_dvc dvc` the file is whole; the note says how to get back what git holds."""
    committed.edit("params.yaml", "beta: 0.3", "beta: 0.5")
    before = committed.run("git", "rev-parse", "--abbrev-ref", "HEAD").stdout.strip()
    words = ("snakemake_dvc", "dvc", "exp", "run", "--set-param", "tree.breadth=4")
    killed = committed.run(sys.executable, str(KILLED), "params.yaml", moment, *words, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stdout
    assert (committed.path / "params.yaml").read_text().startswith("envs: [a, b]\ncount: 10\nbeta: 0.")
    said = committed.snakemake("-n")
    assert "Note: a `dvc exp run` is at work in this folder, or was killed: then `git switch --force BRANCH`" in said
    assert "`git stash pop`, if what was not committed is missing" in said
    committed.run("git", "switch", "--quiet", "--force", before)
    committed.run("git", "stash", "pop", "--quiet")
    assert "beta: 0.5\ntree:\n  breadth: 3\n" in (committed.path / "params.yaml").read_text()
    assert "Note" not in committed.snakemake()
    assert committed.clean
    committed.run(sys.executable, "-m", *words)
    assert "breadth: 4" in (committed.path / "params.yaml").read_text()
    assert committed.nothing_to_do


@pytest.mark.parametrize("blocks", [0, 1, 2, 3])
def test_a_disk_that_takes_no_more(here, undisturbed, blocks):  # noqa: F811
    """No file may grow beyond so many blocks of 512 bytes: the system's own error, in the middle of a write."""
    change(here)
    before = (here.path / "dvc.lock").read_bytes()
    (here.path / STAMP).unlink()
    command = f"trap '' XFSZ; ulimit -f {blocks}; exec {sys.executable} -m snakemake_dvc run train@a {STAMP}"
    done = here.run("sh", "-c", command, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Error: "), done.stdout
    assert (here.path / "dvc.lock").read_bytes() == before
    json.loads(RWLOCK.read_text())
    assert not (here.path / STAMP).exists()
    finish(here)
    assert results(here) == undisturbed
    assert here.clean


def test_a_damaged_database_of_dvc_has_one_line(here, tmp_path):
    state = tmp_path / "state"
    for name in ("dvc", "repo"):
        (state / name).mkdir(parents=True)
    here.env["DVC_SITE_CACHE_DIR"] = str(state)
    here.run("dvc", "status")
    for database in state.rglob("cache.db"):
        for path in database.parent.glob("cache.db*"):
            path.write_bytes(b"nothing of a database " * 500)
    done = here.run("snakemake", "--cores", "1", check=False)
    assert done.returncode == 1
    line = done.stdout.splitlines()[-1]
    assert line.startswith("Error: DVC's own database: file is not a database; free some space where `dvc doctor` says")
    assert "Traceback" not in done.stdout
    shutil.rmtree(state)
    assert here.nothing_to_do


def test_one_line_where_a_full_disk_meets_the_plan(here, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device", "out")

    monkeypatch.setattr("snakemake_dvc.plan.touch", full)
    (here.path / STAMP).unlink()
    with pytest.raises(BridgeError, match="No space left on device"):
        plan(here)
