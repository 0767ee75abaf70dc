"""Stages that are `first`: they run before the others are judged, and are foreseen without changing anything."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from snakemake_dvc import jobs
from toys import Toy, copy_of, wait_until

pytestmark = pytest.mark.slow

# One file for each consumer, without the comments of its source; and a second output with the names alone.
SPLIT = """echo split >> runs.log
echo splitting
while [ -e block-split ]; do sleep 0.05; done
if grep -q broken sources/*; then echo this source is broken; exit 3; fi
mkdir -p out/split
for source in sources/*; do grep -v '^#' "$source" > "out/split/$(basename "$source")"; done
ls sources > out/names.txt
"""
TABLE = {
    "split": {
        "cmd": "sh split.sh",
        "deps": ["sources", "split.sh"],
        "outs": ["out/split", "out/names.txt"],
        "meta": {"first": True},
    },
    "use": {
        "matrix": {"name": ["a", "b"]},
        "cmd": "sh stage.sh use-${item.name} out/use/${item.name}.txt none out/split/${item.name}",
        "deps": ["out/split/${item.name}"],
        "outs": ["out/use/${item.name}.txt"],
    },
    "names": {
        "cmd": "sh stage.sh names out/count.txt none out/names.txt",
        "deps": ["out/names.txt"],
        "outs": ["out/count.txt"],
    },
    "join": {
        "cmd": "sh stage.sh join out/join.json none out/use/a.txt out/use/b.txt",
        "deps": ["out/use/a.txt", "out/use/b.txt"],
        "outs": ["out/join.json"],
    },
}
ALL = ["join", "names", "split", "use-a", "use-b"]


def write(toy: Toy, table: dict) -> None:
    (toy.path / "dvc.yaml").write_text(yaml.safe_dump({"stages": table}, sort_keys=False))


@pytest.fixture(scope="module")
def split_toy(fresh_toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """Built by Snakemake, with a source for each of two consumers."""
    for toy in copy_of(fresh_toy, tmp_path_factory.mktemp("split") / "toy"):
        (toy.path / "sources").mkdir()
        for name in "ab":
            (toy.path / "sources" / name).write_text(f"# A comment.\nsource {name}\n")
        (toy.path / "split.sh").write_text(SPLIT)
        write(toy, TABLE)
        before = toy.snapshot()
        plan = toy.snakemake("-n")
        assert "would run first: split: it has not run before" in plan
        assert jobs_in(plan) == ["join", "names", "use@a", "use@b"]
        assert toy.snapshot() == before
        screen = toy.snakemake()
        assert "running first: split: it has not run before" in screen
        assert "splitting" in screen
        assert "splitting" in (toy.path / "logs/split.log").read_text()
        assert toy.ran() == ALL
        assert toy.clean
        yield toy


@pytest.fixture
def toy(split_toy: Toy, tmp_path: Path) -> Iterator[Toy]:
    yield from copy_of(split_toy, tmp_path / "toy")


def jobs_in(plan: str) -> list[str]:
    """The stages that `snakemake -n` would run, from its table of jobs."""
    table = plan.partition("\njob ")[2].partition("\n\n")[0]
    return sorted(line.split()[0] for line in table.splitlines()[2:] if line.split()[0] not in ("all", "total"))


def foreseen(toy: Toy) -> list[str]:
    """The jobs that `snakemake -n` lists, having changed nothing."""
    before = toy.snapshot()
    plan = toy.snakemake("-n")
    assert toy.snapshot() == before
    assert "would run first: split: sources/" in plan or "would run first: split: sources is modified" in plan
    return jobs_in(plan)


def test_nothing_runs_when_nothing_changed(toy: Toy) -> None:
    for command in ("-n", "--cores 1"):
        screen = toy.snakemake(*command.split())
        assert "Nothing to be done" in screen
        assert "run first" not in screen and "running first" not in screen
    assert toy.ran() == []


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("sources/a", "# A comment.", "# Another comment.", []),
        ("sources/a", "source a", "another source a", ["join", "use@a"]),
    ],
)
def test_exactly_those_run_whose_part_changed(toy: Toy, file: str, old: str, new: str, stale: list[str]) -> None:
    """Foreseen by `-n`, then done by Snakemake; DVC runs the same. Going back runs nothing."""
    ran = sorted(["split", *(name.replace("@", "-") for name in stale)])
    toy.edit(file, old, new)
    assert foreseen(toy) == stale
    by_dvc = Toy(toy.path.with_name("other"), Path(toy.env["HOME"]))
    shutil.copytree(toy.path, by_dvc.path)
    by_dvc.run("dvc", "repro")
    assert by_dvc.ran() == ran
    assert by_dvc.nothing_to_do

    toy.snakemake()
    assert toy.ran() == ran
    assert toy.clean
    assert toy.nothing_to_do
    assert (toy.path / "dvc.lock").read_bytes() == (by_dvc.path / "dvc.lock").read_bytes()

    toy.edit(file, new, old)
    assert toy.nothing_to_do
    assert "restored from DVC's run cache: split" in toy.snakemake()
    assert toy.ran() == []
    assert toy.clean


def test_another_output_of_it_changed(toy: Toy) -> None:
    (toy.path / "sources/c").write_text("source c\n")
    assert foreseen(toy) == ["names"]
    toy.snakemake()
    assert toy.ran() == ["names", "split"]
    assert toy.clean


def test_what_follows_from_it_is_restored(toy: Toy) -> None:
    """The first stage must run (its script changed), and makes what it made in an older state."""
    toy.edit("sources/a", "source a", "another source a")
    toy.snakemake()
    toy.edit("sources/a", "another source a", "source a")
    toy.edit("split.sh", "echo splitting", "echo splitting again")
    toy.ran()
    before = toy.snapshot()
    plan = toy.snakemake("-n")
    assert "would be restored from DVC's run cache: use@a, join" in plan
    assert "Nothing to be done" in plan
    assert toy.snapshot() == before
    assert "restored from DVC's run cache: use@a, join" in toy.snakemake()
    assert toy.ran() == ["split"]
    assert toy.clean


def test_only_for_targets_that_need_it(toy: Toy) -> None:
    write(toy, TABLE | {"apart": {"cmd": "sh stage.sh apart out/apart.txt none raw.txt", "outs": ["out/apart.txt"]}})
    toy.edit("sources/a", "source a", "another source a")
    toy.snakemake("--cores", "1", "apart")
    assert toy.ran() == ["apart"]
    toy.snakemake("--cores", "1", "use@b")
    assert toy.ran() == ["split"]
    toy.snakemake("--cores", "1", "split")
    assert toy.ran() == []


def test_one_that_fails(toy: Toy) -> None:
    """It ends the call before anything else; looking says so and cannot tell what follows."""
    toy.edit("sources/a", "source a", "broken")
    before = toy.snapshot()
    plan = toy.snakemake("-n")
    assert "what it makes cannot be foreseen: failed to run: sh split.sh, exited with 3 (this source is broken)" in plan
    assert jobs_in(plan) == ["join", "names", "split", "use@a", "use@b"]
    assert toy.snapshot() == before
    done = toy.run("snakemake", "--cores", "1", check=False)
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("Error")]
    assert line.startswith("Error: failed to reproduce 'split': failed to run: sh split.sh")
    assert "this source is broken" in done.stdout
    assert "Traceback" not in done.stdout
    assert toy.ran() == ["split"]
    toy.edit("sources/a", "broken", "source a")
    toy.snakemake()
    assert toy.ran() == []
    assert toy.clean


def test_a_second_call_waits_and_a_kill_is_survived(toy: Toy) -> None:
    toy.edit("sources/a", "source a", "another source a")
    (toy.path / "block-split").touch()
    call = toy.start("snakemake", "--cores", "1", screen="first")
    wait_until((toy.path / "runs.log").exists)
    assert "split: an earlier run of it is under way" in toy.snakemake("-n"), "looking need not wait"
    call.kill()
    assert call.wait(60) == -9
    rerun = toy.start("snakemake", "--cores", "1", screen="rerun")
    wait_until(lambda: "waiting for the end of an earlier run" in (toy.path / "logs/rerun").read_text())
    (toy.path / "block-split").unlink()
    assert rerun.wait(120) == 0, (toy.path / "logs/rerun").read_text()
    assert toy.ran() == ["join", "split", "split", "use-a"]
    assert toy.clean


def test_one_after_another(toy: Toy) -> None:
    """A first stage that depends on another is rehearsed on what that one makes, also if that comes from the cache."""
    table = {
        "sort": {
            "cmd": "echo sort >> runs.log; sort out/split/a > out/sorted",
            "deps": ["out/split/a"],
            "outs": ["out/sorted"],
            "meta": {"first": True},
        },
        "last": {"cmd": "sh stage.sh last out/last none out/sorted", "deps": ["out/sorted"], "outs": ["out/last"]},
    }
    write(toy, {**TABLE, **table})
    toy.snakemake()
    assert toy.ran() == ["last", "sort"]
    toy.edit("sources/a", "source a", "another source a")
    assert foreseen(toy) == ["join", "last", "use@a"]
    toy.edit("sources/a", "another source a", "source a")
    toy.edit("dvc.yaml", "sort out/split/a", "sort --reverse out/split/a")
    for name in ("split/a", "sorted"):
        (toy.path / "out" / name).unlink()
    before = toy.snapshot()
    plan = toy.snakemake("-n")
    assert "would run first: sort" in plan and "restored from DVC's run cache: split" in plan
    assert "Nothing to be done" in plan
    assert toy.snapshot() == before
    toy.snakemake()
    assert toy.ran() == ["sort"]
    assert toy.clean


def test_a_folder_beside_the_repository(toy: Toy) -> None:
    """What its command reads by a path out of the repository is found where it is foreseen, too."""
    (toy.path.parent / "beside").mkdir()
    shutil.copytree(toy.path / "sources", toy.path.parent / "beside/sources")
    toy.edit("split.sh", "for source in sources/*", "for source in ../beside/sources/*")
    write(toy, {**TABLE, "split": TABLE["split"] | {"deps": ["sources", "../beside/sources", "split.sh"]}})
    plan = toy.snakemake("-n")
    assert "would run first: split" in plan and "cannot be foreseen" not in plan and "Nothing to be done" in plan
    toy.edit("../beside/sources/a", "source a", "another source a")
    plan = toy.snakemake("-n")
    assert "cannot be foreseen" not in plan and ": use@a: " in plan and ": use@b: " not in plan, plan
    toy.snakemake()
    assert toy.ran() == ["join", "split", "use-a"]


def test_one_that_always_runs(toy: Toy) -> None:
    """It runs once a call; what follows from it is judged by what it has made."""
    write(toy, {**TABLE, "split": TABLE["split"] | {"always_changed": True}})
    for _ in range(2):
        assert "Nothing to be done" in toy.snakemake()
        assert toy.ran() == ["split"]
    toy.edit("sources/b", "source b", "another source b")
    toy.snakemake()
    assert toy.ran() == ["join", "split", "use-b"]


def test_looking_of_every_kind_changes_nothing(toy: Toy, tmp_path: Path) -> None:
    toy.edit("sources/a", "source a", "another source a")
    before = toy.snapshot()
    for command in ("--dag", "--summary", "--list", "--unlock", "--lint", f"--report {tmp_path}/report.html"):
        screen = toy.snakemake(*command.split())
        assert "splitting" not in screen, command
        assert toy.snapshot() == before, command


def test_environment_and_descriptors_are_as_before(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan goes on in the process in which the stage ran."""
    monkeypatch.chdir(toy.path)
    for key, value in toy.env.items():
        monkeypatch.setenv(key, value)
    before = dict(os.environ), [os.fstat(number).st_ino for number in range(3)]
    toy.edit("sources/a", "source a", "broken")
    with pytest.raises(jobs.BridgeError):
        jobs.run_stage_here("split")
    assert (dict(os.environ), [os.fstat(number).st_ino for number in range(3)]) == before


def test_where_python_does_not_look_beside_what_it_runs(unbuilt):
    """PYTHONSAFEPATH is set on hardened machines: sys.path has no folder of the script, nor the working one."""
    done = unbuilt.run("snakemake", "--cores", "2", PYTHONSAFEPATH="1")
    assert unbuilt.clean and unbuilt.ran() and "ModuleNotFoundError" not in done.stdout
