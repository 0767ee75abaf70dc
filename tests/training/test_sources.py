"""What a user may give as a model, and the one line that says what is wrong with it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    BertConfig,
    BertLMHeadModel,
    BloomConfig,
    BloomForCausalLM,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from w2sg.config.training import Lora
from w2sg.contracts.errors import UserError
from w2sg.training import bases, proxies, sources
from w2sg.training.adapters import lora_config

from .conftest import same, weights
from .spoilt import SPOILT, change, pickled, sharded

# PEFT 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


@pytest.fixture
def folder(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    """A model as its makers would give it."""
    model.save_pretrained(tmp_path / "given")
    tokenizer.save_pretrained(tmp_path / "given")
    return tmp_path / "given"


def refusal(folder: Path) -> str:
    """What is said of a folder that a user names."""
    with pytest.raises(UserError) as caught:
        bases.load(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("what", SPOILT)
def test_a_folder_that_cannot_be_used_is_refused_in_a_line(
    folder: Path, what: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    spoil, said = SPOILT[what]
    spoil(folder)
    capfd.readouterr()
    caplog.clear()
    assert refusal(folder).startswith(f"{folder.parent}/{said}")
    printed = "".join([*capfd.readouterr(), caplog.text])
    assert "LOAD REPORT" not in printed and "custom code" not in printed


def test_weights_that_config_json_has_no_place_for_are_told(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else another model would be loaded in silence; buffers that older versions saved are none."""
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        attention_bias=True, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    folder = tmp_path / "biased"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    held = load_file(folder / "model.safetensors") | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    bases.load(str(folder))
    assert "left out" not in capsys.readouterr().err
    change(folder / "config.json", attention_bias=False)
    bases.load(str(folder))
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .startswith(
            f"{folder}: warning: 4 weights of its files are left out, as config.json has no place for them "
            "(model.layers.0.self_attn.k_proj.bias, model.layers.0.self_attn.o_proj.bias, "
        )
    )


def test_a_whole_folder_loads_the_same_however_its_weights_are_written(folder: Path) -> None:
    before = weights(bases.load(str(folder))[0])
    # A file that is not read may hold what it likes.
    save_file({"a.qweight": torch.zeros(1)}, folder / "stray.safetensors")
    shards = sharded(folder)
    assert len(shards) > 1 and not (folder / "model.safetensors").exists()
    assert same(weights(bases.load(str(folder))[0]), before)
    for file in (*shards, folder / "model.safetensors.index.json"):
        file.unlink()
    save_file(before, folder / "model.safetensors", metadata={"format": "pt"})
    pickled(folder)
    assert same(weights(bases.load(str(folder))[0]), before)


def test_a_missing_folder_is_no_question_to_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AutoConfig, "from_pretrained", None)
    assert (
        refusal(tmp_path / "no/where") == f"{tmp_path}/no/where: no such folder; a model of the hub is named owner/name"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    assert refusal(Path("~/no/where")) == f"{tmp_path}/no/where: no such folder; a model of the hub is named owner/name"


def test_a_proxy_that_needs_a_package_is_named(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@127.0.0.1:9")
    monkeypatch.setattr(proxies, "find_spec", lambda _: None)
    with pytest.raises(UserError) as caught:
        bases.load("owner/name", revision="main")
    assert str(caught.value) == (
        "owner/name: ALL_PROXY=socks5://…@127.0.0.1:9 needs the package socksio to ask the hub; "
        "`pip install socksio`, or unset ALL_PROXY"
    )
    bases.load(str(folder))  # asks nobody


def test_an_encoder_with_a_decoder_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    config = T5Config(vocab_size=400, d_model=16, d_ff=16, d_kv=8, num_layers=1, num_heads=2)
    T5ForConditionalGeneration(config).save_pretrained(tmp_path / "t5")
    assert refusal(tmp_path / "t5").startswith(f"{tmp_path}/t5: an encoder with a decoder (t5)")


@pytest.mark.filterwarnings("ignore:.*is_decoder.*")
def test_a_model_that_reads_ahead_is_refused(model: LlamaForCausalLM) -> None:
    sources.check_causal(model, name="llama")
    sources.check_causal(model.to(torch.bfloat16), name="llama in half precision")
    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    for decoder in (True, False):
        bert = BertLMHeadModel(BertConfig(**sizes, intermediate_size=48, is_decoder=decoder, initializer_range=0.3))
        if decoder:
            sources.check_causal(bert.eval(), name="bert")
            continue
        with pytest.raises(UserError, match=r"^mine: bert reads what comes after a token, too; give a model that only"):
            sources.check_causal(bert.eval(), name="mine")


def test_weights_that_are_no_numbers_are_refused(model: LlamaForCausalLM) -> None:
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    with pytest.raises(UserError, match=r"^mine: its logits are no numbers in torch.float32; its weights are damaged"):
        sources.check_causal(model, name="mine")


def test_a_model_without_keys_and_values_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    MambaForCausalLM(MambaConfig(vocab_size=400, hidden_size=16, num_hidden_layers=1, state_size=4)).save_pretrained(
        tmp_path / "mamba"
    )
    tokenizer.save_pretrained(tmp_path / "mamba")
    assert refusal(tmp_path / "mamba").startswith(f"{tmp_path}/mamba: mamba keeps one state instead of keys and values")


def test_a_model_without_a_longest_conversation_has_its_tokenizers(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    BloomForCausalLM(BloomConfig(vocab_size=400, hidden_size=16, n_layer=1, n_head=2)).save_pretrained(tmp_path / "b")
    tokenizer.save_pretrained(tmp_path / "b")
    assert bases.load(str(tmp_path / "b"))[1].model_max_length == 512


def test_of_a_multimodal_model_the_language_model_is_taken(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    text = {
        "vocab_size": 400, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 128, "sliding_window": 16,
        "layer_types": ["sliding_attention", "full_attention"],
    }  # fmt: skip
    vision = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 16,
        "patch_size": 8,
    }  # fmt: skip
    whole = Gemma3ForConditionalGeneration(Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4))
    whole.eval().save_pretrained(tmp_path / "gemma")
    tokenizer.save_pretrained(tmp_path / "gemma")
    model, read = bases.load(str(tmp_path / "gemma"))
    assert read.model_max_length == 128
    ids = torch.arange(40)[None]
    with torch.no_grad():
        expected = whole(input_ids=ids, token_type_ids=torch.zeros_like(ids)).logits
        assert torch.equal(model(ids).logits, expected)
    bases.save(model, read, tmp_path / "saved")
    assert same(weights(bases.load(tmp_path / "saved")[0]), weights(model))


@pytest.mark.parametrize("makers", [{"temperature": 0.9, "top_p": 0.6}, {"do_sample": False, "temperature": 0.9}])
def test_the_makers_settings_of_sampling_are_let_go(folder: Path, tmp_path: Path, makers: dict[str, object]) -> None:
    """LLaMA-2's own file says temperature without do_sample, which transformers refuses to save."""
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 2, "bos_token_id": 1, **makers}))
    model, tokenizer = bases.load(str(folder))
    bases.save(model, tokenizer, tmp_path / "saved")
    saved = json.loads((tmp_path / "saved/generation_config.json").read_text())
    assert saved["eos_token_id"] == [tokenizer.eos_token_id, 2]
    assert not {"temperature", "top_p", "do_sample"} & saved.keys()
    assert same(weights(bases.load(tmp_path / "saved")[0]), weights(model))


def adapt(folder: Path, out: Path, *, base: str | None) -> torch.nn.Module:
    """Write adapters of the model in a folder that change what it says; give back the adapted model."""
    from peft import get_peft_model

    model, _ = bases.load(folder)
    adapted = get_peft_model(model, lora_config(Lora(r=4, alpha=8, dropout=0.0, targets=("q_proj", "v_proj")), model))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    adapted.save_pretrained(out)
    change(out / "adapter_config.json", base_model_name_or_path=base)
    return adapted.eval()


def test_adapters_come_merged_into_the_base_that_they_name(folder: Path, tmp_path: Path) -> None:
    adapted = adapt(folder, tmp_path / "adapters", base=str(folder))
    model, tokenizer = bases.load(str(tmp_path / "adapters"))
    ids = torch.arange(30)[None]
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, adapted(input_ids=ids).logits, atol=1e-5, rtol=1e-4)
    bases.save(model, tokenizer, tmp_path / "saved")
    assert same(weights(bases.load(tmp_path / "saved")[0]), weights(model))


def test_adapters_without_their_base_are_refused(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "adapters"
    adapt(folder, out, base=None)
    assert refusal(out) == f"{out}/adapter_config.json: names no base (base_model_name_or_path); give the merged model"
    change(out / "adapter_config.json", base_model_name_or_path=str(folder))
    (out / "adapter_model.safetensors").unlink()
    assert refusal(out) == f"{out}: adapter_config.json without adapter_model.safetensors; give the folder whole"
    (out / "adapter_config.json").write_text("[" * 9999)
    (out / "adapter_model.safetensors").write_bytes(b"")
    assert refusal(out).startswith(f"{out}/adapter_model.safetensors: cut short or damaged (")
    adapt(folder, out, base=None)
    change(out / "adapter_config.json", base_model_name_or_path=f"{tmp_path}/gone")
    assert refusal(out) == (
        f"{out}: adapters of {tmp_path}/gone, which cannot be loaded; {tmp_path}/gone: no such folder; "
        "a model of the hub is named owner/name"
    )
