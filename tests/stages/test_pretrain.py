"""Stage pretrain with a published model: nothing is trained, the base is that model."""

from pathlib import Path

import huggingface_hub.constants
import pytest
from transformers import AutoModelForCausalLM, GPTNeoConfig, GPTNeoForCausalLM

from w2sg.config.models import FromScratch
from w2sg.contracts import layout
from w2sg.contracts.files import read_json
from w2sg.training import bases
from w2sg.training.tokenizer import train_tokenizer

from .conftest import Project


@pytest.mark.parametrize("at_home", [False, True])
def test_a_folder_is_taken_as_it_is(
    empty_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_home: bool
) -> None:
    sizes = FromScratch(hidden=16, layers=1, heads=2, feedforward=32)
    tokenizer = train_tokenizer(["Thought: so. Action: look"], vocabulary=300, context=128)
    published = bases.create(sizes, tokenizer=tokenizer, context=128, seed=3)
    bases.save(published, tokenizer, tmp_path / "published")
    monkeypatch.setenv("HOME", str(tmp_path))
    project = empty_project.copy(tmp_path / "project")
    base = "~/published" if at_home else str(tmp_path / "published")
    project.edit(models={"weak": {"base": base, "revision": None}}, outside={"weak": str(tmp_path / "published")})
    assert project.run("pretrain", "--seed", "0", "--role", "weak") == (0, [])
    folder = project.path / layout.base(0, "weak")
    assert (folder / "README.md").read_text() == f"# weak base\n\n{base}\n"
    assert read_json(project.path / layout.log("pretrain", "0-weak")) == []
    found = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert all((found[name] == weight).all() for name, weight in published.state_dict().items())


# PEFT 0.21 reads a property that transformers 5.23 has renamed.
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_a_model_of_the_hub_is_a_reference_that_stages_load(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No copy of its weights, and SFT trains adapters on it."""
    tokenizer = train_tokenizer(["Thought: so. Action: look"], vocabulary=300, context=4096)
    published = bases.create(
        FromScratch(hidden=16, layers=1, heads=2, feedforward=32), tokenizer=tokenizer, context=4096, seed=3
    )
    commit = "0123456789abcdef0123456789abcdef01234567"
    bases.save(published, tokenizer, tmp_path / "hub/models--acme--tiny/snapshots" / commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    project.edit(
        models={"weak": {"base": "acme/tiny", "revision": commit}},
        sft={"lora": {"r": 2, "alpha": 4, "dropout": 0.0, "targets": ["q_proj"]}},
    )
    assert project.run("pretrain", "--seed", "0", "--role", "weak") == (0, [])
    folder = project.path / layout.base(0, "weak")
    assert sorted(each.name for each in folder.iterdir()) == ["README.md", "hub.json"]
    assert (folder / "README.md").read_text() == f"# weak base\n\nacme/tiny at {commit}\n"
    code, said = project.run("sft", "--environment", "alfworld", "--seed", "0", "--role", "weak")
    assert code == 0, said
    trained = project.path / layout.sft("alfworld", 0, "weak")
    assert sorted(each.name for each in trained.iterdir()) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors",
    ]  # fmt: skip
    bases.load(trained)
    project.edit(sft={"optimization": None})
    for file in folder.iterdir():
        file.chmod(0o444)  # as a link into DVC's cache
    assert project.run("sft", "--environment", "alfworld", "--seed", "0", "--role", "weak") == (0, [])
    assert sorted(each.name for each in trained.iterdir()) == ["README.md", "hub.json"]
    assert (trained / "README.md").read_text() == "# sft_weak, alfworld, seed 0\n\nThe weak base, as it is.\n"
    assert all(each.stat().st_mode & 0o200 for each in trained.iterdir())
    assert read_json(project.path / layout.log("sft", "alfworld-0-weak")) == []
    bases.load(trained)


def test_a_tokenizer_that_is_not_there_is_no_question_to_the_hub(empty_project: Project, tmp_path: Path) -> None:
    project = empty_project.copy(tmp_path / "project")
    code, lines = project.run("pretrain", "--seed", "0", "--role", "weak")
    assert (code, lines) == (2, [f"pretrain: {layout.tokenizer()}: no such folder; run the stage that writes it"])
    folder = project.path / layout.tokenizer()
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text("{")
    code, lines = project.run("pretrain", "--seed", "0", "--role", "weak")
    assert code == 2 and len(lines) == 1
    assert lines[0].startswith(f"pretrain: {layout.tokenizer()}: not a tokenizer (")


def test_places_of_adapters_are_looked_up_before_anything_is_trained(project: Project, tmp_path: Path) -> None:
    """Those of later stages too: exploring comes between, the dearest part."""
    tokenizer = train_tokenizer(["Thought: so. Action: look"], vocabulary=300, context=128)
    published = bases.create(
        FromScratch(hidden=16, layers=1, heads=2, feedforward=32), tokenizer=tokenizer, context=128, seed=3
    )
    bases.save(published, tokenizer, tmp_path / "published")
    base = str(tmp_path / "published")
    project.edit(models={"strong": {"base": base, "revision": None}}, outside={"strong": base})
    adapters = {"r": 2, "alpha": 4, "dropout": 0.0, "targets": ["c_attn"]}
    for section in ("sft", "dpo", "imitate"):
        project.edit(**{section: {"lora": adapters}})
        code, (line,) = project.run("pretrain", "--seed", "0", "--role", "strong")
        assert code == 2
        assert line.startswith(f"pretrain: {section}.lora.targets: the model has no c_attn; its linear modules are d")
        project.edit(**{section: {"lora": adapters | {"targets": ["q_proj"]}}})
    assert project.run("pretrain", "--seed", "0", "--role", "strong") == (0, [])


def test_a_model_that_cannot_play_many_conversations_is_refused_before_it_is_trained(
    empty_project: Project, tmp_path: Path
) -> None:
    """Else after SFT."""
    tokenizer = train_tokenizer(["Thought: so. Action: look"], vocabulary=300, context=128)
    published = tmp_path / "published"
    types = [[["global", "local"], 1]]
    config = GPTNeoConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_layers=2, attention_types=types, num_heads=2,
        max_position_embeddings=128, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    GPTNeoForCausalLM(config).save_pretrained(published)
    tokenizer.save_pretrained(published)
    project = empty_project.copy(tmp_path / "project")
    project.edit(
        models={"weak": {"base": str(published), "revision": None}}, outside={"weak": str(published)},
        sft={"lora": None},
    )  # fmt: skip
    code, lines = project.run("pretrain", "--seed", "0", "--role", "weak")
    assert (code, lines) == (
        2,
        [
            f"pretrain: {published}: gpt_neo counts padding as tokens of a conversation and cannot play many at once; "
            "take a model of another architecture"
        ],
    )
    assert not (project.path / layout.base(0, "weak")).exists()
