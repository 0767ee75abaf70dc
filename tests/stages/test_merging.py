"""The merging stage: thresholds that merge what differs are found out by the replay."""

import contextlib
import json
from dataclasses import replace

import numpy as np
import pytest

from w2sg.contracts import layout
from w2sg.contracts.paths import DemonstrationPath
from w2sg.trees import embeddings as embedding
from w2sg.trees.merging import build
from w2sg.trees.tree import dump, load

RUN = ("merging", "--environment", "alfworld", "--seed", "0")


def rows(project):
    return json.loads((project.path / layout.merging("alfworld", 0)).read_text())["rows"]


def test_real_exploration(built):
    """The world is deterministic, so that equal actions have equal observations: no threshold merges what differs."""
    exact, *others = rows(built)
    assert exact["similarity"] is None
    assert exact["trees"] == 3
    assert exact["merged"] > 0
    assert all(row | {"similarity": None} == exact for row in others)
    assert [exact[name] for name in ("differing", "recombined", "other_observation", "other_score")] == [0, 0, 0, 0]
    assert 0 < exact["paths"] <= 3


@pytest.fixture
def misread(project):
    """One tree of two samples that win by the same actions; the first one's second observation is forged."""
    with contextlib.chdir(project.path):
        trees = load(layout.trees("alfworld", 0))
        task, tree = next((t, tree) for t, tree in trees.items() if tree.trajectories[0].success)
        true = tree.trajectories[0]
        told = replace(true.steps[1], observation="forged")
        forged = replace(true, sample=1, steps=(true.steps[0], told, *true.steps[2:]))
        drawn = [forged, replace(true, sample=2)]
        dump(layout.trees("alfworld", 0), {task: build(drawn, merge_key="exact", xi=1.0, embeddings={})})
        texts = sorted({step.observation for each in drawn for step in each.steps})
        vectors = np.eye(len(texts), dtype=np.float32)
        alike = texts.index("forged")
        vectors[alike] = 0.8 * vectors[texts.index(true.steps[1].observation)] + 0.6 * vectors[alike]
        embedding.write_embeddings(layout.embeddings("alfworld", 0), texts, vectors)
    return project, len(true.steps)


def test_a_merge_error_fails_its_replay(misread):
    project, steps = misread
    project.edit(merging={"similarities": [0.9, 0.7]}, mcts={"iterations": 2})
    assert project.run(*RUN) == (0, [])
    exact, high, low = rows(project)
    assert [row["similarity"] for row in (exact, high, low)] == [None, 0.9, 0.7]
    assert exact | {"similarity": 0.9} == high
    assert (exact["merged"], exact["differing"], exact["steps"]) == (1, 0, 2 * steps)
    assert (low["merged"], low["differing"]) == (steps, 1)
    # The first sample's words stand for both: e* promises what the world does not say.
    assert (low["paths"], low["other_observation"], low["other_score"]) == (1, 1, 0)


def test_the_path_that_a_merge_error_spoils_is_uncertified(misread):
    project, _ = misread
    with contextlib.chdir(project.path):
        ((task, tree),) = load(layout.trees("alfworld", 0)).items()
        embeddings = embedding.read_embeddings(layout.embeddings("alfworld", 0))
        for xi in (0.9, 0.7):
            again = build(tree.trajectories, merge_key="observation", xi=xi, embeddings=embeddings)
            dump(layout.trees("alfworld", 0), {task: again})
            assert project.run("paths", *RUN[1:], "--method", "w2s_mcts") == (0, [])
            (path,) = DemonstrationPath.read(layout.paths("alfworld", 0, "w2s_mcts"))
            # Apart, either sample may win the tie; together, the forged words stand for both.
            forged = any(message["content"] == "forged" for message in path.messages)
            assert path.certified is not forged
            assert forged or xi == 0.9
            assert (path.tree_value, path.replay_score) == (1.0, 1.0)


def test_no_threshold_is_exact_merging_alone(project):
    project.edit(merging={"similarities": []})
    assert project.run(*RUN) == (0, [])
    assert [row["similarity"] for row in rows(project)] == [None]
