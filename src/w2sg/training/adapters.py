"""Low-rank adapters: which modules they may go to, that a merged model is the one that was trained, and their files."""

import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, PeftType
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from w2sg.config.training import ALL_LINEAR, Lora
from w2sg.contracts import files
from w2sg.contracts.errors import UserError, shown

SETTINGS = "adapter_config.json"

# PEFT 0.21 reads a property that transformers 5.23 has renamed, and each stage with adapters would say so.
warnings.filterwarnings("ignore", message=".is_gradient_checkpointing. is deprecated", category=FutureWarning)

# Largest difference of a logit before and after merging, in standard deviations of the row's logits. Merged weights are
# rounded once more; a matrix that two modules share, changed behind the back of one, makes a difference of many.
TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.1, torch.bfloat16: 0.3}
# A line of torch's for one weight.
_MISMATCH = re.compile(
    r"size mismatch for ([^:\s]+): copying a param with shape torch\.Size\(\[([\d, ]*)\]\) from checkpoint, "
    r"the shape in current model is torch\.Size\(\[([\d, ]*)\]\)"
)


def lora_config(lora: Lora | None, model: PreTrainedModel) -> LoraConfig | None:
    """PEFT's configuration of the adapters of a model; None trains all weights.

    Raises:
        UserError: a target names no linear module of the model, or one that adapters cannot be merged into.
    """
    if lora is None:
        return None
    check_targets(lora, model)
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=ALL_LINEAR if lora.all_linear else list(lora.targets),
        task_type="CAUSAL_LM",
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
    )


def check_targets(lora: Lora, model: PreTrainedModel, *, key: str = "lora.targets") -> None:
    """See that adapters have their places in a model.

    Args:
        key: of the targets in params.yaml.

    Raises:
        UserError: see `lora_config`.
    """
    if lora.all_linear:
        return
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    kinds = torch.nn.Linear | Conv1D | torch.nn.Embedding
    adaptable = {name: module for name, module in model.named_modules() if isinstance(module, kinds)}
    inner = {name.rpartition(".")[2] for name, module in adaptable.items() if module not in (head, embeddings)}
    # As PEFT matches: a whole name, or its last parts.
    found = {
        target: [module for name, module in adaptable.items() if f".{name}".endswith(f".{target}")]
        for target in lora.targets
    }
    if wrong := [target for target, modules in found.items() if not modules]:
        raise UserError(
            f"{key}: the model has no {' or '.join(wrong)}; its linear modules are {', '.join(sorted(inner))} "
            f"({ALL_LINEAR}, alone, takes them all)"
        )
    tied = head is not None and head.weight is embeddings.weight
    for target, modules in found.items():
        if any(module is head for module in modules):
            raise UserError(f"{key}: {target} is the head, whose adapters would never be trained; leave it out")
        if tied and any(module is embeddings for module in modules):
            raise UserError(
                f"{key}: {target} is the model's head as well (tied embeddings), so that its adapters cannot be "
                "merged; leave it out"
            )


def merge(model: PeftModel) -> None:
    """Merge the adapters into the weights in place; the logits of one short row are seen to stay the same.

    Raises:
        UserError: they do not.
    """
    model.eval()
    inner = model.get_base_model()  # past the autocast that a trainer puts round the whole
    before = _logits(inner)
    model.merge_adapter()
    after = _logits(inner)
    spread, gap = float(before.std()), float((before - after).abs().max())
    if not gap <= TOLERANCE.get(inner.dtype, TOLERANCE[torch.bfloat16]) * spread:
        raise UserError(
            "lora.targets: with its adapters merged, the model is another one: a logit differs by "
            f"{gap:.2g}, the logits' standard deviation being {spread:.2g}; leave out modules that share their weights"
        )


def save(model: PeftModel, folder: Path, *, base: str) -> None:
    """Write adapters alone; the same weights give the same bytes.

    Args:
        base: what they belong to, seen from the folder.
    """
    model.peft_config["default"].base_model_name_or_path = base
    # Without looking at the base whether its embeddings were changed, on the hub if need be: they are no targets.
    model.save_pretrained(folder, selected_adapters=["default"], save_embedding_layers=False)
    (folder / "README.md").unlink()
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    # A set of names, in an order that changes from process to process.
    if isinstance(settings["target_modules"], list):
        settings["target_modules"].sort()
    files.write_json(folder / SETTINGS, settings)


def load(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """The plain model that adapters make of their base.

    Raises:
        UserError: they are of a kind that cannot be merged, their files have others than this model takes, or merging
            them gives another model.
    """
    kind = files.read_object(folder / SETTINGS).get("peft_type")
    if not isinstance(kind, str) or kind not in list(PeftType):
        raise UserError(f"{folder / SETTINGS}: peft_type: {shown(kind)} is unknown to peft; give low-rank ones (LORA)")
    with warnings.catch_warnings(), _shapes(folder):
        warnings.filterwarnings("ignore", message="Found missing adapter keys")
        adapted = PeftModel.from_pretrained(model, folder)
        if not hasattr(adapted.base_model, "merge_adapter"):
            raise UserError(
                f"{folder / SETTINGS}: peft_type: {kind} cannot be merged into a model; give low-rank ones (LORA)"
            )
        # PEFT only warns: what does not fit is left out, and what is not there stays without effect.
        found = adapted.load_adapter(folder, "default")
    others = [key for key in found.unexpected_keys if ".lora_" in key]
    if found.missing_keys or others:
        what = "are in no file" if found.missing_keys else "have no place in the base"
        keys = found.missing_keys or others
        raise UserError(
            f"{folder}: {len(keys)} of its adapters {what} ({keys[0]}); give the base that they were trained on, or "
            "merge them where they were trained"
        )
    merge(adapted)
    return adapted.unload()


@contextmanager
def _shapes(folder: Path) -> Iterator[None]:
    """Say which adapter is the first of another shape; PEFT lists them in lines of their own."""
    try:
        yield
    except RuntimeError as error:
        if (found := _MISMATCH.search(str(error))) is None:
            raise
        weight, held, asked = found.groups()
        raise UserError(
            f"{folder}: its adapter {weight} has the shape [{held}] in its file, its base and {SETTINGS} ask for "
            f"[{asked}]; give the base that they were trained on, or merge them where they were trained"
        ) from None


@torch.inference_mode()
def _logits(model: PreTrainedModel) -> torch.Tensor:
    """Of 16 tokens from all over the vocabulary, shape (16, vocabulary), single precision."""
    size = model.get_input_embeddings().weight.shape[0]
    row = torch.linspace(0, size - 1, 16, device=model.device).long()
    return model(input_ids=row[None], use_cache=False).logits[0].float()
