"""benchmarks/rollouts.py: both ways to play write the same turns, and what is printed is what was measured."""

import importlib
import re
import sys
from pathlib import Path
from statistics import median

import pytest
import torch

from w2sg.agents import generation
from w2sg.contracts.command_line import status

SMALL = "--hidden 64 --layers 1 --vocabulary 1000 --rows 5 --shortest 2 --turns 4 --tokens 6 --threads 1 --looped 2"


@pytest.mark.parametrize("drafts", [0, 4])
def test_both_write_the_same(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], drafts: int) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    monkeypatch.setattr(generation, "_AHEAD", generation._AHEAD)  # given back afterwards
    options = [*SMALL.split(), "--rounds", "3", "--drafts", str(drafts)]
    monkeypatch.setattr(sys, "argv", ["rollouts.py", *options])
    threads = torch.get_num_threads()
    assert status("rollouts", importlib.import_module("rollouts").main) == 0
    torch.set_num_threads(threads)
    first, *rounds, last = capsys.readouterr().out.splitlines()
    assert first.endswith(f"1 threads; 5 rows, 2 to 4 turns of 6 tokens, drafts of {drafts}")
    ratios = [float(line.rpartition(" ")[2]) for line in rounds]
    assert len(ratios) == 3
    assert last == f"ratio {median(ratios)} ({min(ratios)} to {max(ratios)}); 6 of 6 turns the same"
    assert re.fullmatch(r"batch [\d.]+ steps/s on [\d.]+ cores, loop [\d.]+ steps/s on [\d.]+ cores: [\d.]+", rounds[0])
