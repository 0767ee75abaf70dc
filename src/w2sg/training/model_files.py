"""The files of a model in a folder: whether each can be read, all are there, and none is of quantised weights."""

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open
from transformers import CONFIG_MAPPING

from w2sg.contracts import files
from w2sg.contracts.errors import UserError, of_library, reason, shown

# Weights in the order in which from_pretrained looks for them; an index names its files.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
_SETTINGS = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json",
)  # fmt: skip
_AGAIN = "fetch it again, or give the folder that save_pretrained wrote"
# Tensors that stand in the place of a weight, by who writes them.
_QUANTISED = {
    "GPTQ or AWQ": re.compile(r"\.(?:qweight|qzeros)$"),
    "bitsandbytes": re.compile(r"\.(?:absmax|SCB|quant_map|quant_state\.\w+)$"),
    "of an unnamed kind": re.compile(r"\.(?:weight_packed|weight_scales?|weight_scale_inv|W_q)$"),
}


def check(folder: Path) -> None:
    """See that what lies in a folder can be read, is of an architecture known here and names no file that is not there.

    Safetensors have been opened before. Nothing is said of what is not there at all.

    Raises:
        UserError: it cannot, or the weights are quantised.
    """
    for name in _SETTINGS:
        if (folder / name).is_file():
            values = _object(folder / name)
            if name == "config.json":
                _check_architecture(folder / name, values)
    for file in _weights(folder):
        check_names(_names(file), name=str(file))


def check_there(folder: Path) -> None:
    """See that a folder has weights under a name that from_pretrained looks for.

    Raises:
        UserError: it has not.
    """
    if any((folder / name).is_file() for name in WEIGHTS) or "transformers_weights" in _object(folder / "config.json"):
        return
    for file in sorted(folder.glob("*.safetensors")):  # of GPTQ, they have names of their own
        check_names(_names(file), name=str(file))
    raise UserError(f"{folder}: no weights here (model.safetensors is missing); give the folder whole")


def check_names(names: Iterable[str], *, name: str) -> None:
    """See that no tensor is one of those that quantised weights are made of.

    Args:
        names: of tensors.
        name: of their file or model.

    Raises:
        UserError: one is.
    """
    for each in sorted(names):
        for method, pattern in _QUANTISED.items():
            if pattern.search(each):
                raise quantised(name, f"{method}: {each}")


def quantised(name: str, how: str) -> UserError:
    """What is said of quantised weights."""
    return UserError(
        f"{name}: its weights are quantised ({how}), which cannot be fine-tuned here; give the model as it was before, "
        "in bfloat16 or float32"
    )


def _object(file: Path) -> dict[str, Any]:
    values = files.read_lenient(file, remedy=_AGAIN)
    if not isinstance(values, dict):
        raise UserError(f"{file}: expected a JSON object, found {shown(values)}; {_AGAIN}")
    return values


def _check_architecture(file: Path, values: dict[str, Any]) -> None:
    kind = values.get("model_type")
    if kind is None and (file.parent / "adapter_config.json").is_file():
        return
    if kind is None:
        raise UserError(f"{file}: no model_type; {_AGAIN}")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        beside = " (code that lies beside a model is not run here)" if "auto_map" in values else ""
        raise UserError(
            f"{file}: model_type: {shown(kind)} is no architecture of transformers {transformers.__version__}{beside}; "
            "give a model of one"
        )


def _weights(folder: Path) -> list[Path]:
    """The files that weights are read from, those of adapters too."""
    found = []
    for group in (WEIGHTS, _ADAPTERS):
        first = next((folder / name for name in group if (folder / name).is_file()), None)
        if first is not None:
            found += _listed(first) if first.suffix == ".json" else [first]
    return found


def _listed(index: Path) -> list[Path]:
    places = _object(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(each, str) for each in places.values()):
        raise UserError(f"{index}: weight_map: expected the file of each weight by its name; {_AGAIN}")
    names = sorted(set(places.values()))
    if missing := [name for name in names if not (index.parent / name).is_file()]:
        raise UserError(
            f"{index}: names {shown(missing[0])}, which is not here ({len(missing)} of {len(names)} files are "
            "missing); give the folder whole"
        )
    return [index.parent / name for name in names]


def _names(file: Path) -> list[str]:
    """Of a file's tensors, which are not read."""
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as content:
                return list(content.keys())
        # As transformers reads them, but for the numbers.
        held = torch.load(file, map_location="meta", weights_only=True, mmap=zipfile.is_zipfile(file))
    except BaseException as error:
        if not of_library(error):
            raise
        raise UserError(f"{file}: cut short or damaged ({reason(error)}); fetch it again") from None
    if not isinstance(held, dict):
        raise UserError(f"{file}: expected weights by name, found {type(held).__name__}; {_AGAIN}")
    return [name for name in held if isinstance(name, str)]
