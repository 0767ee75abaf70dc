"""`make chaos` in small: five kills on the toy, and that its judgement can be a bad one."""

import fcntl
import random
import shutil

import pytest

import chaos

pytestmark = pytest.mark.slow


@pytest.fixture
def workspaces(fresh_toy, tmp_path, monkeypatch):
    """Two copies of the toy that share nothing."""
    for name, value in (fresh_toy.env | {"RUNS": "runs.log", "PYTHONPATH": "src"}).items():
        monkeypatch.setenv(name, value)
    for name in ("undisturbed", "disturbed"):
        shutil.copytree(fresh_toy.path, tmp_path / name)
    return [chaos.Workspace(tmp_path / name, "2") for name in ("undisturbed", "disturbed")]


def test_five_kills(workspaces):
    report = chaos.run(*workspaces, kills=5, rng=random.Random(0))
    assert report.kills.total() == 5
    assert report.faults == []
    assert len(report.compared) == 15, "the outputs and their files"
    assert report.table().endswith("\n0 faults.")


def test_what_is_not_as_it_should_be_is_found(workspaces):
    undisturbed, disturbed = workspaces
    report = chaos.run(undisturbed, disturbed, kills=0, rng=random.Random(0))
    assert report.faults == [] and disturbed.damaged() == []
    folder = disturbed.folder
    (folder / "out/train/a.txt").write_text("other\n")
    (folder / "out/.x.tmp").touch()
    (folder / ".dvc/tmp/rwlock").write_text('{"write": {"x": {"pid": 1, "cmd": "x"}}, "read": {}}')
    with (folder / ".dvc/tmp/snakemake-locks/all").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert disturbed.locked() == ["rwlock", "all"]
    chaos.compare(disturbed, undisturbed, report)
    said = "\n".join(report.faults)
    for fault in (
        "rwlock: still locked",
        "out/.x.tmp: a temporary file is left",
        "dvc status: train@a",
        "file out/train/a.txt: differs",
        "out/.x.tmp: not in both",
    ):
        assert f"\n{fault}" in f"\n{said}"

    run = next((folder / ".dvc/cache/runs").glob("*/*/*"))
    content = next((folder / ".dvc/cache/files/md5").glob("*/*"))
    for path in (folder / "dvc.lock", folder / ".dvc/tmp/rwlock", run, content):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-3])
    names = [str(path.relative_to(folder)) for path in (run, content)]
    assert sorted(disturbed.damaged()) == sorted(["dvc.lock", "rwlock", *names])
