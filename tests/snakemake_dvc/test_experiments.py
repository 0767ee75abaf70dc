"""DVC experiments and Snakemake in one workspace, on the real commands."""

import csv
import json

import pytest

from toys import wait_until

pytestmark = pytest.mark.slow

AFTER_TREE = ["report", "score-a", "score-b", "train-a", "train-b"]


@pytest.fixture
def committed(toy):
    """Built, and the results committed to git: what experiments start from and are compared with."""
    toy.run("git", "add", "--all")
    toy.run("git", "commit", "--quiet", "--message", "built")
    return toy


def workspace(toy):
    """Content of all files but the stores of git and DVC, whose business it is to grow.

    Not the times: DVC writes a parameter that is set into the workspace's file for a moment, to record the experiment.
    """
    return {name: content for name, (_, content) in toy.snapshot().items() if not name.startswith((".git/", ".dvc/"))}


def shown(toy):
    """The table of `dvc exp show` by the name of the experiment, or of the branch."""
    rows = csv.DictReader(toy.run("dvc", "exp", "show", "--csv").stdout.splitlines())
    return {row["Experiment"] or row["rev"]: row for row in rows}


def test_in_the_workspace(committed):
    committed.run("dvc", "exp", "run", "--name", "broad", "--set-param", "tree.breadth=4")
    assert committed.ran() == AFTER_TREE
    assert "breadth: 4" in (committed.path / "params.yaml").read_text()
    assert committed.nothing_to_do
    committed.run("git", "checkout", "--quiet", ".")
    assert "restored from DVC's run cache: train@a" in committed.snakemake()
    assert committed.clean
    committed.run("dvc", "exp", "apply", "broad")
    assert committed.nothing_to_do
    assert committed.clean
    assert committed.ran() == []


def test_in_a_folder_of_its_own(committed):
    before = workspace(committed)
    committed.run("dvc", "exp", "run", "--temp", "--name", "broad", "--set-param", "tree.breadth=4")
    assert committed.ran() == AFTER_TREE
    assert workspace(committed) == before
    assert committed.run("git", "status", "--porcelain").stdout == ""
    assert committed.nothing_to_do
    assert shown(committed)["broad"]["tree.breadth"] == "4"


def test_grid_in_the_queue(committed):
    before = workspace(committed)
    committed.run("dvc", "exp", "run", "--queue", "-S", "tree.breadth=4,5", "-S", "beta=0.1,0.5")
    committed.run("dvc", "queue", "start", "--jobs", "2")
    try:
        wait_until(lambda: committed.run("dvc", "queue", "status").stdout.count("Success") == 4)
    finally:
        committed.run("dvc", "queue", "stop", "--kill")
        wait_until(lambda: not committed.processes())
    assert committed.ran() == sorted(4 * AFTER_TREE), "prepare comes from the run cache"
    assert workspace(committed) == before

    grid = {(row["tree.breadth"], row["beta"]): row for row in shown(committed).values() if row["State"] == "Success"}
    assert sorted(grid) == [("4", "0.1"), ("4", "0.5"), ("5", "0.1"), ("5", "0.5")]
    assert len({row["out/score/a.json:score"] for row in grid.values()}) == 4

    one, other = (grid[key]["Experiment"] for key in [("4", "0.1"), ("5", "0.5")])
    plots = json.loads(committed.run("dvc", "plots", "diff", "--json", one, other).stdout)
    (plot,) = plots["data"]["out/report/curve.csv"]
    ends = {point["rev"]: point["value"] for point in plot["content"]["data"]["values"] if point["step"] == "1"}
    assert set(ends) == {one, other}
    assert ends[one] != ends[other]

    committed.run("dvc", "exp", "apply", other)
    assert committed.nothing_to_do
    assert committed.clean
    assert ends[other] in (committed.path / "out/report/curve.csv").read_text()
    assert committed.ran() == []


def test_run_by_snakemake_and_saved(committed):
    """The way to have the stages of one experiment side by side."""
    committed.edit("params.yaml", "breadth: 3", "breadth: 4")
    committed.snakemake()
    assert committed.ran() == AFTER_TREE
    committed.run("dvc", "exp", "save", "--name", "broad")
    committed.run("git", "checkout", "--quiet", ".")
    committed.snakemake()
    table = shown(committed)
    assert (table["workspace"]["tree.breadth"], table["broad"]["tree.breadth"]) == ("3", "4")
    assert table["workspace"]["out/score/a.json:score"] != table["broad"]["out/score/a.json:score"]
    committed.run("dvc", "exp", "apply", "broad")
    assert committed.nothing_to_do
    assert committed.ran() == []


def test_unknown_parameter(committed):
    before = workspace(committed)
    done = committed.run("dvc", "exp", "run", "--set-param", "tree.bredth=4", check=False)
    assert done.returncode != 0
    assert "tree.bredth" in done.stdout
    assert workspace(committed) == before
    assert committed.ran() == []
