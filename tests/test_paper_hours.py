"""benchmarks/paper_hours.py prints the table of docs/budget.md, and its rates count."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from w2sg.contracts.command_line import status

ROOT = Path(__file__).parents[1]
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The script in this process, which has imported torch already: its exit code, what it printed on both streams."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.chdir(ROOT)
    script = importlib.import_module("paper_hours")

    def run(*options: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["paper_hours.py", *options])
        code = status("paper_hours", script.main)
        return code, *capsys.readouterr()

    return run


def rows(printed: str) -> dict[str, list[float]]:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines()[2:]]
    return {name: [float(cell) for cell in rest] for name, *rest in cells}


def test_the_page_has_what_the_command_prints(call: Call) -> None:
    _, printed, _ = call("params/paper.yaml")
    assert printed in (ROOT / "docs/budget.md").read_text()
    *stages, total = rows(printed).values()
    assert len(stages) == 10
    assert all(abs(sum(column) - last) < 0.5 for *column, last in zip(*stages, total, strict=True))


def test_the_rates_count(call: Call) -> None:
    before, after = (rows(call("--cohort", "32", *more)[1]) for more in ((), ("--step", "0.074", "--mfu", "0.2")))
    values, doubled = ([hour for row in table.values() for hour in row] for table in (before, after))
    assert sum(values) > 50 and doubled == pytest.approx([2 * value for value in values], abs=0.5)


def test_a_wrong_file_is_told_in_one_line(call: Call) -> None:
    code, _, said = call("params/none.yaml")
    assert code == 2 and said.count("\n") == 1 and said.startswith("paper_hours: params/none.yaml: no such file")
