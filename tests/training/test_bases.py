import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from w2sg.contracts.errors import UserError
from w2sg.training import bases
from w2sg.training.tokenizer import CHAT_TEMPLATE

from .conftest import ARCHITECTURE, contents, same, weights


def test_the_seed_decides_the_weights(tokenizer: PreTrainedTokenizerFast) -> None:
    def made(seed: int) -> dict[str, torch.Tensor]:
        return weights(bases.create(ARCHITECTURE, tokenizer=tokenizer, context=128, seed=seed))

    torch.manual_seed(5)
    one = made(0)
    torch.manual_seed(6)
    assert same(one, made(0))
    assert not same(one, made(1))


def test_creating_leaves_the_global_generator_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    bases.create(ARCHITECTURE, tokenizer=tokenizer, context=128, seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_a_model_from_scratch_fits_its_tokenizer(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    assert model.get_input_embeddings().weight.shape == (len(tokenizer), ARCHITECTURE.hidden)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.config.max_position_embeddings == 512
    assert model.config.eos_token_id == model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_save_and_load_change_nothing(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    bases.save(model, tokenizer, tmp_path / "a", card="# a model\n")
    opened, read = bases.load(tmp_path / "a")
    assert same(weights(opened), weights(model))
    assert not opened.training
    assert read.get_vocab() == tokenizer.get_vocab()
    assert read.chat_template == CHAT_TEMPLATE
    assert read.model_max_length == 512
    assert (tmp_path / "a" / "README.md").read_text() == "# a model\n"
    # Loading and saving again gives the same bytes, in another folder too.
    bases.save(opened, read, tmp_path / "b", card="# a model\n")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_checkpoint_opens_with_transformers_alone(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    bases.save(model, tokenizer, tmp_path / "a")
    assert same(weights(AutoModelForCausalLM.from_pretrained(tmp_path / "a")), weights(model))
    assert AutoTokenizer.from_pretrained(tmp_path / "a")("a mug")["input_ids"] == tokenizer("a mug")["input_ids"]


def test_a_failed_save_keeps_the_old_checkpoint(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    bases.save(model, tokenizer, tmp_path / "a")
    before = contents(tmp_path / "a")
    with torch.no_grad():
        model.lm_head.weight.add_(1.0)
    with pytest.raises(AttributeError):
        bases.save(model, None, tmp_path / "a")
    assert contents(tmp_path / "a") == before
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_loading_in_half_precision(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    bases.save(model, tokenizer, tmp_path / "a")
    assert bases.load(tmp_path / "a", dtype=torch.bfloat16)[0].dtype is torch.bfloat16


def test_a_missing_checkpoint_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: no checkpoint here \(config.json is missing\)") as caught:
        bases.load(tmp_path / "nowhere")
    assert "\n" not in str(caught.value)


def test_a_broken_checkpoint_is_one_line(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    bases.save(model, tokenizer, tmp_path / "a")
    (tmp_path / "a" / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"a: no weights here \(model.safetensors is missing\); give") as caught:
        bases.load(tmp_path / "a")
    assert "\n" not in str(caught.value)


def test_a_tokenizer_that_panics_is_one_line(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    bases.save(model, tokenizer, tmp_path / "a")
    file = tmp_path / "a" / "tokenizer.json"
    settings = json.loads(file.read_text())
    settings["normalizer"]["normalizers"][2]["pattern"]["Regex"] = ""
    file.write_text(json.dumps(settings))
    with pytest.raises(UserError, match=r"a: cannot be loaded as a language model \(index out of bounds") as caught:
        bases.load(tmp_path / "a")
    assert "\n" not in str(caught.value)


def test_generation_stops_at_the_turn_end_and_where_the_makers_say(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model.generation_config.eos_token_id = [1, 2]
    bases.save(model, tokenizer, tmp_path / "a")
    opened, _ = bases.load(tmp_path / "a")
    assert opened.generation_config.eos_token_id == [tokenizer.eos_token_id, 1, 2]
