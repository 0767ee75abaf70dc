"""A small project for `w2sg run`, the command in this process, and DVC beside it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from w2sg.commands import __main__ as cli

TABLE = """\
stages:
  code:
    cmd: mkdir -p data && cat source > data/code.txt
    deps: [source]
    outs: [data/code.txt]
    meta: {first: true}
  draw:
    matrix: {name: "${names}", seed: "${seeds}"}
    cmd: >-
      mkdir -p data/draws && echo ${item.name} ${item.seed} > data/draws/${item.name}-${item.seed}.txt
      && grep ^width params.yaml >> data/draws/${item.name}-${item.seed}.txt && echo draw >> runs.log
    deps: [data/code.txt]
    params: [width]
    outs: ["data/draws/${item.name}-${item.seed}.txt"]
    meta: {threads: 2}
  sum:
    cmd: mkdir -p results/all && cat data/draws/*.txt > results/all/sum.txt && echo sum >> runs.log
    deps: [data/draws]
    outs: [results/all]
    metrics: [results/metrics.json]
"""


Run = Callable[..., str]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project."""
    table = TABLE.replace("&& echo sum", "&& echo '{}' > results/metrics.json && echo sum")
    (tmp_path / "dvc.yaml").write_text(table)
    (tmp_path / "params.yaml").write_text("names: {a: 1, b: 2}\nseeds: [0, 7]\nwidth: 3\nother: 1\n")
    (tmp_path / "source").write_text("x\n")
    (tmp_path / ".dvcignore").write_text("# Not these.\n__pycache__\n/logs\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """`w2sg run` in this process; what it and its stages said on both streams."""

    def call(*options: str, status: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["w2sg", "run", *options])
        capfd.readouterr()
        assert cli.main() == status
        said = capfd.readouterr()
        return said.out + said.err

    return call


def dvc(*command: str) -> str:
    environment = os.environ | {"DVC_SITE_CACHE_DIR": str(Path(".site").absolute())}
    done = subprocess.run(["dvc", *command], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
