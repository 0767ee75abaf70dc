"""A turn on a device that cannot be read: tensors without content, on which every hidden wait for the device raises."""

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from w2sg.agents import generation, sampling
from w2sg.agents.generation import Conversations

LENGTH = 9


@pytest.fixture(scope="module")
def model():
    """A window, so that the masks are ours: transformers' own look into the padding once a token."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = AutoConfig.for_model("mistral", **sizes, num_key_value_heads=2, vocab_size=3000, sliding_window=64)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config).eval()


class Host:
    """Answers what is fetched: every other drawn token has uncertain draws, half of the rows end with the sixth."""

    def __init__(self, *, uncertain):
        self.uncertain, self.shapes, self.token = uncertain, [], 0

    def answer(self, values):
        assert values.device.type == "meta", "what is on the host already is not fetched"
        self.shapes.append(tuple(values.shape))
        host = torch.ones(values.shape, dtype=values.dtype)
        if values.dtype == torch.bool and values.ndim == 2:
            self.token += 1
            host[0, ::10] = not (self.uncertain and self.token % 2 and self.token < LENGTH)
            if self.token == 6:
                host[1, ::2] = False
            host[1] &= self.token < LENGTH
        return host


@pytest.mark.parametrize(("temperature", "uncertain"), [(0.0, False), (0.8, False), (0.8, True)])
@pytest.mark.parametrize("rows", [8, 64])
def test_nothing_is_waited_for_row_by_row(model, monkeypatch, rows, temperature, uncertain):
    """Each token one small fetch whatever the number of rows, two more where a draw is uncertain; each turn one."""
    host = Host(uncertain=uncertain)
    for module in (generation, sampling):
        monkeypatch.setattr(module, "to_host", lambda values: host.answer(values))
    batch = Conversations(model, rows=rows, pad=0, end=[1, 2])
    for _ in range(2):
        host.shapes, host.token = [], 0
        turns = batch.respond(
            [[5] * (1 + row % 7) for row in range(rows)],
            temperature=[temperature] * rows,
            top_p=[0.9] * rows,
            uniforms=np.zeros((rows, LENGTH)),
        )
        assert len(turns) == rows
        expected = []
        for token in range(1, LENGTH + 1):
            left = rows if token <= 6 else rows // 2
            expected.append((2, left))
            if uncertain and token % 2 and token < LENGTH:
                expected += [(-(-left // 10),), (left,)]
        assert host.shapes == [*expected, (LENGTH + 1, rows)]


def test_the_device_would_show_a_wait(model):
    batch = Conversations(model, rows=2, pad=0, end=[1])
    for wait in (torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.cpu, bool, torch.nonzero):
        with pytest.raises((RuntimeError, NotImplementedError)):
            wait(batch._cache._ends[0])
