"""A base of the hub is a reference to files in the hub's cache; here a cache of a made-up model, and no network."""

import hashlib
import json
import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from w2sg.commands import export
from w2sg.config.training import Lora, Optimization
from w2sg.contracts.errors import UserError
from w2sg.training import bases, hub
from w2sg.training.sft import train_sft

from .conftest import contents, same, weights

# PEFT 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

BASE, COMMIT = "acme/tiny", "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The snapshot of a model in bfloat16 in several files, laid out as the hub's library does it."""
    root = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(root))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    folder = root / "models--acme--tiny"
    snapshot = folder / "snapshots" / COMMIT
    (folder / "blobs").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text(COMMIT)
    snapshot.mkdir(parents=True)
    published = tmp_path / "published"
    model.to(torch.bfloat16).save_pretrained(published, max_shard_size="10KB")
    tokenizer.save_pretrained(published)
    for file in published.iterdir():
        blob = folder / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(blob)
    assert len(list(snapshot.glob("*.safetensors"))) > 1
    return snapshot


@pytest.fixture
def pinned(cache: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "models/base/0/weak"
    _, tokenizer = bases.load(BASE, revision="main")
    hub.pin(BASE, tokenizer, revision="main", folder=folder, card="# weak base\n")
    return folder


def test_a_base_of_the_hub_is_its_commit_and_the_hashes_of_its_files(pinned: Path, cache: Path) -> None:
    assert sorted(contents(pinned)) == ["README.md", "hub.json"]
    found = json.loads((pinned / "hub.json").read_text())
    assert (found["base"], found["revision"]) == (BASE, COMMIT), "main moves, a commit does not"
    expected = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(cache.iterdir())}
    assert found["sha256"] == expected
    assert {"config.json", "model.safetensors.index.json", "tokenizer.json"} < set(expected)


@pytest.mark.parametrize("dtype", ["auto", None, torch.float32])
def test_it_loads_as_the_model_that_it_stands_for(pinned: Path, dtype: torch.dtype | None) -> None:
    model, tokenizer = bases.load(pinned, dtype=dtype)
    whole, read = bases.load(BASE, revision=COMMIT, dtype=dtype)
    assert model.dtype is whole.dtype and not model.training
    assert same(weights(model), weights(whole))
    assert tokenizer.get_vocab() == read.get_vocab() and tokenizer.chat_template == read.chat_template
    assert tokenizer.model_max_length == read.model_max_length
    assert model.generation_config.to_dict() == whole.generation_config.to_dict()


def test_what_else_the_cache_holds_is_not_seen(pinned: Path, cache: Path) -> None:
    """from_pretrained would take a single file of weights before an index, and tokens that were added."""
    expected, before = bases.load(pinned)
    (cache / "model.safetensors").write_bytes(b"what another program left here")
    (cache / "added_tokens.json").write_text('{"<mine>": 3}')
    model, tokenizer = bases.load(pinned)
    assert same(weights(model), weights(expected))
    assert tokenizer.get_vocab() == before.get_vocab()


@pytest.mark.parametrize("lora", [None, Lora(r=4, alpha=8, dropout=0.0, targets=("q_proj", "v_proj"))])
def test_what_is_trained_on_it_loads_and_names_no_place_of_this_machine(
    pinned: Path, cache: Path, conversations, optimization: Optimization, tmp_path: Path, lora: Lora | None
) -> None:
    model, tokenizer = bases.load(pinned, dtype=torch.float32)
    trained, _ = train_sft(
        model, tokenizer, conversations, optimization=optimization, lora=lora, assistant_only=True, seed=0
    )
    folder = pinned.parents[1] / "sft/house-0/weak"
    bases.save(trained, tokenizer, folder, base=pinned)
    expected = weights(trained if lora is None else trained.unload())
    assert (folder / "adapter_config.json").is_file() is (lora is not None)
    for name, content in contents(folder).items():
        if not name.endswith(".safetensors"):
            assert str(tmp_path) not in content.decode() and "/tmp" not in content.decode(), name
    assert same(weights(bases.load(folder, dtype=torch.float32)[0]), expected)
    export.run(folder, tmp_path / "whole")
    found = weights(bases.load(tmp_path / "whole", dtype=torch.float32)[0])
    assert all(torch.allclose(found[name], expected[name], atol=1e-2) for name in expected)


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        bases.load(folder)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_file_that_has_changed_is_refused(pinned: Path, cache: Path) -> None:
    file = next(cache.glob("*.safetensors"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.unlink()
    file.write_bytes(content)
    wanted = json.loads((pinned / "hub.json").read_text())["sha256"][file.name]
    assert refusal(pinned) == (
        f"{pinned}: {file} has sha256 {hashlib.sha256(content).hexdigest()}, hub.json says {wanted}; remove it, "
        "so that it is fetched again"
    )


def test_a_file_that_is_not_there_and_cannot_be_fetched_is_named(pinned: Path, cache: Path) -> None:
    shutil.rmtree(cache)
    assert refusal(pinned).startswith(
        f"{pinned}: chat_template.jinja of {BASE} at {COMMIT} is not in the hub's cache and cannot be fetched ("
    )
