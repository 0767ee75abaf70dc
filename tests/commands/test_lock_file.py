"""dvc.lock as `w2sg run` reads and writes it: in DVC's format, with DVC's hashes."""

from pathlib import Path

import pytest
import yaml

from w2sg.commands.run import lock_file
from w2sg.contracts.errors import UserError

from .conftest import Run, dvc


def test_hashes_are_those_of_dvc(work: Path) -> None:
    for name in ("b/z", "b/a/c", "b.txt", "a é", "__pycache__/d"):
        (work / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (work / "folder" / name).write_text(name)
    dvc("init", "--no-scm", "--quiet")
    dvc("add", "folder", "--quiet")
    (expected,) = yaml.safe_load((work / "folder.dvc").read_text())["outs"]
    assert lock_file.Contents().of("folder") == expected


def test_what_dvc_is_to_ignore_must_be_a_text(work: Path) -> None:
    (work / ".dvcignore").write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"^\.dvcignore: not a text \(.*\); restore it from git$"):
        lock_file.Contents()


def test_a_hash_of_digits_and_an_e_stays_a_text(work: Path) -> None:
    md5 = "1" * 15 + "e" + "1" * 16
    lock_file.write({"a": {"cmd": "x", "outs": [{"path": "y", "md5": md5}]}})
    for _ in range(2):
        assert f"md5: '{md5}'" in Path("dvc.lock").read_text()
        entries = lock_file.read()
        assert entries["a"]["outs"][0]["md5"] == md5
        lock_file.write(entries)


def test_parameters_are_those_that_dvc_has_written(work: Path, run: Run) -> None:
    """DVC reads and writes YAML 1.2, in which 2e-05 is a number and `on` a text."""
    values = "{a: 2e-05, b: 2.0e-5, c: '2e-05', d: on, e: 12:30:00, f: 0o17, g: ~, h: 1_0}"
    (work / "params.yaml").write_text(f"names: {{a: 1}}\nseeds: [0]\nwidth: {values}\n")
    run()
    dvc("init", "--no-scm", "--quiet")
    dvc("commit", "--force", "--quiet")  # it writes dvc.lock anew
    assert "2e-05" in Path("dvc.lock").read_text()
    assert "up to date" in dvc("status") and run() == "all stages are up to date\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"schema: '2.0'\nstages:\n  sum:\n    cmd: py", "cut off in its last line"),
        (b"schema: [\n", "while parsing"),
        (b"\xff\n", "'utf-8' codec"),
        (b"- a\n", "list indices"),
        (b"schema: '2.0'\nstages:\n", "'NoneType'"),
        (b"schema: '2.0'\nstages:\n  sum: 3\n", "'int'"),
        (b"schema: '2.0'\nstages:\n  sum:\n    outs:\n    - path: 3\n", "stages.sum is no entry"),
    ],
)
def test_a_damaged_lock_file(work: Path, run: Run, content: bytes, said: str) -> None:
    (work / "dvc.lock").write_bytes(content)
    (line,) = run(status=2).splitlines()
    assert line.startswith(f"w2sg run: dvc.lock: not a lock file of DVC's ({said}")
    assert line.endswith("; `git checkout dvc.lock`, or remove it, and every stage runs")
    assert (work / "dvc.lock").read_bytes() == content
