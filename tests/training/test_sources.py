"""What a user may give as a model, and the one line that says what is wrong with it."""

import json
from collections.abc import Callable
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

# PEFT 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

Spoil = Callable[[Path], None]


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


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")


def tokenizer_pointer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def gptq(folder: Path) -> None:
    change(folder / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})


def bitsandbytes(folder: Path) -> None:
    change(folder / "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})


def layers(folder: Path) -> None:
    change(folder / "config.json", num_hidden_layers=3)


def fewer_layers(folder: Path) -> None:
    change(folder / "config.json", num_hidden_layers=0)


def padding(folder: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def no_tokenizer(folder: Path) -> None:
    for file in folder.glob("token*"):
        file.unlink()


def rows(number: int) -> Spoil:
    return lambda folder: change(folder / "config.json", vocab_size=number)


def wider(folder: Path) -> None:
    change(folder / "config.json", intermediate_size=99)


def tensors(file: Path, added: Callable[[str, torch.Tensor], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Those of a file, its linear modules' replaced."""
    held = {}
    for name, weight in load_file(file).items():
        held |= added(name.removesuffix("weight"), weight) if name.endswith("_proj.weight") else {name: weight}
    return held


def as_gptq(stem: str, weight: torch.Tensor) -> dict[str, torch.Tensor]:
    ints = torch.zeros(weight.shape[1] // 8, weight.shape[0], dtype=torch.int32)
    return {f"{stem}qweight": ints, f"{stem}qzeros": ints.clone(), f"{stem}scales": torch.ones(1, weight.shape[0])}


def old_gptq(folder: Path) -> None:
    held = tensors(folder / "model.safetensors", as_gptq)
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "quantize_config.json").write_text(json.dumps({"bits": 4, "group_size": 128}))


def old_gptq_of_its_own_name(folder: Path) -> None:
    old_gptq(folder)
    (folder / "model.safetensors").rename(folder / "gptq_model-4bit-128g.safetensors")


def old_gptq_pickled(folder: Path) -> None:
    torch.save(tensors(folder / "model.safetensors", as_gptq), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def four_bits(folder: Path) -> None:
    def added(stem: str, weight: torch.Tensor) -> dict[str, torch.Tensor]:
        packed, ones = torch.zeros(weight.numel() // 2, 1, dtype=torch.uint8), torch.ones(16)
        return {f"{stem}weight": packed, f"{stem}weight.absmax": ones, f"{stem}weight.quant_map": ones.clone()}

    save_file(tensors(folder / "model.safetensors", added), folder / "model.safetensors", metadata={"format": "pt"})


def eight_bits(folder: Path) -> None:
    """Their shapes are right: without the scales they would be read as numbers of 127 and less."""

    def added(stem: str, weight: torch.Tensor) -> dict[str, torch.Tensor]:
        return {f"{stem}weight": weight.to(torch.int8), f"{stem}SCB": torch.ones(weight.shape[0])}

    save_file(tensors(folder / "model.safetensors", added), folder / "model.safetensors", metadata={"format": "pt"})


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def shortened(name: str, left: Callable[[bytes], bytes]) -> Spoil:
    def spoil(folder: Path) -> None:
        if name.endswith(".bin"):
            pickled(folder)
        (folder / name).write_bytes(left((folder / name).read_bytes()))

    return spoil


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def sharded(folder: Path) -> list[Path]:
    """The model's files, several; one of them the embeddings alone."""
    LlamaForCausalLM.from_pretrained(folder).save_pretrained(folder, max_shard_size=25_000)
    (folder / "model.safetensors").unlink()  # which would be taken first
    return sorted(folder.glob("model-*.safetensors"))


def no_shard(folder: Path) -> None:
    sharded(folder)[1].unlink()


def cut_index(folder: Path) -> None:
    sharded(folder)
    index = folder / "model.safetensors.index.json"
    index.write_bytes(half(index.read_bytes()))


def odd_index(folder: Path) -> None:
    sharded(folder)
    (folder / "model.safetensors.index.json").write_text("{}")


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def kind(name: object) -> Spoil:
    return lambda folder: change(folder / "config.json", model_type=name)


def own_code(folder: Path) -> None:
    change(folder / "config.json", model_type="mine", auto_map={"AutoConfig": "mine.Mine"})


SPOILT: dict[str, tuple[Spoil, str]] = {
    "git-lfs": (pointer, "given/model.safetensors: a pointer of git-lfs, not the file itself; run `git lfs pull`"),
    "git-lfs, tokenizer": (tokenizer_pointer, "given/tokenizer.json: a pointer of git-lfs, not the file itself"),
    "cut short": (cut, "given/model.safetensors: cut short or damaged ("),
    "GPTQ": (
        gptq,
        "given: its weights are quantised (gptq), which cannot be fine-tuned here; give the model as it was",
    ),
    "bitsandbytes": (bitsandbytes, "given: its weights are quantised (bitsandbytes), which cannot be fine-tuned here"),
    "GPTQ, old": (old_gptq, "given/model.safetensors: its weights are quantised (GPTQ or AWQ: model.layers.0."),
    "GPTQ, old, its own name": (
        old_gptq_of_its_own_name,
        "given/gptq_model-4bit-128g.safetensors: its weights are quantised (GPTQ or AWQ: model.layers.0.",
    ),
    "GPTQ, old, pickled": (old_gptq_pickled, "given/pytorch_model.bin: its weights are quantised (GPTQ or AWQ: mo"),
    "bitsandbytes, 4 bits, unnamed": (
        four_bits,
        "given/model.safetensors: its weights are quantised (bitsandbytes: model.layers.0.mlp.down_proj.weight.absmax)",
    ),
    "bitsandbytes, 8 bits, unnamed": (
        eight_bits,
        "given/model.safetensors: its weights are quantised (bitsandbytes: model.layers.0.mlp.down_proj.SCB), which",
    ),
    "fewer rows": (rows(200), "given: config.json says vocab_size: 200, model.embed_tokens.weight has 341 rows in its"),
    "more rows": (rows(500), "given: config.json says vocab_size: 500, model.embed_tokens.weight has 341 rows in its"),
    "another width": (
        wider,
        "given: model.layers.0.mlp.gate_proj.weight has the shape (32, 16) in its file, config.json asks for (99, ",
    ),
    "cut .bin": (
        shortened("pytorch_model.bin", lambda content: content[:-100]),
        "given/pytorch_model.bin: cut short or damaged (",
    ),
    "half .bin": (shortened("pytorch_model.bin", half), "given/pytorch_model.bin: cut short or damaged ("),
    "empty .bin": (
        shortened("pytorch_model.bin", lambda _: b""),
        "given/pytorch_model.bin: cut short or damaged (EOFError); fetch it again",
    ),
    "cut tokenizer.json": (shortened("tokenizer.json", half), "given/tokenizer.json: not a JSON file ("),
    "cut tokenizer_config.json": (
        shortened("tokenizer_config.json", half),
        "given/tokenizer_config.json: not a JSON file (",
    ),
    "cut generation_config.json": (
        shortened("generation_config.json", half),
        "given/generation_config.json: not a JSON file (",
    ),
    "cut config.json": (shortened("config.json", half), "given/config.json: not a JSON file ("),
    "no shard": (
        no_shard,
        "given/model.safetensors.index.json: names 'model-00002-of-00002.safetensors', which is not here (1 of 2 files",
    ),
    "cut index": (cut_index, "given/model.safetensors.index.json: not a JSON file ("),
    "odd index": (odd_index, "given/model.safetensors.index.json: weight_map: expected the file of each weight by its"),
    "no weights": (no_weights, "given: no weights here (model.safetensors is missing); give the folder whole"),
    "of pictures": (
        kind("qwen2_vl"),
        "given: config.json says model_type: qwen2_vl, which has no language model alone in transformers (",
    ),
    "no such kind": (kind("mine"), "given/config.json: model_type: 'mine' is no architecture of transformers "),
    "no kind": (
        kind(None),
        "given/config.json: no model_type; fetch it again, or give the folder ",
    ),
    "more layers": (layers, "given: no file has 18 of the weights that config.json asks for (model.layers.1."),
    "fewer layers": (fewer_layers, "given: its files have 1 layers, config.json says num_hidden_layers: 0; give the"),
    "[PAD]": (padding, "given: its tokenizer's '[PAD]' is number 341, its embeddings end at 340; take the tokenizer"),
    "no config.json": (no_config, "given: no checkpoint here (config.json is missing); give the folder that"),
    "no tokenizer": (no_tokenizer, "given: no tokenizer here; save it beside the model (tokenizer.save_pretrained)"),
    "own code": (own_code, "given/config.json: model_type: 'mine' is no architecture of transformers "),
}


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
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setattr(proxies, "find_spec", lambda _: None)
    with pytest.raises(UserError) as caught:
        bases.load("owner/name", revision="main")
    assert str(caught.value) == (
        "owner/name: ALL_PROXY=socks5://127.0.0.1:9 needs the package socksio to ask the hub; "
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
