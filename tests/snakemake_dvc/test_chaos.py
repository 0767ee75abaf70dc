"""`make chaos` in small: five kills on the toy, and that its judgement can be a bad one."""

import random
import shutil

import pytest

import chaos

pytestmark = pytest.mark.slow


@pytest.fixture
def workspaces(fresh_toy, tmp_path, monkeypatch):
    """Two copies of the toy that share nothing."""
    for name, value in (fresh_toy.env | {"RUNS": "runs.log", "PYTHONPATH": "src"}).items():
        monkeypatch.setenv(name, value)
    for name in ("undisturbed", "disturbed"):
        shutil.copytree(fresh_toy.path, tmp_path / name)
    return [chaos.Workspace(tmp_path / name, "2") for name in ("undisturbed", "disturbed")]


def test_five_kills(workspaces):
    report = chaos.run(*workspaces, kills=5, rng=random.Random(0))
    assert report.kills.total() == 5
    assert report.faults == []
    assert len(report.compared) == 16, "the outputs and their files"
