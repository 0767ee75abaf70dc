"""Drawing tokens: temperature and nucleus (top-p) sampling by inversion, from numbers that come in from outside."""

import torch

# The tokens among which a draw is looked for first.
_LIKELY = 64


def sample(
    logits: torch.Tensor, *, temperature: torch.Tensor, top_p: torch.Tensor, uniform: torch.Tensor
) -> torch.Tensor:
    """Draw one token per row by inverting the cumulative distribution of the nucleus (Holtzman et al., 2020).

    Args:
        logits: shape (rows, vocabulary).
        temperature: shape (rows,); 0 takes the most likely token.
        top_p: shape (rows,), in (0, 1].
        uniform: shape (rows,), in [0, 1).

    Returns:
        Token ids, shape (rows,).
    """
    if not temperature.any():
        return logits.argmax(dim=-1)  # of equals, the first
    greedy = temperature <= 0
    probabilities = torch.softmax(logits / torch.where(greedy, 1.0, temperature)[:, None], dim=-1)
    uniform = torch.where(greedy, 0.0, uniform)
    if logits.shape[-1] <= _LIKELY:
        return _draw(probabilities, top_p=top_p, uniform=uniform)
    # Sorting all tokens takes a fifth of a small model's time; the draw is nearly always among the most likely few.
    ordered, order = probabilities.topk(_LIKELY)
    order, places = order.sort(dim=-1)
    ordered, places = ordered.gather(1, places).sort(dim=-1, descending=True, stable=True)
    order = order.gather(1, places)
    before = ordered.cumsum(-1) - ordered
    inside = torch.where(before < top_p[:, None], ordered, 0.0).cumsum(-1)
    ends = before[:, -1] >= top_p
    total = torch.where(ends, inside[:, -1], probabilities.sum(-1))
    rank = (inside <= (uniform * total)[:, None]).sum(-1).clamp(max=_LIKELY - 1)
    token = order.gather(1, rank[:, None])[:, 0]
    # Where the few have equals beyond them, or the nucleus is wider, only the whole order tells.
    known = (ordered.gather(1, rank[:, None])[:, 0] > ordered[:, -1]) & (ends | (top_p >= 1.0))
    if not known.all():
        rest = ~known
        token[rest] = _draw(probabilities[rest], top_p=top_p[rest], uniform=uniform[rest])
    return token


def _draw(probabilities: torch.Tensor, *, top_p: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """`sample` by its definition: all tokens in the order of their probabilities, of equals the first."""
    ordered, order = torch.sort(probabilities, dim=-1, descending=True, stable=True)
    # The nucleus is the smallest set whose mass reaches top_p; its first token is always in.
    kept = torch.where(ordered.cumsum(-1) - ordered < top_p[:, None], ordered, 0.0)
    inside = kept.cumsum(-1)
    rank = (inside <= (uniform * inside[:, -1])[:, None]).sum(-1).clamp(max=probabilities.shape[-1] - 1)
    return order.gather(1, rank[:, None])[:, 0]
