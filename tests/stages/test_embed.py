"""Stage embed with the real encoder: one vector for every text that the trees compare."""

import numpy as np
import pytest

from w2sg.contracts import layout
from w2sg.contracts.trajectories import read_trajectories
from w2sg.trees.embeddings import read_embeddings

RUN = ("--environment", "alfworld", "--seed", "0")
EMBEDDED = layout.embeddings("alfworld", 0)


@pytest.mark.parametrize("merge_key", ["observation", "observation+thought"])
def test_every_compared_text_has_its_vector(project, merge_key):
    project.edit(tree={"merge_key": merge_key})
    assert project.run("embed", *RUN)[0] == 0
    vectors = read_embeddings(project.path / EMBEDDED)
    explored = read_trajectories(project.path / layout.explore("alfworld", 0, "weak"))
    steps = [step for trajectory in explored for step in trajectory.steps]
    texts = {f"{step.observation} {step.thought}" if "+" in merge_key else step.observation for step in steps}
    assert set(vectors) == texts
    assert list(vectors) == sorted(texts)
    assert all(abs(np.linalg.norm(vector) - 1) < 1e-5 for vector in vectors.values())
    assert project.run("trees", *RUN) == (0, [])
    first = (project.path / EMBEDDED).read_bytes()
    assert project.run("embed", *RUN)[0] == 0
    assert (project.path / EMBEDDED).read_bytes() == first
