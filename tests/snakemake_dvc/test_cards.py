"""Jobs side by side see different GPUs."""

import errno
import fcntl
import glob
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from snakemake_dvc import cards
from snakemake_dvc.cards import present
from toys import Toy, wait_until


def test_the_cards_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glob, "glob", lambda pattern: ["/dev/nvidia0", "/dev/nvidia3", "/dev/nvidia4"])
    monkeypatch.setattr(os, "access", lambda node, mode: node != "/dev/nvidia3")
    assert present({}) == ["0", "1"], "CUDA counts what it may open from 0"
    for named, found in (
        ("4, GPU-8f-1,", ["4", "GPU-8f-1"]),
        ("", []),
        ("2,2,5", ["2", "5"]),
        ("3,-1,4", ["3"]),
        ("-1", []),
        ("NoDevFiles", ["NoDevFiles"]),
    ):
        assert present({"CUDA_VISIBLE_DEVICES": named}) == found


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Callable[..., tuple[str | None, ExitStack]]]:
    """A function that takes cards: what a command sees of them, and what gives them back."""
    with ExitStack() as everything:

        def take(visible: str, count: int = 1) -> tuple[str | None, ExitStack]:
            share = cards.take({"CUDA_VISIBLE_DEVICES": visible}, count=count, locks=tmp_path / "locks")
            held = everything.enter_context(ExitStack())
            for lock in share.locks:
                held.callback(os.close, lock)
            return share.env.get("CUDA_VISIBLE_DEVICES"), held

        yield take


def test_places_are_taken_evenly_and_given_back(job: Callable[..., tuple[str | None, ExitStack]]) -> None:
    (a, first), (b, second), (c, third) = (job("4,7") for _ in range(3))
    assert (a, b, c) == ("4", "7", "4")
    assert job("4,5,7", 2)[0] == "5,7", "4 has two, 7 one, 5 none"
    for held in (first, second, third):
        held.close()
    assert job("4,7")[0] == "4", "it has none, 7 one"
    for count, visible in ((2, "4,7"), (0, "4,7"), (1, "4"), (1, ""), (2, "0,0,0")):
        assert job(visible, count)[0] is None


def test_a_card_that_is_idle_is_never_passed_over(job: Callable[..., tuple[str | None, ExitStack]]) -> None:
    """Two jobs a card, the first of 0 ends, and both of 1: 1 is the one that is idle."""
    held = [job("0,1")[1] for _ in range(4)]
    for number in (0, 1, 3):
        held[number].close()
    assert job("0,1")[0] == "1"


def test_where_there_are_no_locks_the_cards_are_the_first(
    job: Callable[..., tuple[str | None, ExitStack]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unknown)
    assert [job("4,7")[0] for _ in range(2)] == ["4", "4"]


@pytest.mark.slow
def test_jobs_side_by_side_are_spread_over_the_cards(unbuilt: Toy) -> None:
    """Each waits until the other has written which card it sees."""
    waits = "while ! test -s a.txt || ! test -s b.txt; do sleep 0.05; done"
    stages = {
        name: {"cmd": f"echo $CUDA_VISIBLE_DEVICES > {name}.txt; {waits}", "deps": ["raw.txt"], "outs": [f"{name}.txt"]}
        for name in "ab"
    } | {"c": {"cmd": "echo $CUDA_VISIBLE_DEVICES > c.txt", "deps": ["a.txt"], "outs": ["c.txt"], "meta": {"gpu": 2}}}
    (unbuilt.path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    own = {"CUDA_VISIBLE_DEVICES": "2,6", "TMPDIR": str(unbuilt.path)}  # whose locks no other test has
    unbuilt.run("snakemake", "--cores", "2", **own)
    seen = [(unbuilt.path / f"{name}.txt").read_text().strip() for name in "abc"]
    assert sorted(seen[:2]) == ["2", "6"] and seen[2] == "2,6"


@pytest.mark.slow
def test_all_commands_of_a_stage_have_one_card_and_an_orphan_keeps_it(unbuilt: Toy) -> None:
    commands = ["echo $CUDA_VISIBLE_DEVICES > first.txt", "echo $CUDA_VISIBLE_DEVICES > a.txt; sleep 4"]
    stages = {"a": {"cmd": commands, "deps": ["raw.txt"], "outs": ["a.txt"]}}
    (unbuilt.path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    locks = unbuilt.path / "locks"
    locks.mkdir()
    command = ["python", "-m", "snakemake_dvc", "run", "a", "stamp"]
    killed = unbuilt.start(*command, screen="a", CUDA_VISIBLE_DEVICES="2,6", TMPDIR=str(locks))
    wait_until((unbuilt.path / "a.txt").exists)
    killed.kill()
    killed.wait()
    (place,) = locks.glob("snakemake-dvc-cards-*")
    share = cards.take({"CUDA_VISIBLE_DEVICES": "2,6"}, count=1, locks=place)
    assert share.env == {"CUDA_VISIBLE_DEVICES": "6"}
    assert (unbuilt.path / "first.txt").read_text() == (unbuilt.path / "a.txt").read_text() == "2\n"
    os.close(*share.locks)
