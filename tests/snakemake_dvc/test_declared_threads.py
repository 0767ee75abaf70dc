"""The threads that a stage declares are what Snakemake schedules, and what it tells the stage's command."""

import pytest

pytestmark = pytest.mark.slow

TABLE = """
stages:
  two: {cmd: echo $OMP_NUM_THREADS > two, outs: [two], meta: {threads: 2}}
  one: {cmd: echo $OMP_NUM_THREADS > one, outs: [one]}
"""


@pytest.mark.parametrize(("cores", "given"), [(2, {"two": "2", "one": "1"}), (1, {"two": "1", "one": "1"})])
def test_a_command_gets_the_threads_it_declares(unbuilt, cores, given):
    """Less where there are fewer cores."""
    (unbuilt.path / "dvc.yaml").write_text(TABLE)
    unbuilt.run("snakemake", "--cores", str(cores), OMP_NUM_THREADS="7")
    assert {name: (unbuilt.path / name).read_text().strip() for name in given} == given
