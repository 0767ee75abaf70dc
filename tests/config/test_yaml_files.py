"""Our YAML is DVC's YAML: the same values read, and what DVC writes understood."""

import math
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sg.config import params
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "path", [ROOT / "params.yaml", *sorted((ROOT / "params").glob("*.yaml"))], ids=lambda p: p.name
)
def test_dvc_reads_the_same(path):
    from dvc.utils.serialize import load_yaml

    assert read_yaml(path) == load_yaml(str(path))


@pytest.mark.parametrize("value", [1e-5, 2e-5, 1e-300, 1.5e300, 0.1, 1e22, 3, -2.5e-7])
def test_numbers_that_dvc_writes(tmp_path, value):
    """`dvc exp run -S dpo.beta=1e-5` writes 1e-05, a number to YAML 1.2 and a text to PyYAML."""
    from dvc.utils.serialize import modify_yaml

    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    with modify_yaml(str(path)) as values:
        values["mcts"]["gamma"] = value
    if 0 < value < 1e6:
        assert params.load(path).mcts.gamma == value
    assert read_yaml(path)["mcts"]["gamma"] == value


@pytest.mark.parametrize("text", ["a: " + "[" * 100_000, "\n".join(" " * level + "a:" for level in range(3000))])
def test_what_is_nested_too_deep_is_one_line(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"^\S+a\.yaml: sections within sections, more than 100 deep$"):
        read_yaml(path)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_as_python_prints_it(tmp_path_factory, number):
    path = tmp_path_factory.getbasetemp() / "number.yaml"
    path.write_text(f"a: {number!r}\nb: {number:e}\n")
    found = read_yaml(path)
    assert found["a"] == number
    assert math.isclose(found["b"], float(f"{number:e}"), rel_tol=0)


@pytest.mark.parametrize("written", ["1e-05", "1E-5", "1.e-5", ".1e-4", "+1e-05", "1.0e-5"])
def test_ways_to_write_a_number(tmp_path, written):
    path = tmp_path / "a.yaml"
    path.write_text(f"a: {written}\nb: [{written}]")
    assert read_yaml(path) == {"a": 1e-5, "b": [1e-5]}


@pytest.mark.parametrize("text", ["e5", "1e", "1e-5x", "v1e-5", '"1e-5"', "1e-5-2"])
def test_texts_stay_texts(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_text(f"a: {text}")
    assert read_yaml(path) == {"a": text.strip('"')}


def test_what_is_no_yaml(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("explore: [1, 2\ntree: }")
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: not valid YAML: .*line 2.*$"):
        read_yaml(path)
    path.write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(UserError, match=r"a\.yaml: not valid YAML: "):
        read_yaml(path)
    for missing in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(UserError, match=r": no such file; run this in the folder of the project$"):
            read_yaml(missing)


@pytest.mark.parametrize(
    "written",
    [
        *("0300", "010", "08", "0o17", "0x1F", "0b11", "1_000", "-0", "+4", "1__0", "1:30"),
        *(".5", "5.", "1.5_0", "12e03", ".3e4", ".3e-4", "+.5", ".inf", "-.inf", "0.1.2", "e5"),
        *("yes", "no", "on", "TRUE", "false", "~", "null", "", "[1, 010]", "{a: 010}"),
    ],
)
def test_a_scalar_is_what_dvc_takes_it_for(written, tmp_path):
    """`seeds: [010]` named stages ...-10 and was read as 8."""
    from dvc.utils.serialize import parse_yaml

    path = tmp_path / "a.yaml"
    path.write_text(f"a: {written}")
    found, theirs = read_yaml(path)["a"], parse_yaml(f"a: {written}", str(path))["a"]
    assert (found, type(found)) == (theirs, type(theirs))


@pytest.mark.parametrize("text", ["{[1]: 2}", "? {a: 1}\n: 2", "a: 0x_", "a: " + "9" * 5000], ids=lambda text: text[:9])
def test_what_python_cannot_hold_is_one_line(text, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: not valid YAML: ") as error:
        read_yaml(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["[" * 3000, "{a: " * 3000, "- " * 3000 + "a"])
def test_levels_without_end_are_one_line_at_once(text, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    start = time.process_time()
    with pytest.raises(
        UserError, match=rf"^{re.escape(str(path))}: (sections within sections, more than 100 deep|not valid YAML: .*)$"
    ):
        read_yaml(path)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: !!binary aGk=", "could not determine a constructor for the tag .*:binary' in line 1, column 4"),
        ("a: 1\nb: !!timestamp 2001-01-01", "could not determine a constructor for the tag .* in line 2, column 4"),
        ("a: 0x" + "f" * 17, "a number of more than 64 bits, 0xf+ in line 1, column 4"),
        ("a: !!bool abc", "abc is neither true nor false in line 1, column 4"),
        ("a:\n  - !!int abc", "invalid literal for int.* in line 2, column 5"),
        ("{!!float x: 1}", "could not convert string to float: 'x' in line 1, column 2"),
        ("a: \0", "a character that YAML does not allow, number 0, at position 3"),
        ("a: &" + "x" * 500 + " 1\nb: ]", ".{0,150}"),
    ],
)  # fmt: skip
def test_what_no_table_holds_is_one_short_line(text, told, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: not valid YAML: {told}$"):
        read_yaml(path)


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [("a: 1\nb: 2\na: 3\n", "a", 3), ("s:\n  k: 1\n  k: 1\n", "k", 3), ("{a: 1, a: 2}", "a", 1)],
)
def test_a_key_that_is_there_twice_is_refused(text, key, line, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(
        UserError, match=rf"^{re.escape(str(path))}: not valid YAML: the key {key} is there twice in line {line}, "
    ):
        read_yaml(path)
