from contextlib import nullcontext

import numpy as np
import pytest

from w2sg.config.models import FromScratch
from w2sg.config.training import Copying, Optimization
from w2sg.training import bases, sft
from w2sg.training.copying import copying_rows
from w2sg.training.sft import fit

OPTIMIZATION = Optimization(
    epochs=1,
    batch=50,
    micro_tokens=None,
    learning_rate=1.0e-2,
    schedule="constant_with_warmup",
    warmup=0.1,
    weight_decay=0.0,
    adam_beta2=0.95,
    precision="fp32",
)
SMALL = FromScratch(hidden=32, layers=2, heads=2, feedforward=64)
SETTINGS = Copying(sequences=200, shortest=4, longest=9, optimization=OPTIMIZATION)


def test_every_row_says_a_sequence_twice_and_learns_its_second_half() -> None:
    rows = copying_rows(SETTINGS, vocabulary=30, first=5, seed=0)
    assert len(rows) == 200
    for row in rows:
        half = row["length"] // 2
        assert row["input_ids"][:half] == row["input_ids"][half:]
        assert row["labels"] == [-100] * half + row["input_ids"][half:]
        assert all(5 <= token < 30 for token in row["input_ids"])
    assert {row["length"] for row in rows} == {8, 10, 12, 14, 16, 18}


def test_equal_seeds_give_equal_rows() -> None:
    assert copying_rows(SETTINGS, vocabulary=30, first=5, seed=1) == copying_rows(
        SETTINGS, vocabulary=30, first=5, seed=1
    )
    assert copying_rows(SETTINGS, vocabulary=30, first=5, seed=1) != copying_rows(
        SETTINGS, vocabulary=30, first=5, seed=2
    )


def test_a_model_learns_to_copy_sequences_it_never_saw(tokenizer) -> None:
    few = Copying(sequences=20_000, shortest=3, longest=6, optimization=OPTIMIZATION)
    model = bases.create(SMALL, tokenizer=tokenizer, context=64, seed=0)
    vocabulary = 40
    rows = copying_rows(few, vocabulary=vocabulary, first=5, seed=0)
    _, log = fit(model, tokenizer, rows, optimization=OPTIMIZATION, lora=None, seed=0, name="copying")
    first, last = (np.mean([row["loss"] for row in part]) for part in (log[:10], log[-10:]))
    assert last < 0.5 * np.log(vocabulary - 5) < first


@pytest.mark.parametrize(("longest", "used"), [(9, "eager"), (70, "sdpa")])
def test_short_sequences_are_trained_with_plain_attention(tokenizer, monkeypatch, longest, used) -> None:
    """The same losses as with the fused one, which the model has again afterwards."""
    settings = Copying(sequences=100, shortest=longest - 3, longest=longest, optimization=OPTIMIZATION)
    rows = copying_rows(settings, vocabulary=30, first=5, seed=0)
    seen = set()

    def train(model):
        model.register_forward_pre_hook(lambda module, _: seen.add(module.config._attn_implementation))
        model.model.register_forward_pre_hook(lambda module, _: seen.add(module.config._attn_implementation))
        return fit(model, tokenizer, rows, optimization=OPTIMIZATION, lora=None, seed=0, name="copying")[1]

    model = bases.create(SMALL, tokenizer=tokenizer, context=256, seed=0)
    log = train(model)
    assert seen == {used} and model.config._attn_implementation == "sdpa"
    monkeypatch.setattr(sft, "plain_attention", lambda *_, **__: nullcontext())
    seen.clear()
    fused = train(bases.create(SMALL, tokenizer=tokenizer, context=256, seed=0))
    assert seen == {"sdpa"}
    assert [row["loss"] for row in log] == pytest.approx([row["loss"] for row in fused], abs=1e-5)


def test_lengths_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shortest \(9\) must be at most longest \(4\)"):
        Copying(sequences=1, shortest=9, longest=4, optimization=OPTIMIZATION)
