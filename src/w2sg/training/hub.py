"""A model of the hub as a base: a reference to its files at one commit, with their hashes, in the place of a copy.

The files stay in the hub's own cache (HF_HOME). Whatever loads the base has them fetched if they are not there, reads
them to the end and compares their SHA-256; of the cache's other files nothing is seen.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import hf_hub_download
from transformers import PreTrainedTokenizerBase

from w2sg.contracts import files
from w2sg.contracts.errors import UserError, reason
from w2sg.training import model_files, proxies

REFERENCE = "hub.json"
# What from_pretrained looks for besides weights and the tokenizer's own files.
_SETTINGS = (
    "config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "chat_template.jinja", "chat_template.json",
)  # fmt: skip


def pin(base: str, tokenizer: PreTrainedTokenizerBase, *, revision: str, folder: Path, card: str) -> None:
    """Write the reference to a model of the hub that has been loaded, so that its files are in the cache.

    Args:
        base: owner/name.
        tokenizer: its own, which knows the names of its files.
        revision: commit, tag or branch; the reference has the commit.
        folder: of the base, as stages read it.
        card: text of the model card, README.md.
    """
    snapshot = Path(hf_hub_download(base, "config.json", revision=revision)).parent
    weights = next(snapshot / name for name in model_files.WEIGHTS if (snapshot / name).is_file())
    names = {*_SETTINGS, *tokenizer.vocab_files_names.values(), weights.name}
    if weights.suffix == ".json":
        names |= set(files.read_json(weights)["weight_map"].values())
    found = [snapshot / name for name in sorted(names) if (snapshot / name).is_file()]
    hashes = dict(zip((file.name for file in found), _sha256(found), strict=True))
    with files.replacing(folder) as temporary:
        temporary.mkdir()
        files.write_json(temporary / REFERENCE, {"base": base, "revision": snapshot.name, "sha256": hashes})
        (temporary / "README.md").write_text(card, encoding="utf-8")


@contextmanager
def verified(folder: Path) -> Iterator[tuple[Path, str]]:
    """A folder with the files that a reference names, for from_pretrained, while the block lasts; and the base's name.

    Raises:
        UserError: a file cannot be fetched, or is another one.
    """
    reference = files.read_object(folder / REFERENCE)
    base, revision, hashes = (reference.get(key) for key in ("base", "revision", "sha256"))
    if not (
        isinstance(base, str)
        and isinstance(revision, str)
        and isinstance(hashes, dict)
        and all(isinstance(each, str) and Path(name).name == name for name, each in hashes.items())
    ):
        raise UserError(f"{folder / REFERENCE}: expected base, revision and sha256 by name of file; {files.STAGE}")
    proxies.check_hub(base)
    found = []
    for name in hashes:
        try:
            found.append(Path(hf_hub_download(base, name, revision=revision)))
        except Exception as error:  # the network, the hub and the disk each have errors of their own
            raise UserError(
                f"{folder}: {name} of {base} at {revision} is not in the hub's cache and cannot be fetched "
                f"({reason(error)})"
            ) from None
    for file, wanted, got in zip(found, hashes.values(), _sha256(found), strict=True):
        if got != wanted:
            raise UserError(
                f"{folder}: {file} has sha256 {got}, {REFERENCE} says {wanted}; remove it, so that it is fetched again"
            )
    with tempfile.TemporaryDirectory() as place:
        for name, file in zip(hashes, found, strict=True):
            os.symlink(file, Path(place, name))
        yield Path(place), base


def _sha256(found: list[Path]) -> list[str]:
    """Of several files, side by side."""

    def of(file: Path) -> str:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()

    with ThreadPoolExecutor() as pool:
        return list(pool.map(of, found))
