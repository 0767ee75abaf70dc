"""Estimates: arithmetic on known sizes, agreement with what autograd keeps, and what is refused."""

import pytest
import torch
from peft import get_peft_model
from transformers import GPT2Config, LlamaConfig, LlamaForCausalLM

from w2sg.config.training import Lora, Optimization
from w2sg.contracts.errors import UserError
from w2sg.training import memory
from w2sg.training.adapters import lora_config
from w2sg.training.memory import GIB, Sizes, cache_bytes, check_scoring, largest_part, plan_training
from w2sg.training.micro_batches import parts
from w2sg.training.sft import train_sft
from w2sg.training.trainer_setup import RECOMPUTE

from .conftest import same, weights
from .test_preference import twin_of

# PEFT 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

LLAMA_7B = LlamaConfig(hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32)
LLAMA_13B = LlamaConfig(hidden_size=5120, intermediate_size=13824, num_hidden_layers=40, num_attention_heads=40)
PAPER = Lora(r=64, alpha=128, dropout=0.05, targets=("q_proj", "k_proj", "v_proj", "o_proj"))


def on_paper(config: LlamaConfig, dtype: torch.dtype) -> LlamaForCausalLM:
    """The model without memory."""
    with torch.device("meta"):
        return LlamaForCausalLM(config).to(dtype)


def settings(**changes: object) -> Optimization:
    values: dict[str, object] = {
        "epochs": 1,
        "batch": 32,
        "micro_tokens": None,
        "learning_rate": 1e-5,
        "schedule": "cosine",
        "warmup": 0.1,
        "weight_decay": 0.0,
        "adam_beta2": 0.999,
        "precision": "bf16",
    }
    return Optimization.model_validate(values | changes)


def test_known_sizes() -> None:
    assert Sizes.of(LLAMA_7B) == Sizes(32, 4096, 11008, 4096, 32000, 4096)
    grouped = LlamaConfig(hidden_size=2048, num_attention_heads=32, num_key_value_heads=4, intermediate_size=5632)
    assert Sizes.of(grouped).keys == 256
    assert Sizes.of(GPT2Config()).feedforward == 3072
    # 6.74 and 13.02 billion weights (Touvron et al., 2023), two bytes each.
    assert memory.weight_bytes(on_paper(LLAMA_7B, torch.bfloat16)) == 2 * 6_738_415_616
    assert memory.weight_bytes(on_paper(LLAMA_13B, torch.bfloat16)) == 2 * 13_015_864_320
    # 0.5 MiB a token: 2 x 32 blocks x 4096 x 2 bytes.
    assert cache_bytes(LLAMA_7B, rows=64, positions=1000, dtype=torch.bfloat16) == 64 * 1000 * 524_288
    assert cache_bytes(LLAMA_13B, rows=1, positions=1, dtype=torch.bfloat16) == 819_200


def test_adapters_and_their_optimizer_by_hand() -> None:
    model = on_paper(LLAMA_7B, torch.bfloat16)
    need = memory.training(model, optimization=settings(), lora=PAPER, tokens=3600, recompute=False)
    # 4 matrices x 32 blocks x r (4096 + 4096) weights: themselves, their gradient and two moments, four bytes each.
    assert need.optimizer == 4 * 32 * 64 * 8192 * 16
    full = memory.training(
        on_paper(LLAMA_7B, torch.float32), optimization=settings(), lora=None, tokens=3600, recompute=False
    )
    assert full.weights + full.optimizer == 6_738_415_616 * (4 + 12 + 2)


@pytest.mark.parametrize(
    ("config", "dtype", "sequences", "gib"),
    [(LLAMA_7B, torch.float32, 4, 61.6), (LLAMA_7B, torch.bfloat16, 4, 40.3), (LLAMA_13B, torch.bfloat16, 2, 41.7)],
)
def test_what_a_gpu_took(config, dtype, sequences, gib) -> None:
    """An H100, bfloat16 autocast, adapters of rank 64, conversations of some 900 tokens, vocabulary 49,152."""
    larger = LlamaConfig(**config.to_dict() | {"vocab_size": 49_152})
    need = memory.training(
        on_paper(larger, dtype), optimization=settings(), lora=PAPER, tokens=900 * sequences, recompute=False
    )
    assert 0.95 * gib < need.total / GIB < 1.15 * gib


def test_split_weights_are_shared_out(monkeypatch) -> None:
    """7B, all weights trained in single precision: 18 bytes a weight on one card, of which four cards share."""
    model, options = on_paper(LLAMA_7B, torch.float32), {"optimization": settings(), "lora": None, "tokens": 900}
    one = memory.training(model, recompute=True, **options)
    four = memory.training(model, recompute=True, processes=4, split=True, **options)
    # Embeddings, head and two blocks are whole for a while: 2 x 131 and 2 x 202 million weights, in half precision
    # with their gradients.
    whole = 6 * (2 * 32_000 * 4096 + 2 * (6_738_415_616 - 2 * 32_000 * 4096) // 32)
    assert four.weights == 6_738_415_616 + whole  # a quarter of four bytes each
    assert four.optimizer == 3 * 6_738_415_616
    assert four.activations == one.activations
    monkeypatch.setattr(memory, "available", lambda _: 80 * GIB)
    asked = {"name": "sft", "optimization": settings(micro_tokens=4096), "lora": None, "lengths": [1000] * 64}
    with pytest.raises(UserError, match=r"^sft: needs some .*; train adapters"):
        plan_training(model, processes=4, **asked)
    plan_training(model, processes=4, split=True, **asked)


def test_heads_that_share_keys_keep_them_for_each() -> None:
    config = {"hidden_size": 1024, "intermediate_size": 2048, "num_hidden_layers": 1, "num_attention_heads": 8}
    options = {"optimization": settings(), "lora": PAPER, "tokens": 100, "recompute": False}
    own, shared = (
        memory.training(on_paper(LlamaConfig(**config, num_key_value_heads=heads), torch.bfloat16), **options)
        for heads in (8, 1)
    )
    # 4 bytes for each of a block's own keys and values, and as many for what was repeated.
    assert own.activations == shared.activations


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("targets", [None, ("q_proj", "v_proj"), ("all-linear",)])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_activations_are_what_autograd_keeps(precision: str, targets, recompute: bool) -> None:
    config = LlamaConfig(
        hidden_size=256,
        intermediate_size=688,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_hidden_layers=6,
        vocab_size=64,
    )
    lora = None if targets is None else Lora(r=4, alpha=8, dropout=0.05, targets=targets)
    half = precision == "bf16"
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).to(torch.bfloat16 if half and lora else torch.float32)
    need = memory.training(
        model, optimization=settings(precision=precision), lora=lora, tokens=512, recompute=recompute
    )
    if recompute:
        getattr(model, f"{RECOMPUTE}_enable")()
        model.enable_input_require_grads()
    backbone = model.model
    if lora is not None:
        get_peft_model(model, lora_config(lora, model))
    backbone.train()
    owned = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, tuple[int, torch.Tensor]] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        # Copies of weights in the type of multiplication are counted elsewhere.
        if storage.data_ptr() not in owned and (tensor.ndim != 2 or len(tensor) == 512):
            kept[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    ids = torch.randint(0, 64, (4, 128))
    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=half),
    ):
        backbone(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    found = sum(size for size, _ in kept.values())
    sizes = Sizes.of(config)
    if recompute:
        # The estimate has one block's own activations besides, which come and go in the backward pass.
        residual = 512 * sizes.layers * sizes.hidden * model.dtype.itemsize
        assert residual <= found <= need.activations
        return
    assert found <= need.activations <= 1.25 * found


@pytest.mark.parametrize("micro", [None, 10, 70, 200, 4000])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_largest_part_is_not_exceeded(micro: int | None, processes: int) -> None:
    lengths = [5, 60, 31, 17, 58, 44, 23]
    most = largest_part(lengths, batch=4, micro_tokens=micro, processes=processes)
    for start in range(4):
        batch = lengths[start : start + 4]
        for own in parts(batch, tokens=micro, processes=processes):
            for part in filter(None, own):
                assert len(part) * max(batch[number] for number in part) <= most


def test_the_papers_batch_fits_80_gib_in_parts_alone(monkeypatch) -> None:
    monkeypatch.setattr(memory, "available", lambda _: 79 * GIB)
    lengths = [900] * 320
    for config in (LLAMA_7B, LLAMA_13B):
        options = {"name": "sft", "lora": PAPER, "lengths": lengths}
        half = on_paper(config, torch.bfloat16)
        assert plan_training(half, optimization=settings(micro_tokens=16384), **options)
        single = on_paper(config, torch.float32)
        with pytest.raises(UserError, match=r"^sft: needs some [\d.]+ GiB \(weights .*; train adapters"):
            plan_training(single, optimization=settings(precision="fp32"), **options | {"lora": None})


def test_what_does_not_fit_names_the_key(monkeypatch) -> None:
    model = on_paper(LLAMA_7B, torch.bfloat16)
    options = {"name": "sft", "lora": PAPER, "lengths": [2000] * 64}
    monkeypatch.setattr(memory, "available", lambda _: 24 * GIB)
    with pytest.raises(UserError, match=r"set micro_tokens of its optimization to (\d+) or less$") as refusal:
        plan_training(model, optimization=settings(), **options)
    advised = int(str(refusal.value).split()[-3])
    assert advised >= 2048
    assert plan_training(model, optimization=settings(micro_tokens=advised), **options)
    with pytest.raises(UserError):
        plan_training(model, optimization=settings(micro_tokens=2 * advised), **options)
    monkeypatch.setattr(memory, "available", lambda _: 10 * GIB)
    with pytest.raises(UserError, match=r"take a larger device, or a smaller model$"):
        plan_training(model, optimization=settings(), **options)
    with pytest.raises(UserError, match=r"^sft: .*; set precision of its optimization to bf16"):
        plan_training(on_paper(LLAMA_7B, torch.float32), optimization=settings(precision="fp32"), **options)


def test_scoring_that_does_not_fit_is_refused(monkeypatch) -> None:
    model = on_paper(LLAMA_13B, torch.bfloat16)
    monkeypatch.setattr(memory, "available", lambda _: 40 * GIB)
    check_scoring(model, tokens=16_000, key="reference.batch")
    with pytest.raises(UserError, match=r"^scoring 400000 tokens at once needs .*; lower reference\.batch$"):
        check_scoring(model, tokens=400_000, key="reference.batch")


@pytest.mark.parametrize(
    "lora", [None, Lora(r=4, alpha=8, dropout=0.1, targets=("q_proj",))], ids=["all weights", "lora"]
)
def test_recomputed_activations_change_no_byte(
    lora, model, tokenizer, conversations, optimization, monkeypatch, capsys
) -> None:
    twin, names = twin_of(model), set(model.__dict__)
    options = {"optimization": optimization, "lora": lora, "assistant_only": True, "seed": 0}
    one, log = train_sft(model, tokenizer, conversations, **options)
    full = memory.training

    def plentiful(*values, recompute: bool, **named):
        """As if only recomputed activations fitted."""
        need = full(*values, recompute=recompute, **named)
        return need if recompute else type(need)(need.weights, need.optimizer, 2**60, need.head)

    monkeypatch.setattr(memory, "training", plentiful)
    two, again = train_sft(twin, tokenizer, conversations, **options)
    assert "activations are computed twice" in capsys.readouterr().err
    assert same(weights(one), weights(two)) and log == again
    two = two.unload() if lora else two
    assert not two.is_gradient_checkpointing
    assert not two.get_input_embeddings()._forward_hooks
    assert set(two.__dict__) - names <= {"model_tags", "_is_accelerate_prepared"}


def test_the_processor_says_what_it_has() -> None:
    assert 0.1 * GIB < memory.available(torch.device("cpu")) < 2**44
