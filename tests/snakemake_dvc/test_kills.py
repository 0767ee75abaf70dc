"""Killed at the worst moment, or with the disk full: nothing that either tool needs is left half-written.

The commands are the real ones, in processes that die in the middle of a write (killed.py).
"""

import errno
import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest

from snakemake_dvc import jobs
from snakemake_dvc.command_line import Mode
from snakemake_dvc.plan import load_pipeline
from snakemake_dvc.stages import BridgeError
from toys import Toy

KILLED = Path(__file__).with_name("killed.py")
STAMP = ".dvc/tmp/snakemake/train@a"
JOB = ("snakemake_dvc", "run", "train@a", STAMP)
PLAIN = ("dvc", "repro", "--single-item", "train@a")
REMEDY = "; `git checkout dvc.lock`, or remove it: what DVC's run cache holds is restored, the rest runs"

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")]


def results(toy):
    """All that a run leaves: dvc.lock, outputs, cache, and whatever lies about."""
    left = toy.snapshot()
    return {name: content for name, (_, content) in left.items() if not name.startswith((".git/", "logs/", "src/"))}


def change(toy):
    toy.edit("params.yaml", "breadth: 3", "breadth: 4")


@pytest.fixture(scope="session")
def undisturbed(done_toy, tmp_path_factory):
    """The toy after the change, built in one go by DVC as it is."""
    toy = Toy(tmp_path_factory.mktemp("undisturbed") / "toy", Path(done_toy.env["HOME"]))
    shutil.copytree(done_toy.path, toy.path)
    change(toy)
    toy.run("dvc", "repro", "--quiet")
    toy.ran()
    return results(toy)


def killed(toy, file, moment, command):
    done = toy.run(sys.executable, str(KILLED), file, moment, *command, check=False)
    assert done.returncode == -9, done.stdout


def finish(toy):
    """What the next call of snakemake does, in this process: plan, restore, one job after the other."""
    pipeline = load_pipeline(Mode.EXECUTE, [], scratch=toy.path / "logs")
    for rule in pipeline.rules:
        if not Path(rule.stamp).exists():
            jobs.run_stage(rule.stage.name, rule.stamp)
    assert all(Path(rule.stamp).exists() for rule in pipeline.rules)
    return toy.ran()


@pytest.mark.parametrize(
    ("file", "moment"),
    [
        ("dvc.lock", "writing"),
        ("dvc.lock", "moving"),
        ("rwlock", "writing"),
        ("rwlock", "moving"),
        ("runs", "writing"),
        ("files", "cloning"),
    ],
)
def test_a_job_killed_while_it_writes(here, undisturbed, file, moment):
    change(here)
    before = (here.path / "dvc.lock").read_bytes()
    killed(here, file, moment, JOB)
    assert (here.path / "dvc.lock").read_bytes() == before, "what is in place is whole"
    json.loads((here.path / ".dvc/tmp/rwlock").read_text())
    for path in here.path.glob(".dvc/cache/files/md5/*/[!.]*"):
        assert hashlib.md5(path.read_bytes()).hexdigest() == f"{path.parent.name}{path.name.removesuffix('.dir')}"
    finish(here)
    assert results(here) == undisturbed


def test_an_unfinished_run_is_not_taken_for_one(here):
    """Even where its text ends between two lines and could be read."""
    (run,) = [path for path in here.path.glob(".dvc/cache/runs/*/*/*") if "out/report" in path.read_text()]
    (run.parent / ".unfinished.tmp").write_text(run.read_text().partition("outs:")[0])
    shutil.rmtree(here.path / "out/report")
    here.edit("dvc.lock", "  report:", "  other:")
    assert finish(here) == [], "restored"
    assert (here.path / "out/report/figure.svg").exists()


def test_plain_dvc_killed_while_it_writes_rwlock(here, undisturbed):
    change(here)
    killed(here, "rwlock", "writing", PLAIN)
    with pytest.raises(json.JSONDecodeError):
        json.loads((here.path / ".dvc/tmp/rwlock").read_text())
    finish(here)
    assert results(here) == undisturbed
    assert here.clean, "plain dvc can read it, too"


def test_plain_dvc_killed_while_it_writes_the_lock_file(here, undisturbed):
    """Both remedies that the line names do."""
    here.run("git", "add", "dvc.lock")
    here.run("git", "commit", "--quiet", "--message", "built")
    change(here)
    killed(here, "dvc.lock", "writing", PLAIN)
    done = here.run("snakemake", "--cores", "2", check=False)
    assert done.returncode == 1
    line = done.stdout.splitlines()[-1]
    assert line.startswith("Error: dvc.lock: cut off in its last line") and line.endswith(REMEDY)
    assert "Traceback" not in done.stdout
    here.run("git", "checkout", "--quiet", "dvc.lock")
    finish(here)
    assert results(here) == undisturbed
    (here.path / "dvc.lock").unlink()
    assert finish(here) == [], "the run cache holds all"
    after = results(here)
    assert {**after, "dvc.lock": b""} == {**undisturbed, "dvc.lock": b""}, "whose entries stand in another order"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda whole: b"", "empty"),
        (lambda whole: whole[: len(whole) // 2].rstrip(b"\n"), "cut off in its last line"),
        (lambda whole: b"stages: [\n", "not a lock file of DVC's ("),
        (lambda whole: b"schema: '3'\n", "not a lock file of DVC's ("),
        (lambda whole: whole.replace(b"cmd:", b"cmd: \xff", 1), "not a lock file of DVC's ("),
    ],
)
def test_a_damaged_lock_file_has_one_line(here, tmp_path, content, said):
    lock = here.path / "dvc.lock"
    lock.write_bytes(content(lock.read_bytes()))
    for call in (lambda: load_pipeline(Mode.SHOW, [], scratch=tmp_path), lambda: jobs.run_stage("train@a", STAMP)):
        with pytest.raises(BridgeError) as caught:
            call()
        (line,) = str(caught.value).splitlines()
        assert line.startswith(f"dvc.lock: {said}") and line.endswith(REMEDY)


def test_a_lock_file_cut_between_two_lines_hides_nothing(here, tmp_path):
    """Which no one can tell from a whole one: what lacks a hash counts as not made, and comes from the cache."""
    lock = here.path / "dvc.lock"
    lines = lock.read_bytes().splitlines(keepends=True)
    ends = [number for number, line in enumerate(lines) if line.startswith(b"  ") and line[2:3] != b" "]
    assert len(ends) == 7
    for end in (ends[3], ends[5], ends[6]):
        lock.write_bytes(b"".join(lines[:end]))
        pipeline = load_pipeline(Mode.SHOW, [], scratch=tmp_path)
        lost = {line.strip().rstrip(b":").decode() for line in lines[end:] if line in (lines[n] for n in ends)}
        assert lost
        reasons = {rule.stage.name: rule.message for rule in pipeline.rules}
        assert {name for name, reason in reasons.items() if not reason.endswith("up to date")} >= lost


@pytest.mark.parametrize(
    "text", ["", '{"write": {', "[]", '{"write": {"x": 3}}', "\udcff", "[" * 100_000], ids=str.__len__
)
def test_an_unreadable_rwlock_counts_as_empty(here, text):
    (here.path / ".dvc/tmp/rwlock").write_bytes(text.encode(errors="surrogateescape"))
    (here.path / "out/train/a.txt").unlink()
    jobs.run_stage("train@a", STAMP)
    assert json.loads((here.path / ".dvc/tmp/rwlock").read_text()) == {}


def test_a_stage_outlives_its_note_in_rwlock(here):
    """Somebody has lost it meanwhile: a kill of plain dvc, or a person who removed the file as DVC advises."""
    here.edit("stage.sh", "mkdir -p", ": > .dvc/tmp/rwlock; mkdir -p")
    jobs.run_stage("prepare@a", STAMP)
    left = json.loads((here.path / ".dvc/tmp/rwlock").read_text())
    assert not any(left.values())


def fail_in_the_middle(monkeypatch, part):
    """No space is left for files in this part of the project; some bytes there still was room for."""
    copy = shutil.copyfile

    def copyfile(source, target, **options):
        if part in str(target):
            Path(target).write_bytes(b"some")
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return copy(source, target, **options)

    monkeypatch.setattr("shutil.copyfile", copyfile)


def test_a_full_cache_fails_the_job(here, monkeypatch):
    change(here)
    (here.path / STAMP).unlink()
    before = (here.path / "dvc.lock").read_bytes(), {*here.path.rglob(".dvc/cache/files/**/*")}
    with monkeypatch.context() as full:
        fail_in_the_middle(full, ".dvc/cache/files")
        with pytest.raises(BridgeError) as caught:
            jobs.run_stage("train@a", STAMP)
    (line,) = str(caught.value).splitlines()
    assert "train@a" in line and "nothing is recorded" in line and "No space left on device" in line
    after = (here.path / "dvc.lock").read_bytes(), {path for path in here.path.rglob(".dvc/cache/files/**/*")}
    assert after[0] == before[0]
    assert {path for path in after[1] - before[1] if path.is_file()} == set()
    assert not (here.path / STAMP).exists()
    jobs.run_stage("train@a", STAMP)
    assert "breadth: 4" in (here.path / "dvc.lock").read_text()
    (here.path / "out/train/a.txt").unlink()
    here.run("dvc", "checkout", "out/train/a.txt")


def test_a_full_disk_leaves_the_lock_file_whole(here, monkeypatch):
    change(here)
    before = (here.path / "dvc.lock").read_bytes()

    def full(data, stream, **_):
        stream.write("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("dvc.utils.serialize._yaml._dump", full)
        with pytest.raises(BridgeError, match="No space left on device"):
            jobs.run_stage("train@a", STAMP)
    assert (here.path / "dvc.lock").read_bytes() == before
    assert not [*here.path.glob(".dvc.lock*")]
    jobs.run_stage("train@a", STAMP)
    assert "breadth: 4" in (here.path / "dvc.lock").read_text()
