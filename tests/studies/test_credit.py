"""What a call of `make credit` keeps for the next one, and what it refuses before it plays."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from played import project

import credit
import workspace
from w2sg.contracts.errors import UserError


def options(run: Path, **changed: object) -> Namespace:
    known = {"environments": None, "tasks": 40, "samples": 4, "model": "sft_weak", "temperature": 1.0, "top_p": 1.0}
    return Namespace(**({"run": run, "output": run / "credit"} | known | changed))


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """A function that calls the study and says whether it went on from a cohort; some calls are stopped after one."""
    run, found = project(tmp_path / "run"), []
    for name in ("chosen", "plan"):
        monkeypatch.setattr(credit, name, lambda *given, **options: [])
    monkeypatch.setattr(credit, "starts", lambda planned: ["one"])
    monkeypatch.setattr(credit, "outcomes", lambda *given, **options: ["a path"])
    monkeypatch.setattr(credit.bases, "load", lambda checkpoint: ())
    for name in ("TransformersPolicy", "Redraws", "opener", "prompt", "credits"):
        monkeypatch.setattr(credit, name, lambda *given, **options: None)
    monkeypatch.setattr(credit.credit_page, "write", lambda *given, **options: None)

    def call(*, stopped: bool = False, **changed: object) -> bool:
        def play_on(*given: object, store: Path, **options: object) -> list[str]:
            found.append((store / "cohort").exists())
            store.mkdir(parents=True, exist_ok=True)
            (store / "cohort").write_text("")
            if stopped:
                raise KeyboardInterrupt
            return ["played"]

        monkeypatch.setattr(credit, "play_on", play_on)
        if stopped:
            with pytest.raises(KeyboardInterrupt):
                credit.follow(options(run, **changed))
        else:
            assert credit.follow(options(run, **changed)) == 0
        return bool(found[-1])

    return call


def test_a_call_with_other_options_leaves_finished_cohorts(play: Callable[..., bool]) -> None:
    """And the same call goes on from them, then drops them."""
    assert not play(stopped=True)
    others: list[dict[str, Any]] = [{"samples": 2}, {"tasks": 3}, {"temperature": 0.5}, {"top_p": 0.5}]
    for other in (*others, {"model": "sft_strong"}):
        assert not play(**other), other
    assert play()
    assert not play()


def test_tables_that_cannot_be_written_are_told_before_anything_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = project(tmp_path / "run")
    monkeypatch.setattr(credit.Study, "measure", None)

    def refused(output: Path, line: str) -> None:
        with pytest.raises(UserError, match=line):
            credit.follow(options(run, output=output))

    for place in (run / "params.yaml", run / "params.yaml/below"):
        refused(place, rf"--output {place}: {run}/params.yaml is no folder that can be written to; name another one")
    (run / "tables/steps.csv").mkdir(parents=True)
    refused(run / "tables", r"tables/steps\.csv is a folder, and a table is to have its place; move it away")
    monkeypatch.setattr(credit.os, "access", lambda path, mode: False)
    refused(run / "new/deep", rf"deep: {run} is no folder that can be written to")
    assert not (run / "new").exists()


def test_a_workspace_at_work_is_refused_and_a_damaged_run_frees_it(play: Callable[..., bool], tmp_path: Path) -> None:
    with workspace.claimed(tmp_path / "run"), pytest.raises(UserError, match="run: another call is at work here; wait"):
        play()
    with pytest.raises(UserError, match=r"--environments nowhere"):
        play(environments=["nowhere"])
    assert not play()
