"""The types of weights and of multiplication, and what follows from them in training."""

import pytest
import torch
from transformers import AutoConfig, LlamaForCausalLM

from w2sg.config.training import Dpo, Lora
from w2sg.training import bases, precision
from w2sg.training.precision import native_bf16, played_as, trained_as
from w2sg.training.preference import train_dpo
from w2sg.training.reference import turn_logprobs
from w2sg.training.sft import train_sft

from .conftest import weights
from .test_preference import twin_of

# PEFT 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

LORA = Lora(r=4, alpha=8, dropout=0.0, targets=("q_proj", "v_proj"))


@pytest.mark.parametrize("native", [True, False])
def test_weights_are_in_half_precision_where_only_adapters_learn(optimization, monkeypatch, native: bool) -> None:
    monkeypatch.setattr(precision, "native_bf16", lambda: native)
    full, half, auto = (optimization.model_copy(update={"precision": name}) for name in ("fp32", "bf16", "auto"))
    assert {trained_as(each, None) for each in (full, half, auto)} == {torch.float32}
    assert trained_as(full, LORA) is torch.float32
    assert trained_as(half, LORA) is torch.bfloat16
    assert trained_as(auto, LORA) is (torch.bfloat16 if native else torch.float32)
    assert played_as(torch.float32) is played_as(None) is torch.float32
    for stored in (torch.float16, torch.bfloat16):
        assert played_as(stored) is (torch.bfloat16 if native else torch.float32)


def test_native_bf16_says_no_where_torch_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert native_bf16() is False


@pytest.mark.parametrize("native", [True, False])
def test_a_checkpoint_is_played_in_the_type_that_it_is_stored_in(
    model, tokenizer, tmp_path, monkeypatch, native: bool
) -> None:
    monkeypatch.setattr(precision, "native_bf16", lambda: native)
    single, half = tmp_path / "single", tmp_path / "half"
    bases.save(model, tokenizer, single)
    bases.save(twin_of(model).to(torch.bfloat16), tokenizer, half)
    assert AutoConfig.from_pretrained(half).dtype is torch.bfloat16
    assert bases.load(single)[0].dtype is torch.float32
    assert bases.load(half)[0].dtype is (torch.bfloat16 if native else torch.float32)
    assert bases.load(half, dtype=torch.float32)[0].dtype is torch.float32


@pytest.fixture
def half(optimization):
    return optimization.model_copy(update={"precision": "bf16", "batch": 2, "epochs": 1})


def learned_in(monkeypatch) -> list[tuple[set[torch.dtype], set[torch.dtype]]]:
    """For every update, the types of the weights that learn and of their moments."""
    from torch.optim import AdamW

    seen = []
    step = AdamW.step

    def watched(self, *values, **options):
        done = step(self, *values, **options)
        own = [weight for group in self.param_groups for weight in group["params"]]
        moments = {self.state[weight]["exp_avg"].dtype for weight in own if weight in self.state}
        seen.append(({weight.dtype for weight in own}, moments))
        return done

    monkeypatch.setattr(AdamW, "step", watched)
    return seen


def test_adapters_and_their_optimizer_stay_in_single_precision(
    model, tokenizer, conversations, pairs, half, monkeypatch
) -> None:
    model = model.to(torch.bfloat16)
    frozen = model.model.layers[0].mlp.up_proj.weight
    before = weights(model)
    turns = turn_logprobs(model, tokenizer, pairs, batch=4)
    seen = learned_in(monkeypatch)
    trained, log = train_sft(
        model, tokenizer, conversations[:6], optimization=half, lora=LORA, assistant_only=True, seed=0
    )
    trained, more = train_dpo(
        trained.unload(),
        tokenizer,
        pairs,
        turns,
        dpo=Dpo(beta=0.1, eq6="dpo", likelihood=0.0, optimization=half, lora=LORA),
        seed=0,
    )
    trained = trained.unload()
    assert len(seen) == 6
    assert all(learning == moments == {torch.float32} for learning, moments in seen)
    assert type(trained) is LlamaForCausalLM and trained.dtype is torch.bfloat16
    after = weights(trained)
    assert torch.equal(after["model.layers.0.mlp.up_proj.weight"], frozen)
    name = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(after[name], before[name])
    assert all(torch.isfinite(torch.tensor(row["loss"])) for row in [*log, *more])


def test_half_precision_learns_what_single_precision_learns(model, tokenizer, conversations, half) -> None:
    """Losses of an epoch agree as closely as one rounding of the weights to eight bits allows."""
    longer = half.model_copy(update={"batch": 8})
    twin = twin_of(model).to(torch.bfloat16)
    options = {"lora": LORA, "assistant_only": True, "seed": 0}
    _, single = train_sft(
        model, tokenizer, conversations, optimization=longer.model_copy(update={"precision": "fp32"}), **options
    )
    _, log = train_sft(twin, tokenizer, conversations, optimization=longer, **options)
    assert [row["loss"] for row in log] == pytest.approx([row["loss"] for row in single], abs=0.02)


def test_emulated_bf16_is_told_in_one_line(model, tokenizer, conversations, half, monkeypatch, capsys) -> None:
    options = {"lora": None, "assistant_only": True, "seed": 0}
    for native, told in ((False, 1), (True, 0)):
        monkeypatch.setattr(precision, "native_bf16", lambda native=native: native)
        train_sft(twin_of(model), tokenizer, conversations[:2], optimization=half, **options)
        lines = [line for line in capsys.readouterr().err.splitlines() if "emulates" in line]
        assert len(lines) == told
