"""Threads come from the stage table and reach the libraries that count them."""

import os
import subprocess
import sys

import pytest

from w2sg.config import threads
from w2sg.contracts.errors import UserError


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "dvc.yaml"
    path.write_text(
        "stages:\n"
        "  plain: {cmd: a}\n"
        "  empty: {cmd: a, meta: }\n"
        "  wide: {cmd: a, meta: {threads: 2}}\n"
        "  group-one: {cmd: a, meta: {threads: 3}}\n"
        "  group-two: {cmd: a, meta: {threads: 3}}\n"
        "  grouped: {cmd: a, meta: {threads: 9}}\n"
    )
    return path


@pytest.mark.parametrize(("stage", "count"), [("plain", 1), ("empty", 1), ("wide", 2), ("group", 3), ("absent", 1)])
def test_declared(table, stage, count):
    assert threads.declared(stage, table=table) == count


@pytest.mark.parametrize(
    ("meta", "shown"), [("two", "'two'"), ("[1]", "list"), ("1.5", "1.5"), ("true", "True"), ("-1", "-1")]
)
def test_what_is_no_number_of_threads_is_one_line(tmp_path, meta, shown):
    path = tmp_path / "dvc.yaml"
    path.write_text(f"stages:\n  odd: [a]\n  wide: {{cmd: a, meta: {{threads: {meta}}}}}\n")
    with pytest.raises(
        UserError, match=rf"dvc\.yaml: stages\.wide\.meta\.threads is {shown}; write a whole number, 0 or more$"
    ):
        threads.declared("wide", table=path)
    assert threads.declared("odd", table=path) == 1
    path.write_text("stages: [a]\n")
    assert threads.declared("odd", table=path) == 1


def test_no_stage_table(tmp_path):
    with pytest.raises(UserError, match=r"dvc\.yaml: no such file; run this in the folder of the project$"):
        threads.declared("tasks", table=tmp_path / "dvc.yaml")


def test_limit_reaches_torch_and_child_processes(root):
    script = (
        "import subprocess, sys\n"
        "from w2sg.config import threads\n"
        "threads.limit(1)\n"
        "assert 'numpy' not in sys.modules\n"
        "import pyarrow, torch\n"
        "print(torch.get_num_threads(), pyarrow.cpu_count())\n"
        "print(subprocess.check_output(['sh', '-c', 'echo $OMP_NUM_THREADS'], text=True))\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    printed = subprocess.check_output(
        [sys.executable, "-c", script], env=environment | {"PYTHONPATH": str(root / "src")}, text=True, timeout=120
    )
    assert printed.split() == ["1", "1", "1"]
