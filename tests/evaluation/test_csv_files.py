"""How tables are written as CSV, and p-values for people."""

from pathlib import Path

import pytest

from w2sg.evaluation.measures import csv_files, wording
from w2sg.evaluation.measures.statistics import Interval


def test_floats_are_rounded_none_is_empty_and_a_missing_count_is_0(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    csv_files.write(path, [{"name": "a", "share": 1 / 3, "won": None}, {"name": "b", "share": 2e-9, "lost": 7}])
    assert path.read_text() == "name,share,won,lost\na,0.333333,,0\nb,2e-09,0,7\n"


def test_a_table_without_rows_has_its_head(tmp_path: Path) -> None:
    csv_files.write(tmp_path / "table.csv", [], columns=["name", "share"])
    assert (tmp_path / "table.csv").read_text() == "name,share\n"


def test_an_interval_has_three_columns_with_or_without_numbers() -> None:
    assert csv_files.of_interval("gain", Interval(0.2, 0.1, 0.3)) == {"gain": 0.2, "low": 0.1, "high": 0.3}
    empty = {"gain": None, "gain_low": None, "gain_high": None}
    assert csv_files.of_interval("gain", None, prefix="gain_") == empty


@pytest.mark.parametrize(("value", "text"), [(1.0, "1.000"), (0.0005, "0.001"), (0.0004, "< 0.001"), (0.0, "< 0.001")])
def test_p_values_for_people(value: float, text: str) -> None:
    assert wording.p_value(value) == text
