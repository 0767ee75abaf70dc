"""What all commands share: how they end, what they take."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from w2sg.contracts.command_line import NUMBERS, Once, Parser, cores, status
from w2sg.contracts.errors import UserError

ROOT = Path(__file__).parents[2]


def parser() -> Parser:
    found = Parser(prog="it")
    found.add_argument("--seeds", **NUMBERS)
    found.add_argument("--names", nargs="+", action=Once)
    found.add_argument("--cores", type=cores, default="all")
    return found


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--seeds 0 1 0", "argument --seeds: 0: named twice"),
        ("--names a b b", "argument --names: b: named twice"),
        ("--seeds -1", "must be a whole number from 0"),
        ("--seeds 1.5", "must be a whole number from 0"),
        ("--cores 0", "must be a whole number from 1, or all"),
        ("--cores -3", "must be a whole number from 1, or all"),
        ("--cores none", "must be a whole number from 1, or all"),
    ],
)
def test_what_is_mistyped_is_one_line(given: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(given.split())
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and said in line


def test_what_is_given_is_kept_in_its_order() -> None:
    found = parser().parse_args(["--seeds", "3", "1", "--cores", "2"])
    assert (found.seeds, found.names, found.cores) == ([3, 1], None, "2")


def failing(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("a.yaml: no key b"), 2, "it: a.yaml: no key b\n"),
        (IsADirectoryError(21, "Is a directory", "there"), 2, "it: there: is a directory"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_command_ends_without_a_traceback(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("it", lambda: failing(error)) == code
    assert capsys.readouterr().err.startswith(said)


def test_what_a_launcher_has_left_makes_no_command_one_of_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process writes nothing: with its number in the environment a command would say that all is well."""
    from w2sg.contracts import files

    for name, value in {"LOCAL_RANK": "0", "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    page = tmp_path / "page.md"

    def command() -> int:
        files.write_text(page, "here")
        return 0

    assert status("it", command) == 0
    assert page.read_text() == "here" and "WORLD_SIZE" not in os.environ


def test_a_command_without_standard_output_ends_as_it_would() -> None:
    """`w2sg ... >&-`"""
    code = "import sys; from w2sg.contracts.command_line import status; sys.exit(status('it', lambda: 7))"
    done = subprocess.run(f'{sys.executable} -c "{code}" >&-', shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (7, "")


def test_benchmarks_tell_mistakes_as_commands_do() -> None:
    """But gpu.py, which needs nothing besides torch and transformers."""
    scripts = {path.name: path.read_text() for path in (ROOT / "benchmarks").glob("*.py") if path.name != "gpu.py"}
    ends = {name: f'    sys.exit(status("{Path(name).stem}", main))\n' for name in scripts}
    assert [name for name, text in scripts.items() if not text.endswith(ends[name])] == []
    assert [name for name, text in scripts.items() if "ArgumentParser(" in text or "type=int" in text] == []
