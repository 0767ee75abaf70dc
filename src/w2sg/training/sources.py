"""What a model is loaded from, and whether it is whole and of a kind that can be trained and played here."""

import logging
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, PreTrainedModel, PreTrainedTokenizerBase

from w2sg.config.models import FOLDER
from w2sg.config.packages import PREFIX
from w2sg.contracts.errors import UserError, of_library, reason, shown
from w2sg.training import model_files

# The number of a block in the name of one of its weights: model.layers.3.mlp…, transformer.h.3.attn….
_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")
_POINTER = b"version https://git-lfs"
# A multimodal model's language model by the names that one for text alone has.
TEXT_PART = {
    r"^(?:model\.)?language_model\.lm_head\.": "lm_head.",
    r"^(?:model\.)?language_model\.(?:model\.)?": "model.",
}


def folder_of(source: str | Path) -> Path | None:
    """The folder that is meant, whether it is there or not; None for a model of the hub."""
    if isinstance(source, Path) or source.startswith(FOLDER):
        return Path(source).expanduser()
    return None


def on_hub(base: str) -> bool:
    """Whether `models.*.base` names a model of the hub."""
    return folder_of(base) is None and not base.startswith(PREFIX)


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Turn whatever a library raises inside the block into one line.

    Raises:
        UserError: it was no UserError before.
    """
    try:
        yield
    except UserError:
        raise
    except BaseException as error:  # libraries for files, the hub and quantised weights each have errors of their own
        if not of_library(error):
            raise
        raise UserError(f"{name}: cannot be loaded as a language model ({reason(error)})") from None


@contextmanager
def without_report() -> Iterator[None]:
    """Keep back the table of weights that transformers prints; `check_model` says what of it matters."""

    def others(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in str(record.msg)

    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(others)
    try:
        yield
    finally:
        logger.removeFilter(others)


def check_folder(folder: Path, *, stage: bool) -> None:
    """See that a folder holds a model, whole.

    Args:
        stage: a stage of the pipeline should have written it.

    Raises:
        UserError: it does not.
    """
    if not folder.is_dir() and not stage:
        raise UserError(f"{folder}: no such folder; a model of the hub is named owner/name")
    if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json", "hub.json")):
        remedy = "run the stage that writes it" if stage else "give the folder that save_pretrained wrote"
        raise UserError(f"{folder}: no checkpoint here (config.json is missing); {remedy}")
    adapters = (folder / "adapter_config.json").is_file()
    if adapters and not any(folder.glob("adapter_model.*")):  # the hub would be asked for them
        raise UserError(f"{folder}: adapter_config.json without adapter_model.safetensors; give the folder whole")
    for file in sorted(folder.iterdir()):
        if file.is_file():
            with file.open("rb") as content:
                pointer = content.read(len(_POINTER)) == _POINTER
            if pointer:
                raise UserError(f"{file}: a pointer of git-lfs, not the file itself; run `git lfs pull` in its folder")
        if file.suffix == ".safetensors":
            try:
                with safe_open(file, framework="pt"):
                    pass
            except (SafetensorError, OSError) as error:
                raise UserError(f"{file}: cut short or damaged ({reason(error)}); fetch it again") from None
    model_files.check(folder)


def check_tokenizer(folder: Path) -> None:
    """See that the tokenizer lies beside the model.

    Raises:
        UserError: it does not.
    """
    if not any(part in file.name for file in folder.iterdir() for part in ("token", "vocab", "tekken", "spiece")):
        raise UserError(f"{folder}: no tokenizer here; save it beside the model (tokenizer.save_pretrained)")


def check_config(config: Any, *, name: str) -> None:
    """See that a model's configuration is of a kind that can be trained here.

    Raises:
        UserError: it is not.
    """
    if (quantised := getattr(config, "quantization_config", None)) is not None:
        get = quantised.get if isinstance(quantised, dict) else lambda key: getattr(quantised, key, None)
        method = getattr(get("quant_method"), "value", get("quant_method")) or "of an unnamed kind"
        raise model_files.quantised(name, method)
    if getattr(config, "is_encoder_decoder", False):
        raise UserError(f"{name}: an encoder with a decoder ({config.model_type}); give a model that only goes on")
    if type(config.get_text_config()) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise UserError(
            f"{name}: config.json says model_type: {config.model_type}, whose text part cannot be loaded alone "
            "in transformers (AutoModelForCausalLM); give a model that can, such as its text-only sibling"
        )


def check_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    missing: Collection[str] = (),
    unexpected: Collection[str] = (),
    mismatched: Collection[tuple[str, Sequence[int], Sequence[int]]] = (),
    whole: bool = True,
    name: str,
) -> None:
    """See that a loaded model has all its weights, no fewer layers than its file, and a place for every token.

    Args:
        missing: names of weights that no file has.
        unexpected: of those in the files that the model has no place for.
        mismatched: of those of another shape, with that in the file and the model's.
        whole: the files are of this model alone, so that what it leaves out of its layers is worth a line.

    Raises:
        UserError: it has not.
    """
    model_files.check_names(unexpected, name=name)
    if mismatched:
        _refuse_shapes(model, mismatched, name=name)
    if missing:
        some = ", ".join(sorted(missing)[:3]) + (", …" if len(missing) > 3 else "")
        raise UserError(
            f"{name}: no file has {len(missing)} of the weights that config.json asks for ({some}); give it whole"
        )
    layers = model.config.get_text_config().num_hidden_layers
    if beyond := {int(number) for key in unexpected for number in _LAYER.findall(key) if int(number) >= layers}:
        raise UserError(
            f"{name}: its files have {max(beyond) + 1} layers, config.json says num_hidden_layers: {layers}; "
            "give the config.json that belongs to the weights"
        )
    if whole and (left_out := sorted(key for key in unexpected if _LAYER.search(key))):
        some = ", ".join(left_out[:3]) + (", …" if len(left_out) > 3 else "")
        print(
            f"{name}: warning: {len(left_out)} weights of its files are left out, as config.json has no place for them "
            f"({some}); is it the one that belongs to them?",
            file=sys.stderr,
        )
    if getattr(model, "_is_stateful", False):
        raise UserError(
            f"{name}: {model.config.model_type} keeps one state instead of keys and values of every token, which "
            "conversations that go on need; give a transformer"
        )
    rows = model.get_input_embeddings().weight.shape[0]
    token, number = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if number >= rows:
        raise UserError(
            f"{name}: its tokenizer's {shown(token)} is number {number}, its embeddings end at {rows - 1}; take the "
            "tokenizer that belongs to the weights, or resize the embeddings (resize_token_embeddings) and save both"
        )


def _refuse_shapes(
    model: PreTrainedModel, mismatched: Collection[tuple[str, Sequence[int], Sequence[int]]], *, name: str
) -> NoReturn:
    """Say which weight is the first of another shape; of embeddings that differ in rows alone, the key."""
    shapes = {weight: (tuple(held), tuple(asked)) for weight, held, asked in mismatched}
    first = next((weight for weight in model.state_dict() if weight in shapes), min(shapes))
    held, asked = shapes[first]
    remedy = "give the config.json that belongs to the weights"
    rows = getattr(model.config.get_text_config(), "vocab_size", None)
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    embeddings = [part.weight.shape for part in ends if part is not None]
    if asked in embeddings and asked[0] == rows and held[1:] == asked[1:]:
        raise UserError(
            f"{name}: config.json says vocab_size: {rows}, {first} has {held[0]} rows in its file; {remedy}"
        )
    raise UserError(f"{name}: {first} has the shape {held} in its file, config.json asks for {asked}; {remedy}")


@torch.inference_mode()
def check_causal(model: PreTrainedModel, *, name: str) -> None:
    """See that a model reads from left to right, as it would learn to copy its labels otherwise; and is no damaged one.

    Raises:
        UserError: a token's logits depend on a later token, or are no numbers.
    """
    size = model.get_input_embeddings().weight.shape[0]
    one = torch.linspace(0, size - 1, 8, device=model.device).long()[None]
    other = one.clone()
    other[0, -1] = one[0, 0]
    first, second = (model(input_ids=row, use_cache=False).logits[0, :-1].float() for row in (one, other))
    if not torch.isfinite(first).all():
        raise UserError(
            f"{name}: its logits are no numbers in {model.dtype}; its weights are damaged, or that type is too small "
            "for them; fetch them again, or give them in bfloat16 or float32"
        )
    # The same numbers but for the order of sums; another row of embeddings makes a difference of the logits' own size.
    if float((first - second).abs().max()) > 0.05 * float(first.std()):
        raise UserError(
            f"{name}: {model.config.model_type} reads what comes after a token, too; give a model that only goes on "
            "(of a BERT-like one, a decoder)"
        )


def context_of(config: Any) -> int | None:
    """The longest conversation in tokens; None where a model's configuration names none (ALiBi)."""
    text = config.get_text_config()
    found = (getattr(text, name, None) for name in ("max_position_embeddings", "max_seq_len", "seq_length"))
    return next((length for length in found if isinstance(length, int)), None)
