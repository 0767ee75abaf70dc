"""How much memory training and scoring take, worked out before they begin, against what the device has.

What autograd keeps of a transformer block was counted with torch's saved-tensor hooks (docs/budget.md): linear in the
widths, to the byte. A gated feed-forward part is assumed; others keep less.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from w2sg.contracts.errors import UserError
from w2sg.training.head import LOGITS
from w2sg.training.precision import mixed

if TYPE_CHECKING:  # else benchmarks/gpu.py would need pydantic
    from w2sg.config.training import Lora, Optimization

GIB = 2**30
# Kept free: what the allocator cannot hand out, the libraries' own workspaces.
SPARE = 0.06


@dataclass(frozen=True, slots=True)
class Sizes:
    """Widths of a model's blocks."""

    layers: int
    hidden: int
    feedforward: int
    keys: int
    vocabulary: int
    queries: int

    @classmethod
    def of(cls, config: PreTrainedConfig) -> "Sizes":
        """From a configuration of transformers, whose families name them differently."""
        text = config.get_text_config()
        heads, hidden = text.num_attention_heads, text.hidden_size
        width = getattr(text, "head_dim", None) or hidden // heads
        return cls(
            layers=text.num_hidden_layers,
            hidden=hidden,
            feedforward=getattr(text, "intermediate_size", None) or getattr(text, "ffn_dim", None) or 4 * hidden,
            keys=width * (getattr(text, "num_key_value_heads", None) or heads),
            vocabulary=text.vocab_size,
            queries=width * heads,
        )


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes of one stage, by what they are for."""

    weights: int
    optimizer: int
    """Adapters, gradients, both moments of Adam, and copies of weights in the type of multiplication."""
    activations: int
    head: int
    others: int = 0
    """Further models."""

    @property
    def total(self) -> int:
        """All of it."""
        return sum(getattr(self, part.name) for part in fields(self))

    def __str__(self) -> str:
        parts = {part.name: getattr(self, part.name) / GIB for part in fields(self)}
        return ", ".join(f"{name} {value:.1f}" for name, value in parts.items() if value >= 0.05)


def weight_bytes(model: PreTrainedModel) -> int:
    """Of all weights as they are held."""
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())


def training(
    model: PreTrainedModel,
    *,
    optimization: "Optimization",
    lora: "Lora | None",
    tokens: int,
    recompute: bool,
    longest: int = 0,
    processes: int = 1,
    split: bool = False,
    others: int = 0,
) -> Need:
    """What training takes on one device.

    Args:
        model: plain, in the type that it is trained in; may be on the meta device.
        tokens: of the largest part of a batch, padding counted.
        recompute: keep the input of each block alone, and compute the rest again in the backward pass.
        longest: tokens of the longest sequence, whose masks are as wide; 0 where masks are counted among `others`.
        processes: that average their gradients.
        split: weights, gradients and moments are shared out between the processes (FSDP).
        others: bytes of further models.
    """
    half = mixed(optimization)
    adapted = _adapted(model, lora) if lora is not None else []
    count = sum(weight.numel() for weight in model.parameters())
    trained = count if lora is None else sum(lora.r * (into + out) for into, out in adapted)
    state = trained * (12 + 4 * (lora is not None) + 4 * (processes > 1 and not split))
    weights, sizes = weight_bytes(model), Sizes.of(model.config)
    if split:
        whole = _gathered(model, half=half, trained=lora is None)
        weights, state = weights // processes + whole, state // processes
    elif half and model.dtype is torch.float32:
        state += 2 * count
    block = _block(sizes, half=half, adapted=None if lora is None else sum(into for into, _ in adapted) / sizes.layers)
    # The mask of a padded sequence, made anew in each layer where there is one.
    block += longest * (2 if half else 4)
    residual = sizes.hidden * model.dtype.itemsize
    # The block at hand is computed with its gradients beside it.
    kept = sizes.layers * residual + 1.5 * block if recompute else sizes.layers * block + 0.5 * block
    return Need(
        weights=weights,
        optimizer=state,
        activations=int(tokens * (kept + 8 * sizes.hidden)),
        head=_head(sizes, tokens),
        others=others,
    )


def scoring(model: PreTrainedModel, *, tokens: int) -> Need:
    """What a forward pass without gradients over `tokens` tokens, padding counted, takes."""
    sizes = Sizes.of(model.config)
    width = (6 * sizes.hidden + 3 * sizes.feedforward) * model.dtype.itemsize
    return Need(weight_bytes(model), 0, tokens * width, _head(sizes, tokens))


def cache_bytes(config: PreTrainedConfig, *, rows: int, positions: int, dtype: torch.dtype) -> int:
    """Keys and values of `rows` conversations of `positions` tokens."""
    sizes = Sizes.of(config)
    return 2 * sizes.layers * sizes.keys * dtype.itemsize * rows * positions


def available(device: torch.device) -> int:
    """Bytes of a device that are free or that this process has already taken for tensors."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) + int(torch.cuda.memory_reserved(device))
    own, left = _status("/proc/self/status", "VmRSS:"), _status("/proc/meminfo", "MemAvailable:")
    if own is None or left is None:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return own + left


def plan_training(
    model: PreTrainedModel,
    *,
    name: str,
    optimization: "Optimization",
    lora: "Lora | None",
    lengths: Sequence[int],
    packed: bool = False,
    processes: int = 1,
    split: bool = False,
    others: int = 0,
) -> bool:
    """Whether activations are to be recomputed so that training fits the device, which changes no byte of the result.

    Args:
        name: of what is trained, for messages.
        lengths: tokens of each example, both sides counted.
        packed: masks are counted among `others`.
        split: weights are shared out between the processes.

    Raises:
        UserError: it does not fit even so; which key to change.
    """
    room = int(available(model.device) * (1 - SPARE))

    def need(micro: int | None, *, recompute: bool) -> Need:
        tokens = largest_part(lengths, batch=optimization.batch, micro_tokens=micro, processes=processes)
        return training(
            model,
            optimization=optimization,
            lora=lora,
            tokens=tokens,
            recompute=recompute,
            longest=0 if packed else max(lengths),
            processes=processes,
            split=split,
            others=others,
        )

    if need(optimization.micro_tokens, recompute=False).total <= room:
        return False
    least = need(optimization.micro_tokens, recompute=True)
    if least.total <= room:
        print(f"{name}: activations are computed twice, which saves memory: {_gib(least.total)} GiB", file=sys.stderr)
        return True
    sizes = (2**power for power in range(20, 6, -1) if 2**power >= max(lengths))
    fitting = next((size for size in sizes if need(size, recompute=True).total <= room), None)
    if fitting is not None and fitting < (optimization.micro_tokens or fitting + 1):
        advice = f"set micro_tokens of its optimization to {fitting} or less"
    elif lora is None:
        advice = "train adapters (its lora), or a smaller model"
    elif model.dtype is torch.float32:
        advice = "set precision of its optimization to bf16, on a GPU that has it"
    else:
        advice = "take a larger device, or a smaller model"
    raise UserError(
        f"{name}: needs some {_gib(least.total)} GiB ({least}) and {model.device} has {_gib(room)}; {advice}"
    )


def check_scoring(model: PreTrainedModel, *, tokens: int, key: str) -> None:
    """See that a forward pass over the largest batch fits.

    Raises:
        UserError: it does not; `key` is to be lowered.
    """
    need, room = scoring(model, tokens=tokens), int(available(model.device) * (1 - SPARE))
    if need.total > room:
        raise UserError(
            f"scoring {tokens} tokens at once needs some {_gib(need.total)} GiB ({need}) and {model.device} has "
            f"{_gib(room)}; lower {key}"
        )


def largest_part(lengths: Sequence[int], *, batch: int, micro_tokens: int | None, processes: int = 1) -> int:
    """Most tokens, padding counted, of one part of a batch (micro_batches.parts)."""
    longest = max(lengths)
    whole = longest * -(-min(batch, len(lengths)) // processes)
    return whole if micro_tokens is None else max(longest, min(whole, micro_tokens))


def _adapted(model: PreTrainedModel, lora: "Lora") -> list[tuple[int, int]]:
    """Input and output width of each module that gets adapters."""
    head = model.get_output_embeddings()
    found = []
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if weight is None or weight.ndim != 2 or module in (head, model.get_input_embeddings()):
            continue
        if lora.all_linear or any(f".{name}".endswith(f".{target}") for target in lora.targets):
            out, into = weight.shape
            found.append((into, out))
    return found


def _block(sizes: Sizes, *, half: bool, adapted: float | None) -> float:
    """Bytes that autograd keeps of one block and token.

    Args:
        adapted: sum of the input widths of the modules with adapters, which keep their inputs in single precision, and
            what dropout left of them; None if all weights are trained, whose inputs are kept instead.
    """
    hidden, keys, feedforward = sizes.hidden, sizes.keys, sizes.feedforward
    # With a mask, keys and values that several heads share are repeated for each of them.
    kept: float
    repeated = 2 * (sizes.queries - keys) * (2 if half else 4)
    if adapted is None:
        kept = 30 * hidden + 4 * keys + 8 * feedforward if half else 32 * hidden + 8 * keys + 16 * feedforward
    elif half:
        kept = 12 * hidden + 4 * keys + 6 * feedforward + 6.1 * adapted
    else:
        kept = 16 * hidden + 8 * keys + 12 * feedforward + 8.1 * adapted
    return kept + repeated


def _gathered(model: PreTrainedModel, *, half: bool, trained: bool) -> int:
    """Of split weights, what a process has whole: embeddings, head and two blocks, and their gradients, if trained."""
    ends = {
        id(each.weight): each.weight.numel()
        for each in (model.get_input_embeddings(), model.get_output_embeddings())
        if each is not None
    }
    count = sum(weight.numel() for weight in model.parameters())
    blocks = 2 * (count - sum(ends.values())) // Sizes.of(model.config).layers
    return (sum(ends.values()) + blocks) * ((2 if half else model.dtype.itemsize) + 4 * trained)


def _head(sizes: Sizes, tokens: int) -> int:
    """Logits of one run, their logarithms and the gradients of both, in single precision."""
    return 16 * min(tokens * sizes.vocabulary, max(LOGITS, sizes.vocabulary))


def _gib(count: int) -> str:
    return f"{count / GIB:.1f}"


def _status(file: str, entry: str) -> int | None:
    """A number of kilobytes from /proc, in bytes."""
    try:
        lines = Path(file).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(entry)), None)
