"""Sequences packed as a trie, and the values of their scored tokens: each predicted once, after the token above it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from w2sg.agents.windows import Windows
from w2sg.config.training import Optimization
from w2sg.training.head import IGNORED
from w2sg.training.memory import largest_part, scoring
from w2sg.training.precision import mixed
from w2sg.training.tree_attention import inputs
from w2sg.training.tries import CALL, blocks, build, shared


@dataclass(frozen=True)
class Packed:
    """Sequences as one row, for a model under `tree_attention`.

    Attributes:
        inputs: what the model reads.
        labels: -100 but for the token after each one that predicts, which is how Head.score takes positions, shape (1,
            tokens).
        targets: the tokens that each such position is to predict, padded with its first, shape (positions, most).
        values: of each sequence's scored tokens the number among the values of all targets, shape (sequences, longest).
        scored: where `values` holds one, the same shape.
    """

    inputs: dict[str, Any]
    labels: torch.Tensor
    targets: torch.Tensor
    values: torch.Tensor
    scored: torch.Tensor

    def of_tokens(self, values: torch.Tensor) -> torch.Tensor:
        """Values of targets, shape (positions, most), as those of each sequence's scored tokens, 0 where there is none.

        Returns:
            Shape (sequences, longest).
        """
        return values.flatten()[self.values] * self.scored

    def of_positions(self, values: torch.Tensor) -> torch.Tensor:
        """The same of values that depend on the position alone, shape (positions,)."""
        return values[self.values // self.targets.shape[1]] * self.scored


def log_probs_of(logits: torch.Tensor, _: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor]:
    """Log-probability of each of a position's targets, shape (positions, most), natural logarithm."""
    return (torch.log_softmax(logits, dim=-1).gather(-1, targets),)


def pack(
    sequences: Sequence[Sequence[int]], masks: Sequence[Sequence[int]], *, windows: Windows, like: PreTrainedModel
) -> Packed:
    """Pack sequences whose tokens are scored where their mask is 1; the first of a sequence never is."""
    trie = build(sequences)
    scored = [place[np.flatnonzero(mask)] for place, mask in zip(trie.places, masks, strict=True)]
    above = np.full(len(trie.tokens), -1)
    for place in trie.places:
        above[place[1:]] = place[:-1]
    distinct = np.unique(np.concatenate(scored))
    positions, at = np.unique(above[distinct], return_inverse=True)
    assert positions[0] >= 0, "nothing predicts a first token"
    # The how manieth child of its position each scored token is: equal positions are not always side by side.
    order = np.argsort(at, kind="stable")
    begins = np.searchsorted(at[order], np.arange(len(positions)))
    child = np.empty_like(at)
    child[order] = np.arange(len(at)) - begins[at[order]]
    most = int(child.max()) + 1
    targets = np.repeat(trie.tokens[distinct[order[begins]]][:, None], most, axis=1)
    targets[at, child] = trie.tokens[distinct]
    number = np.zeros(len(trie.tokens), dtype=np.int64)
    number[distinct] = at * most + child
    longest = max(map(len, scored))
    values = np.zeros((len(scored), longest), dtype=np.int64)
    kept = np.zeros((len(scored), longest), dtype=bool)
    for row, each in enumerate(scored):
        values[row, : len(each)] = number[each]
        kept[row, : len(each)] = True
    labels = np.full(len(trie.tokens), IGNORED)
    labels[positions + 1] = targets[:, 0]
    tensors = (torch.from_numpy(each).to(like.device) for each in (labels[None], targets, values, kept))
    return Packed(inputs(windows, trie, like=like), *tensors)


def packed_parts(
    sequences: Sequence[Sequence[int]],
    *,
    sides: int = 1,
    tokens: int | None = None,
    most: int | None = None,
    processes: int = 1,
) -> list[list[list[int]]]:
    """The examples that go together: for each process its parts, as many for each, empty ones at the end.

    Examples that begin alike stand side by side; each is in one part.

    Args:
        sequences: of all first sides, then of all second ones.
        tokens: most tokens of a part, shared ones counted once, if it has more than one example; None sets no bound.
        most: most examples of a part.
    """
    count = len(sequences) // sides
    rows = [[np.asarray(sequences[side * count + number]) for side in range(sides)] for number in range(count)]
    order = sorted(range(count), key=lambda number: tuple(sequences[number]))
    dealt: list[list[list[int]]] = [[] for _ in range(processes)]
    held: list[np.ndarray[Any, Any]] = []
    size = 0
    for place, number in enumerate(order):
        own = dealt[place * processes // count]
        added = 0 if tokens is None else _added(held, rows[number])
        if not own or len(own[-1]) == most or (tokens is not None and size + added > tokens):
            own.append([])
            held, size = [], 0
            added = 0 if tokens is None else _added(held, rows[number])
        own[-1].append(number)
        held += rows[number]
        size += added
    longest = max(map(len, dealt))
    return [own + [[]] * (longest - len(own)) for own in dealt]


def packed_size(sequences: Sequence[Sequence[int]]) -> int:
    """Tokens of the trie."""
    return _added([], [np.asarray(each) for each in sequences])


def _added(held: Sequence[np.ndarray[Any, Any]], rows: Sequence[np.ndarray[Any, Any]]) -> int:
    """Tokens that sequences add to those that are there."""
    known, count = list(held), 0
    for row in rows:
        count += len(row) - max((shared(row, other) for other in known), default=0)
        known.append(row)
    return count


# Keys and values of what stands above a block are copied for it, 1.0 to 1.2 of them for each token of the default's
# batches; a block of the model keeps at least ten times as many numbers.
COPIES = 0.125


def packed_needs(
    model: PreTrainedModel, examples: Sequence[Sequence[Sequence[int]]], *, optimization: Optimization
) -> tuple[Optimization, list[int], int]:
    """What `plan_training` is to reckon with: at most a part whose examples have nothing but their own sides in common.

    Args:
        examples: the sides of each.

    Returns:
        Settings and tokens of each example, both with the copies counted as tokens, and bytes of the largest masks.
    """
    sizes = [packed_size(each) for each in examples]
    bound = optimization.micro_tokens
    largest = largest_part(sizes, batch=optimization.batch, micro_tokens=bound)
    pairs = largest * max(sizes) + min(optimization.batch, len(sizes)) * CALL
    # Where weights are in another type than products, each layer makes a mask of its own.
    cast = mixed(optimization) and model.dtype is torch.float32
    layers = model.config.get_text_config().num_hidden_layers
    settings = optimization.model_copy(
        update={"micro_tokens": None if bound is None else math.ceil(bound * (1 + COPIES))}
    )
    lengths = [math.ceil(size * (1 + COPIES)) for size in sizes]
    return settings, lengths, pairs * (model.dtype.itemsize * _kinds(model) + 2 * layers * cast)


def scoring_tokens(model: PreTrainedModel, sequences: Sequence[Sequence[int]]) -> int:
    """What `check_scoring` is to reckon with: tokens of the trie, and copies and masks as if they were tokens."""
    trie = build(sequences)
    pairs = sum((block.end - block.begin) * block.keys for block in blocks(trie))
    masks = pairs * model.dtype.itemsize * _kinds(model)
    return math.ceil(len(trie.tokens) * (1 + COPIES)) + masks // scoring(model, tokens=1).activations


def _kinds(model: PreTrainedModel) -> int:
    """Kinds of layers, each with a mask of its own."""
    return len(set(getattr(model.config.get_text_config(), "layer_types", None) or [""]))
