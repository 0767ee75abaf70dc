"""Parts of a batch: what one forward and backward pass takes, and which process takes it.

A batch is one update, whatever the machine. It is computed in parts where `micro_tokens` says so, and by several
processes where there are several. Losses are sums over a part divided by what the whole batch has, so that the parts'
gradients add up to the batch's own.
"""

from collections.abc import Mapping, Sequence

import torch

Batch = dict[str, torch.Tensor]


def parts(lengths: Sequence[int], *, tokens: int | None, processes: int = 1) -> list[list[list[int]]]:
    """The examples of a batch that go together: for each process its parts, as many for each, empty ones at the end.

    Args:
        lengths: tokens of each example; of a pair, twice those of its longer side.
        tokens: most tokens of a part, padding counted, if it has more than one example; None sets no bound.
        processes: examples are dealt out by length, the longest first.
    """
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    dealt: list[list[list[int]]] = [[] for _ in range(processes)]
    for process, own in enumerate(dealt):
        mine = sorted(order[process::processes]) if tokens is None else order[process::processes]
        while mine:
            most = len(mine) if tokens is None else max(1, tokens // lengths[mine[0]])
            own.append(mine[:most])
            mine = mine[most:]
    count = max(len(own) for own in dealt)
    return [own + [[]] * (count - len(own)) for own in dealt]


def lengths_of(batch: Mapping[str, torch.Tensor], *, sides: int = 1) -> list[int]:
    """Tokens of each example of a batch that is padded on the right; of two sides, twice those of the longer one."""
    rows = batch["attention_mask"].sum(dim=1).reshape(sides, -1)
    return (sides * rows.amax(dim=0)).tolist()


def pick(batch: Mapping[str, torch.Tensor], examples: Sequence[int], *, sides: int = 1) -> Batch:
    """Some examples of a batch, cut to the longest of them; rows of the second side follow those of the first."""
    count = len(batch["input_ids"]) // sides
    longest = max(lengths_of(batch, sides=sides)[number] for number in examples) // sides
    chosen = torch.tensor(list(examples), device=batch["input_ids"].device)

    def rows(tensor: torch.Tensor) -> torch.Tensor:
        kept = tensor.unflatten(0, (len(tensor) // count, count))[:, chosen].flatten(0, 1)
        return kept[:, :longest] if tensor.ndim > 1 else kept

    return {name: rows(tensor) for name, tensor in batch.items()}
