"""Sampling against a slow reference."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from w2sg.agents.sampling import Draws, _by_definition, _draw, _likely


def sample(logits, *, temperature, top_p, uniform):
    """One token per row, as generation draws it."""
    draws = Draws(
        temperature=temperature.tolist(), top_p=top_p.tolist(), uniforms=uniform[:, None].numpy(), device=logits.device
    )
    which = {"rows": torch.arange(len(logits)), "numbers": torch.zeros(len(logits), dtype=torch.long)}
    token, known = draws.likely(logits, **which)
    return token if known.all() else draws.settled(logits, **which, token=token, known=known)


def slow_sample(logits: list[float], *, temperature: float, top_p: float, uniform: float) -> int:
    """The definition of Holtzman et al., token by token."""
    ranked = sorted(range(len(logits)), key=lambda token: (-logits[token], token))
    if temperature == 0:
        return ranked[0]
    weights = [math.exp((logits[token] - logits[ranked[0]]) / temperature) for token in ranked]
    total = math.fsum(weights)
    nucleus, mass = [], 0.0
    for token, weight in zip(ranked, weights, strict=True):
        if nucleus and mass >= top_p:
            break
        nucleus.append((token, weight / total))
        mass += weight / total
    goal, passed = uniform * mass, 0.0
    for token, share in nucleus:
        passed += share
        if goal < passed:
            return token
    return nucleus[-1][0]


def draw(logits, *, temperature=1.0, top_p=1.0, uniforms) -> list[int]:
    """One token for each uniform number from the same logits."""
    rows = len(uniforms)
    return sample(
        torch.tensor([logits] * rows, dtype=torch.float64),
        temperature=torch.full((rows,), temperature, dtype=torch.float64),
        top_p=torch.full((rows,), top_p, dtype=torch.float64),
        uniform=torch.tensor(uniforms, dtype=torch.float64),
    ).tolist()


@given(
    logits=st.lists(st.integers(-40, 40).map(lambda eighths: eighths / 8), min_size=1, max_size=12),
    temperature=st.sampled_from([0.0, 0.1, 0.5, 0.73, 1.0, 2.0]),
    top_p=st.sampled_from([0.01, 0.31, 0.5003, 0.9001, 0.95, 1.0]),
    uniforms=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=8),
)
def test_against_the_definition(logits, temperature, top_p, uniforms):
    found = draw(logits, temperature=temperature, top_p=top_p, uniforms=uniforms)
    for uniform, token in zip(uniforms, found, strict=True):
        # Where rounding decides between two neighbours, both are right.
        nearby = [
            slow_sample(
                logits, temperature=temperature, top_p=top_p * share, uniform=min(max(uniform + shift, 0.0), 1.0)
            )
            for shift in (-1e-9, 0.0, 1e-9)
            for share in (1 - 1e-9, 1.0, 1 + 1e-9)
        ]
        assert token in nearby


@pytest.mark.parametrize("spread", [0.0, 0.02, 1.0, 4.0])
@pytest.mark.parametrize("levels", [3, 1000])
def test_the_short_way_draws_what_the_whole_order_draws(spread, levels):
    """Flat and steep distributions over 300 tokens, with few distinct values (so with equals) and with many."""
    generator = torch.Generator().manual_seed(levels)
    rows = 400
    logits = torch.randint(levels, (rows, 300), generator=generator).double() / levels * 3 * spread
    logits += 2 * spread * torch.randn(rows, 300, generator=generator).double().round(decimals=1)
    temperature = torch.tensor([0.0, 0.5, 1.0, 2.0] * (rows // 4), dtype=torch.float64)
    top_p = torch.tensor([1.0] * 100 + [0.95] * 100 + [0.6] * 100 + [0.01] * 100, dtype=torch.float64)
    uniform = torch.rand(rows, generator=generator, dtype=torch.float64)
    found = sample(logits, temperature=temperature, top_p=top_p, uniform=uniform)
    heat = torch.where(temperature > 0, temperature, 1.0)
    whole = _by_definition(
        torch.softmax(logits / heat[:, None], dim=-1), top_p, torch.where(temperature > 0, uniform, 0.0)
    )
    assert found.tolist() == whole.tolist()
    greedy = sample(logits, temperature=torch.zeros(rows), top_p=top_p, uniform=uniform)
    assert greedy.tolist() == [row.index(max(row)) for row in logits.tolist()]


PROBABILITIES = [0.125, 0.5, 0.25, 0.125]
GRID = (np.arange(800) + 0.5) / 800


@pytest.mark.parametrize(
    ("temperature", "top_p", "nucleus"),
    [
        (1.0, 1.0, [0, 1, 2, 3]),
        (0.5, 1.0, [0, 1, 2, 3]),
        (2.0, 1.0, [0, 1, 2, 3]),
        (1.0, 0.8, [0, 1, 2]),
        (1.0, 0.75, [1, 2]),
        (0.5, 0.75, [1, 2]),
        (1.0, 0.5, [1]),
        (1.0, 0.01, [1]),
        (0.0, 1.0, [1]),
    ],
)
def test_exact_distribution(temperature, top_p, nucleus):
    """Evenly spread uniforms give every token its exact share, up to one at its borders."""
    found = Counter(draw([math.log(p) for p in PROBABILITIES], temperature=temperature, top_p=top_p, uniforms=GRID))
    shares = {token: PROBABILITIES[token] ** (1 / (temperature or 1.0)) for token in nucleus}
    assert set(found) == set(nucleus)
    for token, share in shares.items():
        assert abs(found[token] - len(GRID) * share / sum(shares.values())) <= 1


def test_rows_are_drawn_with_their_own_settings():
    logits = torch.log(torch.tensor([PROBABILITIES] * 3, dtype=torch.float64))
    token = sample(
        logits,
        temperature=torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64),
        top_p=torch.tensor([1.0, 1.0, 0.3], dtype=torch.float64),
        uniform=torch.tensor([0.99, 0.99, 0.99], dtype=torch.float64),
    )
    assert token.tolist() == [1, 3, 1]


def test_extremes():
    largest = 1 - 2**-53
    assert draw([0.0, 0.0], uniforms=[0.0, 0.49, 0.5, largest]) == [0, 0, 1, 1]
    assert draw([5.0, -math.inf, 5.0], uniforms=[0.0, largest]) == [0, 2]
    assert draw([1e4, -1e4, 0.0], temperature=0.01, uniforms=[0.0, largest]) == [0, 0]
    assert draw([3.0, 3.0, 1.0], temperature=0.0, uniforms=[0.9]) == [0], "of equals, the first"
    assert draw([2.0], uniforms=[0.5]) == [0]


@pytest.mark.parametrize("top_p", [0.5, 0.75, 0.875, 1.0])
def test_the_short_way_at_exact_borders(top_p):
    """Of sums that floating point holds exactly: a token belongs to what comes before it, and so does a uniform."""
    uniform = torch.arange(0, 1, 1 / 64, dtype=torch.float64)
    p = torch.tensor([0.125, 0.5, 0.25, 0.0625, 0.03125, 0.03125], dtype=torch.float64).expand(len(uniform), -1)
    rows = p, torch.full_like(uniform, top_p), uniform
    token, known = _likely(*rows, among=4)
    assert known.any() and token[known].tolist() == _by_definition(*rows)[known].tolist()


@pytest.mark.parametrize("top_p", [1.0, 0.9, 0.3])
def test_wide_distributions_are_drawn_by_the_definition(top_p):
    """Of 3,000 tokens, as real vocabularies have them, flat ones need more than the likely ones."""
    generator = torch.Generator().manual_seed(0)
    flat = torch.full((200, 3000), 1 / 3000, dtype=torch.float64)
    steep = torch.softmax(3 * torch.randn(200, 3000, generator=generator, dtype=torch.float64), dim=-1)
    rows = torch.cat([flat, steep]), torch.full((400,), top_p, dtype=torch.float64)
    uniform = torch.rand(400, generator=generator, dtype=torch.float64)
    assert _draw(*rows, uniform).tolist() == _by_definition(*rows, uniform).tolist()
