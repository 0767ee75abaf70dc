"""Many jobs at once, two calls at once, and what is left when something is killed, on the real commands."""

import contextlib
import re

import psutil
import pytest
import yaml

from toys import wait_until

pytestmark = pytest.mark.slow

WAITS_FOR_RUN = "waiting for the end of an earlier run of it"
WAITS_FOR_CALL = "waiting for the snakemake that is at work in this folder"


def widen(toy, width):
    """The pipeline becomes `width` stages side by side and one that joins them; returns the names in runs.log."""
    parts = [f"out/part/{number}.txt" for number in range(width)]
    part = {
        "matrix": {"number": list(range(width))},
        "cmd": "sh stage.sh part-${item.number} out/part/${item.number}.txt beta raw.txt",
        "deps": ["raw.txt"],
        "params": ["beta"],
        "outs": ["out/part/${item.number}.txt"],
    }
    join = {"cmd": f"sh stage.sh join out/join.json none {' '.join(parts)}", "deps": parts, "outs": ["out/join.json"]}
    (toy.path / "dvc.yaml").write_text(yaml.dump({"stages": {"part": part, "join": join}}))
    return sorted(["join", *(f"part-{number}" for number in range(width))])


def recorded(toy):
    return re.findall(r"^  (\S+):$", (toy.path / "dvc.lock").read_text(), re.MULTILINE)


def test_eight_jobs_at_once(unbuilt):
    everything = widen(unbuilt, 16)
    results = set()
    for count in range(3):
        unbuilt.edit("params.yaml", f"beta: 0.{3 + count}", f"beta: 0.{4 + count}")
        screen = unbuilt.snakemake("--cores", "8")
        assert unbuilt.ran() == everything
        assert sorted(name.replace("@", "-") for name in recorded(unbuilt)) == everything
        assert not re.search(r"(?<!dvc\.)\block\b(?! file)|busy|waiting", screen.lower())
        results.add((unbuilt.path / "out/join.json").read_text())
    assert len(results) == 3
    assert unbuilt.clean
    assert unbuilt.nothing_to_do


def start_blocked(toy, *, runs=1):
    """A running snakemake whose stage part@0, started for the given time, waits while all that can be done has been."""
    (toy.path / "block-part-0").touch()
    call = toy.start("snakemake", "--cores", "2", screen="first")
    log = toy.path / "runs.log"
    wait_until(lambda: log.exists() and log.read_text().split().count("part-0") == runs)
    wait_until((toy.path / ".dvc/tmp/snakemake/part@1").exists)
    return call


def release(toy):
    (toy.path / "block-part-0").unlink(missing_ok=True)


def screen_says(toy, screen, text):
    return text in (toy.path / "logs" / screen).read_text()


def finished_well(toy, call, screen):
    assert call.wait(120) == 0, (toy.path / "logs" / screen).read_text()


def test_two_calls_at_once(unbuilt):
    everything = widen(unbuilt, 2)
    first = start_blocked(unbuilt)
    second = unbuilt.start("snakemake", "--cores", "2", "part", screen="second")
    wait_until(lambda: screen_says(unbuilt, "second", WAITS_FOR_CALL))
    assert "part@0: an earlier run of it is under way" in unbuilt.snakemake("-n"), "looking need not wait"
    release(unbuilt)
    finished_well(unbuilt, first, "first")
    finished_well(unbuilt, second, "second")
    assert unbuilt.ran() == everything
    assert unbuilt.clean


def test_two_calls_at_the_same_moment(unbuilt):
    everything = widen(unbuilt, 4)
    calls = [unbuilt.start("snakemake", "--cores", "2", screen=screen) for screen in ("first", "second")]
    for call, screen in zip(calls, ("first", "second"), strict=True):
        finished_well(unbuilt, call, screen)
    assert unbuilt.ran() == everything
    assert unbuilt.clean


def kill(toy, call, victim):
    """The stage's command is a shell; what that waits with ends by itself, and some victims with those before them."""
    alive = toy.processes()
    targets = {
        "snakemake": [process for process in alive if process.pid == call.pid],
        "the job's DVC": [process for process in alive if {"run", "part@0"} < set(process.info["cmdline"])],
        "the command": [process for process in alive if process.info["name"] == "sh"],
        "all but the command": [process for process in alive if process.info["name"] not in ("sh", "sleep")],
        "everything": [process for process in alive if process.info["name"] != "sleep"],
    }
    assert targets[victim]
    for process in targets[victim]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


# Who is killed, how the call ends when its blocked stage is released, how often part@0 starts in all.
KILLS = {
    "snakemake": (-9, 1),
    "the job's DVC": (1, 2),
    "the command": (1, 2),
    "all but the command": (-9, 2),
    "everything": (-9, 2),
}


@pytest.mark.parametrize(
    "victims",
    [["snakemake"], ["the job's DVC"], ["all but the command"], ["the command", "everything"]],
    ids=" then ".join,
)
def test_rerun_after_all_has_ended(unbuilt, victims):
    """Where there are two victims, the rerun after the first is the call in which the second dies."""
    everything = widen(unbuilt, 2)
    again = []
    for victim in victims:
        status, starts = KILLS[victim]
        call = start_blocked(unbuilt, runs=len(again) + 1)
        kill(unbuilt, call, victim)
        release(unbuilt)
        assert call.wait(120) == status
        wait_until(lambda: not unbuilt.processes())
        assert (unbuilt.path / ".dvc/tmp/snakemake/part@0").exists() == (starts == 1), "only a recorded run has a stamp"
        assert not screen_says(unbuilt, "first", WAITS_FOR_RUN)
        again += ["part-0"] * (starts - 1)
    assert WAITS_FOR_RUN not in unbuilt.snakemake("--cores", "2")
    assert unbuilt.ran() == sorted([*everything, *again])
    assert unbuilt.clean


@pytest.mark.parametrize("victim", ["snakemake", "the job's DVC", "all but the command"])
def test_rerun_at_once(unbuilt, victim):
    """It waits for what is still alive: the command may not write under its successor's hands."""
    everything = widen(unbuilt, 2)
    status, starts = KILLS[victim]
    call = start_blocked(unbuilt)
    kill(unbuilt, call, victim)
    rerun = unbuilt.start("snakemake", "--cores", "2", screen="rerun")
    message = WAITS_FOR_CALL if victim == "the job's DVC" else WAITS_FOR_RUN
    wait_until(lambda: screen_says(unbuilt, "rerun", message))
    release(unbuilt)
    assert call.wait(120) == status
    finished_well(unbuilt, rerun, "rerun")
    assert unbuilt.ran() == sorted([*everything, *["part-0"] * (starts - 1)])
    assert unbuilt.clean


def test_nothing_is_restored_under_an_orphan(unbuilt):
    """The parameter is changed back while the killed call's command is alive."""
    widen(unbuilt, 2)
    unbuilt.snakemake()
    result = (unbuilt.path / "out/join.json").read_text()
    unbuilt.ran()
    unbuilt.edit("params.yaml", "beta: 0.3", "beta: 0.5")
    call = start_blocked(unbuilt)
    kill(unbuilt, call, "all but the command")
    call.wait(120)
    unbuilt.edit("params.yaml", "beta: 0.5", "beta: 0.3")
    rerun = unbuilt.start("snakemake", "--cores", "2", screen="rerun")
    wait_until(lambda: screen_says(unbuilt, "rerun", WAITS_FOR_RUN))
    assert not (unbuilt.path / "out/part/0.txt").exists()
    release(unbuilt)
    finished_well(unbuilt, rerun, "rerun")
    assert unbuilt.ran() == ["part-0", "part-1"]
    assert (unbuilt.path / "out/join.json").read_text() == result
    assert unbuilt.clean


def test_a_parameter_edited_while_its_stage_runs(unbuilt):
    """What is recorded is what the command started with."""
    command = "grep beta params.yaml > out; echo x >> runs.log; while [ -e block-x ]; do sleep 0.05; done"
    stage = {"cmd": command, "params": ["beta"], "outs": ["out"]}
    (unbuilt.path / "dvc.yaml").write_text(yaml.dump({"stages": {"x": stage}}))
    (unbuilt.path / "block-x").touch()
    call = unbuilt.start("snakemake", "--cores", "1", screen="first")
    wait_until((unbuilt.path / "runs.log").exists)
    unbuilt.edit("params.yaml", "beta: 0.3", "beta: 0.5")
    (unbuilt.path / "block-x").unlink()
    finished_well(unbuilt, call, "first")
    assert "x: beta changed" in unbuilt.snakemake()
    assert (unbuilt.path / "out").read_text() == "beta: 0.5\n"
    unbuilt.edit("params.yaml", "beta: 0.5", "beta: 0.3")
    assert "restored from DVC's run cache: x" in unbuilt.snakemake()
    assert (unbuilt.path / "out").read_text() == "beta: 0.3\n"
    assert unbuilt.ran() == ["x", "x"]
    assert unbuilt.clean
