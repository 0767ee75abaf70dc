"""Drawing tokens: temperature and nucleus (top-p) sampling by inversion, from numbers that come in from outside.

All of it in double precision on the device of the logits, so the same logits and numbers give the same tokens anywhere.
"""

from collections.abc import Sequence

import numpy as np
import torch

# The tokens among which a draw is looked for first, and then where those do not settle it.
_LIKELY, _WIDER = 64, 1024


def to_host(values: torch.Tensor) -> torch.Tensor:
    """The same on the CPU: the one way by which generation waits for its device."""
    return values.cpu()


class Draws:
    """Settings and numbers of every row that writes a turn, on the model's device.

    Args:
        temperature: per row; 0 takes the most likely token.
        top_p: per row, in (0, 1].
        uniforms: numbers in [0, 1), shape (rows, most new tokens of a turn).
    """

    def __init__(
        self, *, temperature: Sequence[float], top_p: Sequence[float], uniforms: np.ndarray, device: torch.device
    ) -> None:
        self._greedy = not any(temperature)
        self._temperature = torch.tensor(temperature, dtype=torch.float64, device=device)
        self._top_p = torch.tensor(top_p, dtype=torch.float64, device=device)
        self._uniforms = torch.as_tensor(uniforms, dtype=torch.float64).to(device)

    def likely(
        self, logits: torch.Tensor, *, rows: torch.Tensor, numbers: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw tokens, as far as the likeliest ones tell.

        Args:
            logits: shape (tokens, vocabulary).
            rows: whose turn each token belongs to, shape (tokens,), on the device of the logits.
            numbers: which token of that turn each is; likewise.

        Returns:
            The tokens, and where they are certain; both of shape (tokens,).
        """
        if self._greedy:
            token = logits.argmax(dim=-1)
            return token, torch.ones_like(token, dtype=torch.bool)
        return _likely(*self._distribution(logits, rows, numbers), among=_LIKELY)

    def settled(
        self,
        logits: torch.Tensor,
        *,
        rows: torch.Tensor,
        numbers: torch.Tensor,
        token: torch.Tensor,
        known: torch.Tensor,
    ) -> torch.Tensor:
        """The tokens that `likely` drew, and the right ones where they were not certain.

        Args:
            known: where they were, on the host.
        """
        rest = _places(~known, device=logits.device)
        return token.index_put((rest,), _draw(*self._distribution(logits[rest], rows[rest], numbers[rest])))

    def _distribution(
        self, logits: torch.Tensor, rows: torch.Tensor, numbers: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Probabilities, top_p and the number to be used, of each token."""
        temperature = self._temperature[rows]
        greedy = temperature <= 0
        scaled = logits.to(torch.float64, copy=True).div_(torch.where(greedy, 1.0, temperature)[:, None])
        uniform = torch.where(greedy, 0.0, self._uniforms[rows, numbers])
        return torch.softmax(scaled, dim=-1), self._top_p[rows], uniform


def _likely(
    probabilities: torch.Tensor, top_p: torch.Tensor, uniform: torch.Tensor, *, among: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw among a few tokens: sorting all takes longer than a small model, and these nearly always tell."""
    if probabilities.shape[-1] <= among:
        token = _by_definition(probabilities, top_p, uniform)
        return token, torch.ones_like(token, dtype=torch.bool)
    ordered, order = probabilities.topk(among)
    order, places = order.sort(dim=-1)
    ordered, places = ordered.gather(1, places).sort(dim=-1, descending=True, stable=True)
    order = order.gather(1, places)
    before = ordered.cumsum(-1) - ordered
    inside = torch.where(before < top_p[:, None], ordered, 0.0).cumsum(-1)
    ends = before[:, -1] >= top_p
    total = torch.where(ends, inside[:, -1], probabilities.sum(-1))
    rank = (inside <= (uniform * total)[:, None]).sum(-1).clamp(max=among - 1)
    # Where the few have equals beyond them, or the nucleus is wider, they do not tell.
    known = (ordered.gather(1, rank[:, None])[:, 0] > ordered[:, -1]) & (ends | (top_p >= 1.0))
    return order.gather(1, rank[:, None])[:, 0], known


def _draw(probabilities: torch.Tensor, top_p: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Draw from wide distributions: among more tokens, and by the definition where those do not tell either."""
    token, known = _likely(probabilities, top_p, uniform, among=_WIDER)
    host = to_host(known)
    if host.all():
        return token
    rest = _places(~host, device=token.device)
    return token.index_put((rest,), _by_definition(probabilities[rest], top_p[rest], uniform[rest]))


def _by_definition(probabilities: torch.Tensor, top_p: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Invert the cumulative distribution of the nucleus (Holtzman et al., 2020).

    Its tokens are in the order of their probabilities, of equals the first.

    Args:
        probabilities: shape (rows, vocabulary), float64.
        top_p: shape (rows,), in (0, 1].
        uniform: shape (rows,), in [0, 1).

    Returns:
        Token ids, shape (rows,).
    """
    ordered, order = torch.sort(probabilities, dim=-1, descending=True, stable=True)
    # The nucleus is the smallest set whose mass reaches top_p; its first token is always in.
    kept = torch.where(ordered.cumsum(-1) - ordered < top_p[:, None], ordered, 0.0)
    inside = kept.cumsum(-1)
    rank = (inside <= (uniform * inside[:, -1])[:, None]).sum(-1).clamp(max=probabilities.shape[-1] - 1)
    return order.gather(1, rank[:, None])[:, 0]


def _places(where: torch.Tensor, *, device: torch.device) -> torch.Tensor:
    """Numbers of the places that are true in a tensor on the host."""
    return torch.nonzero(where).flatten().to(device)
