"""What drawing one token of every row costs, beside the plain way: all sorted on the host, rows asked one by one.

    python benchmarks/drawing.py [--rows N] [--vocabulary N] [--spread X] [--tokens N]

The logits are random with standard deviation X; the smaller it is, the more often the likeliest tokens do not tell.
64 rows, vocabulary 49,152, two idle cores: the plain way takes 171 ms a token and this one 24, greedy 5.9 and 1.4.
"""

import argparse
import sys
import time

import numpy as np
import torch

from w2sg.agents.sampling import Draws, _by_definition, to_host
from w2sg.contracts.command_line import Parser, positive, status

SETTINGS = ((0.5, 1.0), (0.7, 0.95), (0.9, 0.9), (1.0, 1.0))


def plain(logits: torch.Tensor, *, temperature: list[float], top_p: list[float], uniforms: np.ndarray) -> list[int]:
    """Every row's token by the definition of the nucleus."""
    host = logits.double().cpu()
    heat = torch.tensor(temperature, dtype=torch.float64)
    nucleus, numbers = torch.tensor(top_p, dtype=torch.float64), torch.as_tensor(uniforms[:, 0])
    if not heat.any():
        tokens = host.argmax(-1)
    else:
        tokens = _by_definition(torch.softmax(host / heat[:, None], dim=-1), nucleus, numbers)
    return [int(token) for token in tokens]


def ours(logits: torch.Tensor, *, temperature: list[float], top_p: list[float], uniforms: np.ndarray) -> list[int]:
    """Every row's token as generation draws it."""
    draws = Draws(temperature=temperature, top_p=top_p, uniforms=uniforms, device=logits.device)
    rows = torch.arange(len(logits), device=logits.device)
    which = {"rows": rows, "numbers": torch.zeros_like(rows)}
    token, known = draws.likely(logits, **which)
    sure = to_host(known)
    if not sure.all():
        token = draws.settled(logits, **which, token=token, known=sure)
    return to_host(token).tolist()


def main() -> int:
    """Print the figures; exit with 1 where the two ways draw other tokens."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=positive, default=64)
    parser.add_argument("--vocabulary", type=positive, default=49_152)
    parser.add_argument("--spread", type=float, default=5.0)
    parser.add_argument("--tokens", type=positive, default=5)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator().manual_seed(0)
    rng = np.random.default_rng(0)
    blocks = [
        (options.spread * torch.randn(options.rows, options.vocabulary, generator=generator)).to(device)
        for _ in range(options.tokens)
    ]
    numbers = [rng.random((options.rows, 1)) for _ in blocks]
    sampled = [SETTINGS[row % len(SETTINGS)] for row in range(options.rows)]
    print(f"{options.rows} rows, vocabulary {options.vocabulary:,}, {device}; ms a token, the plain way and ours")
    same = True
    for name, settings in (("sampled", sampled), ("greedy", [(0.0, 1.0)] * options.rows)):
        temperature, top_p = map(list, zip(*settings, strict=True))
        found, milliseconds = [], []
        for way in (plain, ours):
            way(blocks[-1], temperature=temperature, top_p=top_p, uniforms=numbers[-1])  # warm
            start = time.perf_counter()
            found.append(
                [
                    way(logits, temperature=temperature, top_p=top_p, uniforms=uniforms)
                    for logits, uniforms in zip(blocks, numbers, strict=True)
                ]
            )
            milliseconds.append(1000 * (time.perf_counter() - start) / len(blocks))
        same &= found[0] == found[1]
        print(f"{name:<8}{milliseconds[0]:>10.1f}{milliseconds[1]:>10.1f}")
    print("the same tokens" if same else "NOT the same tokens")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(status("drawing", main))
