"""Folders of models that cannot be used: what is done to a good one, and how the line begins that says so."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

Spoil = Callable[[Path], None]


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
        "given: config.json says model_type: qwen2_vl, whose text part cannot be loaded alone in transformers (",
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
