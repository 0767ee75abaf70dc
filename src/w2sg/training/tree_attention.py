"""Attention in which each token of a trie sees the tokens above it and itself, as it would in each of its sequences.

The tokens of a trie are one row. Keys and values are cut into pieces; each block of queries (tries.py) is given its own
and attends by the attention that the model has, under a mask. Layers with a window count the places in a sequence.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from w2sg.agents.kernels import without_plans
from w2sg.agents.windows import Mask, Windows
from w2sg.training.tries import Block, Trie, blocks, build

NAME = "w2sg_tree"
FUSED = "sdpa"
# Numbers of the smallest type in 16 bytes: the memory-efficient kernel refuses a mask that begins elsewhere.
_ALIGNED = 8
# Largest difference of a logit between a packed sequence and its row, in standard deviations of the logits: rounding.
TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.1, torch.bfloat16: 0.3}


@dataclass(frozen=True)
class Blocks:
    """How a row is cut; the model hands it on to its attention."""

    cut: tuple[Block, ...]

    @cached_property
    def own(self) -> list[int]:
        """Tokens of each block."""
        return [block.end - block.begin for block in self.cut]

    @cached_property
    def stretches(self) -> list[int]:
        """Lengths of each block's mask and of what fills it up behind (`masks`), in turn."""
        sizes = [count * block.keys for count, block in zip(self.own, self.cut, strict=True)]
        return [length for size in sizes for length in (size, -size % _ALIGNED)]

    @cached_property
    def limits(self) -> list[int]:
        """Where the row is cut for what stands above blocks, both ends included."""
        inner = {limit for block in self.cut for stretch in block.before for limit in stretch}
        return sorted(inner | {0, sum(self.own)})

    @cached_property
    def pieces(self) -> list[int]:
        """Lengths between these limits."""
        return [end - begin for begin, end in pairwise(self.limits)]

    @cached_property
    def above(self) -> list[list[int]]:
        """Of each block the numbers of the pieces that stand above it."""
        return [
            [piece for stretch in block.before for piece in range(*map(self.limits.index, stretch))]
            for block in self.cut
        ]


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    blocks: Blocks | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of a row that is cut into blocks; without them, torch's fused attention as it is.

    Args:
        query, key, value: shape (1, heads, tokens, width).
        attention_mask: of all blocks (`masks`).
    """
    if blocks is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    assert attention_mask is not None
    # The gradient of a split is one tensor; those of as many slices would be as many of the whole row's size.
    own = [each.split(blocks.own, dim=2) for each in (query, key, value)]
    above = [each.split(blocks.pieces, dim=2) for each in (key, value)]
    masks = attention_mask.flatten().split(blocks.stretches)[::2]
    found = []
    for number, pieces in enumerate(blocks.above):
        queries, *seen = (each[number] for each in own)
        if pieces:
            seen = [torch.cat([*(a[piece] for piece in pieces), b], dim=2) for a, b in zip(above, seen, strict=True)]
        mask = masks[number].view(1, 1, blocks.own[number], -1)
        found.append(sdpa_attention_forward(module, queries, *seen, mask, **options)[0])
    return torch.cat(found, dim=1), None


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)


def masks(windows: Windows, trie: Trie, cut: Blocks, *, dtype: torch.dtype) -> Mask:
    """What a model takes as its attention mask: which keys a block's queries see, all blocks one after the other.

    Each is filled up with zeros, so that the next one begins where CUDA's kernels read (`_ALIGNED`).

    Returns:
        Numbers to be added to the scores, shape (1, 1, 1, sum of `Blocks.stretches`), by the kind of the layer if the
        model tells kinds apart.
    """
    found: dict[str, list[torch.Tensor]] = {}
    by_kind = True
    for block in cut.cut:
        queries = np.arange(block.begin, block.end)
        keys = np.concatenate([np.arange(*each) for each in (*block.before, (block.begin, block.end))])
        above = torch.from_numpy((keys <= queries[:, None]) & (queries[:, None] < trie.ends[keys]))
        places = torch.from_numpy(trie.depths[queries])[None]
        deepest = int(trie.depths[queries].max()) + 1
        within = windows.masks(places, columns=deepest, dtype=dtype)
        by_kind = isinstance(within, dict)
        depths = torch.from_numpy(np.minimum(trie.depths[keys], deepest - 1))
        for kind, added in (within if isinstance(within, dict) else {"": within}).items():
            seen = added[0, 0][:, depths].masked_fill_(~above, torch.finfo(dtype).min)
            found.setdefault(kind, []).append(torch.nn.functional.pad(seen.flatten(), (0, -seen.numel() % _ALIGNED)))
    flat = {kind: torch.cat(each)[None, None, None] for kind, each in found.items()}
    return flat if by_kind else flat[""]


@contextmanager
def tree_attention(*models: PreTrainedModel) -> Iterator[None]:
    """Let models read tries where they are given `blocks`, and rows as ever where not."""
    without_plans(models[0].device)
    former = [model.config._attn_implementation for model in models]
    for model in models:
        model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        for model, name in zip(models, former, strict=True):
            model.set_attn_implementation(name)


def windows_of(*models: PreTrainedModel) -> Windows | None:
    """What each layer sees, if the models see alike and read a trie as they read its sequences one by one; else None.

    Seen on the logits of three short sequences. Models whose attention is not torch's fused one, that make position
    biases of the columns or that keep a running state read rows alone.
    """
    found = [_windows_of(model) for model in models]
    alike = all(each is not None and vars(each) == vars(found[0]) for each in found)
    return found[0] if alike else None


def _windows_of(model: PreTrainedModel) -> Windows | None:
    training = model.training
    try:
        # Asked first, since transformers warns where its attention cannot be set.
        if model.config._attn_implementation != FUSED or not model._can_set_attn_implementation():
            return None
        windows = Windows(model.config)
        model.eval()
        return None if windows.flat or not _agrees(model, windows) else windows
    except Exception:  # whatever an architecture says that knows nothing of blocks: it reads rows
        return None
    finally:
        model.train(training)


@torch.inference_mode()
def _agrees(model: PreTrainedModel, windows: Windows) -> bool:
    size = model.get_input_embeddings().weight.shape[0]
    one = torch.linspace(0, size - 1, 16).long()
    sequences = [one.tolist(), [*one[:12].tolist(), *one[:4].tolist()], [*one[:6].tolist(), *one[:10].tolist()]]
    rows = torch.tensor(sequences, device=model.device)
    own = model(input_ids=rows, attention_mask=torch.ones_like(rows), use_cache=False).logits.float()
    trie = build(sequences)
    with tree_attention(model):
        found = model(**inputs(windows, trie, like=model)).logits[0].float()
    found = found[torch.from_numpy(np.stack(trie.places)).to(found.device)]
    tolerance = TOLERANCE.get(model.dtype, TOLERANCE[torch.bfloat16])
    return bool((own - found).abs().max() <= tolerance * own.std())


def inputs(windows: Windows, trie: Trie, *, like: PreTrainedModel) -> dict[str, Any]:
    """What a model reads of a trie: one row, its tokens at the places that they have in their sequences."""
    cut, device = Blocks(tuple(blocks(trie))), like.device
    mask = masks(windows, trie, cut, dtype=like.dtype)
    return {
        "input_ids": torch.from_numpy(trie.tokens)[None].to(device),
        "position_ids": torch.from_numpy(trie.depths)[None].to(device),
        "attention_mask": mask.to(device)
        if isinstance(mask, torch.Tensor)
        else {kind: each.to(device) for kind, each in mask.items()},
        "blocks": cut,
        "use_cache": False,
    }
