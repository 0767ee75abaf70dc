"""The stage table and DVC's verdicts, asked in-process of the toy pipeline."""

import os
import pwd
import re
import shutil
import subprocess
import time

import psutil
import pytest

from snakemake_dvc.stages import BridgeError, Stage, closure, find_stages, one_line_errors, open_repo, read_stages
from snakemake_dvc.verdicts import Verdict, judge, restore
from snakemake_dvc.writes import lives
from toys import wait_until

# DVC uses something its dependency pygtrie deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


def stage(name, *, upstream=(), outs=()):
    return Stage(name=name, upstream=upstream, outs=outs, threads=1, resources={}, report=())


TABLE = {
    entry.name: entry
    for entry in [
        stage("tasks", outs=("data/tasks.parquet",)),
        stage("trees@a-0", upstream=("tasks",), outs=("data/trees/a/0",)),
        stage("trees@b-0", upstream=("tasks",), outs=("data/trees/b/0",)),
        stage("report", upstream=("trees@a-0", "trees@b-0"), outs=("results",)),
    ]
}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("tasks", ["tasks"]),
        ("trees@a-0", ["trees@a-0"]),
        ("trees", ["trees@a-0", "trees@b-0"]),
        ("data/trees/b/0", ["trees@b-0"]),
        ("./data/trees/b/0/trees.pkl", ["trees@b-0"]),
        ("data/trees/", ["trees@a-0", "trees@b-0"]),
        (os.path.abspath("results/table1.csv"), ["report"]),
    ],
)
def test_find_stages(target, expected):
    assert list(find_stages(target, TABLE)) == expected


@pytest.mark.parametrize(
    ("target", "hint"),
    [("tress@a-0", "did you mean trees@a-0"), ("data/task.parquet", "data/tasks.parquet"), ("xyz", "snakemake --list")],
)
def test_find_stages_names_close_matches(target, hint):
    with pytest.raises(BridgeError, match=f"{re.escape(target)}.*{re.escape(hint)}"):
        find_stages(target, TABLE)


def test_closure():
    assert list(closure(["trees@b-0"], TABLE)) == ["tasks", "trees@b-0"]
    assert list(closure(["report"], TABLE)) == list(TABLE)


def verdicts():
    """Verdict by stage, leaving out those that are up to date, and the reasons."""
    repo = open_repo()
    with repo.lock:
        found = judge(repo, read_stages(repo))
    repo.close()
    return {name: verdict for name, (verdict, _) in found.items() if verdict is not Verdict.FRESH}, {
        name: reason for name, (_, reason) in found.items()
    }


def test_read_stages(here):
    repo = open_repo()
    table = read_stages(repo)
    repo.close()
    names = list(table)
    assert all(names.index(up) < names.index(name) for name in names for up in table[name].upstream)
    train = table["train@a"]
    assert (train.upstream, train.outs, train.threads) == (("prepare@a",), ("out/train/a.txt",), 2)
    assert train.resources == {"mem_mb": 100}, "gpu: 0 is no request for a gpu"
    assert (table["score@a"].threads, table["score@a"].resources) == (1, {})
    assert table["report"].report == ("out/report/*.svg",)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        (
            "{thread: 2}",
            "stage train@a: meta.thread is unknown; known are threads, mem_mb, runtime, gpu, report, first",
        ),
        ("{threads: 0}", "meta.threads must be a positive whole number, not 0"),
        ("{threads: true}", "not True"),
        ("{mem_mb: lots}", "not 'lots'"),
        ("{report: figure.svg}", "meta.report must be a list of file patterns"),
        ("{first: 1}", "stage train@a: meta.first must be true or false, not 1"),
        ("{first: true}", "stage train@a: meta.first is true, but it depends on prepare@a, which is not first"),
    ],
)
def test_bad_meta(here, meta, message):
    here.edit("dvc.yaml", "{threads: 2, mem_mb: 100, gpu: 0}", meta)
    with pytest.raises(BridgeError, match=message):
        verdicts()


def test_nothing_changed(here):
    assert verdicts()[0] == {}


def test_changed_parameter(here):
    here.edit("params.yaml", "beta: 0.3", "beta: 0.5")
    found, reasons = verdicts()
    waiting = dict.fromkeys(["score@a", "score@b", "report"], Verdict.WAIT)
    assert found == {"train@a": Verdict.RUN, "train@b": Verdict.RUN} | waiting
    assert reasons["train@a"] == "beta changed"
    assert reasons["report"] == "if its inputs change, after score@a, score@b"


def test_restored_stages_are_followed_without_touching_the_disk(here):
    """A dependency may lie inside an output that is yet to be restored, and be missing on disk."""
    shutil.rmtree("out")
    before = here.snapshot()
    found, reasons = verdicts()
    assert set(found.values()) == {Verdict.RESTORE}
    assert len(found) == 7
    assert reasons["prepare@a"] == "out/prepare/a is deleted"
    assert here.snapshot() == before


def test_restore(here):
    expected = {name: content for name, (_, content) in here.snapshot().items() if name.startswith("out/")}
    here.edit("params.yaml", "count: 10", "count: 11")
    here.run("dvc", "repro", "--quiet")
    here.edit("params.yaml", "count: 11", "count: 10")
    found, _ = verdicts()
    assert set(found.values()) == {Verdict.RESTORE}
    repo = open_repo()
    with repo.lock:
        assert restore(repo, list(found)) == list(found)
    repo.close()
    assert verdicts()[0] == {}
    assert {name: content for name, (_, content) in here.snapshot().items() if name.startswith("out/")} == expected


def test_lost_cache(here):
    shutil.rmtree(".dvc/cache")
    (here.path / "out/train/a.txt").unlink()
    found, _ = verdicts()
    assert found["train@a"] is Verdict.RUN


def test_changed_command(here):
    here.edit("dvc.yaml", "cmd: sh stage.sh report", "cmd: sh ./stage.sh report")
    found, reasons = verdicts()
    assert found == {"report": Verdict.RUN}
    assert reasons["report"] == "its command changed"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("beta: 0.3", "", "stage train@a: Parameters 'beta' are missing from 'params.yaml'"),
        ("envs: [a, b]", "", "dvc.yaml.*Could not find 'envs'"),
        ("beta: 0.3", "beta: [", "params.yaml"),
        (
            "envs: [a, b]",
            "envs: 5",
            "^params.yaml: envs is 5, but stage prepare is made for each of it: a list is needed$",
        ),
        ("beta: 0.3", "beta: 2020-13-45", "'params.yaml', YAML .* corrupted: month must be in 1..12"),
        ("beta: 0.3", "beta: !!int abc", "'params.yaml', YAML .* corrupted: invalid literal for int"),
        ("beta: 0.3", "beta: !!bool abc", "'params.yaml', YAML .* corrupted: 'abc'"),
        ("beta: 0.3", f"beta: {'9' * 5000}", "'params.yaml', YAML .* corrupted: Exceeds the limit"),
        ("beta: 0.3", f"beta: {'[' * 1500}{']' * 1500}", "'params.yaml', YAML .* corrupted: maximum recursion depth"),
        ("beta: 0.3", f"beta: {'[' * 20000}", "'params.yaml', YAML .* corrupted: maximum recursion depth"),
        (
            "beta: 0.3",
            "2020-01-01: 0.3",
            "'params.yaml', YAML .* corrupted: the keys .* are of several types: date, str",
        ),
    ],
)
def test_bad_parameters(here, old, new, message):
    here.edit("params.yaml", old, new)
    with pytest.raises(BridgeError, match=message) as error, one_line_errors():
        verdicts()
    assert "\n" not in str(error.value)


def test_a_table_without_stages(here):
    (here.path / "dvc.yaml").write_text("")
    with pytest.raises(BridgeError, match=r"^dvc\.yaml: it names no stage$"):
        verdicts()


def test_a_user_without_a_name(here, monkeypatch):
    """`docker run --user 54321`: DVC asks for the name of the user, and the system has none."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setenv("USER", "x")  # so that it is as before when the test has ended
    monkeypatch.delenv("USER")
    assert set(verdicts()[0].values()) <= {Verdict.RUN, Verdict.FRESH}
    assert os.environ["USER"] == str(os.getuid())


def test_missing_input(here):
    (here.path / "raw.txt").unlink()
    with pytest.raises(BridgeError, match=r"raw.txt is missing; stage prepare@a needs it"):
        verdicts()


def test_the_dead_use_no_output():
    """DVC's note of who uses an output ends with the process, even where nobody has collected it yet."""
    child = subprocess.Popen(["sleep", "60"])
    assert lives(child.pid, at=time.time())
    assert not lives(child.pid, at=time.time() - 3600), "that was another process of this number"
    child.kill()
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert not lives(child.pid, at=time.time())
    child.wait()
    assert not lives(child.pid, at=time.time())
