"""A turn on a device that cannot be read: tensors without content, on which every hidden wait for the device raises."""

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from w2sg.agents import generation, graphs, sampling
from w2sg.agents.generation import Conversations

LENGTH = 10


@pytest.fixture(scope="module")
def model():
    """A window, so that the masks are ours: transformers' own look into the padding once a token."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = AutoConfig.for_model("mistral", **sizes, num_key_value_heads=2, vocab_size=3000, sliding_window=64)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config).eval()


class Host:
    """Answers what is fetched: every token is 7, and of every other fetch a tenth is uncertain, if any is."""

    def __init__(self, *, uncertain):
        self.uncertain, self.shapes, self.drawn = uncertain, [], 0

    def answer(self, values):
        assert values.device.type == "meta", "what is on the host already is not fetched"
        self.shapes.append(tuple(values.shape))
        host = torch.ones(values.shape, dtype=values.dtype)
        if values.ndim == 2:
            self.drawn += 1
            host[0] = 7
            host[1, ::10] = not (self.uncertain and self.drawn % 2)
        elif values.dtype != torch.bool:
            host[:] = 7
        return host


class Repeating:
    """Records nothing, and does the work again in its place."""

    off = False

    def __call__(self, work):
        return work


def recording(self, fixed, inputs):
    """As Passes._recording without looking at what came out."""
    return self._record(lambda: self._pass(fixed))


@pytest.mark.parametrize(("temperature", "uncertain"), [(0.0, False), (0.8, False), (0.8, True)])
@pytest.mark.parametrize("record", [None, Repeating()])
@pytest.mark.parametrize("rows", [8, 64])
def test_nothing_is_waited_for_row_by_row(model, monkeypatch, rows, record, temperature, uncertain):
    """One fetch a forward pass whatever the number of rows, two more where a draw is uncertain.

    Of ten tokens the first two are written alone; then one is drafted, that by which the last such token was followed.
    """
    host = Host(uncertain=uncertain)
    for module in (generation, sampling):
        monkeypatch.setattr(module, "to_host", lambda values: host.answer(values))
    monkeypatch.setattr(graphs.Passes, "_recording", recording)
    batch = Conversations(model, rows=rows, pad=0, end=[1, 2], record=record)
    turns = batch.respond(
        [[5] * (1 + row % 7) for row in range(rows)],
        temperature=[temperature] * rows,
        top_p=[0.9] * rows,
        uniforms=np.zeros((rows, LENGTH)),
    )
    assert turns == [[7] * (LENGTH - 1)] * rows
    expected = []
    for number, tokens in enumerate((rows, rows, *[2 * rows] * 4), start=1):
        expected.append((2, tokens))
        if uncertain and number % 2:
            expected += [(-(-tokens // 10),), (tokens,)]
    assert host.shapes == expected


def test_the_device_would_show_a_wait(model):
    for wait in (torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.cpu, bool, torch.nonzero):
        with pytest.raises((RuntimeError, NotImplementedError)):
            wait(torch.zeros(1, device=model.device))
