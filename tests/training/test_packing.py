"""Packed as a trie, pairs give the log-probabilities, losses and gradients of padded rows."""

import math
import random

import pytest
import torch
from peft import get_peft_model
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    FalconConfig,
    FalconForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MptConfig,
    MptForCausalLM,
    PreTrainedModel,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from w2sg.config.training import Dpo, Lora
from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message
from w2sg.contracts.pairs import Pair
from w2sg.training import memory, preference, reference
from w2sg.training.adapters import lora_config
from w2sg.training.packing import COPIES, pack, packed_needs, packed_size
from w2sg.training.preference import train_dpo
from w2sg.training.reference import conversation_logprobs, encode_pairs, turn_logprobs
from w2sg.training.trainer_log import TrainingLog
from w2sg.training.tree_attention import tree_attention, windows_of

from .conftest import episode, same, weights
from .test_head import ARCHITECTURES, made
from .test_preference import Gradients

# PEFT 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

LORA = Lora(r=4, alpha=8, dropout=0.0, targets=("q_proj", "v_proj"))


@pytest.fixture(scope="module")
def tree_pairs() -> list[Pair]:
    """Of one tree: histories that begin alike, sides of one turn, one side that two pairs share."""
    return grown(random.Random(5), task="task-7", first=0)


@pytest.fixture(scope="module")
def forest_pairs(tree_pairs: list[Pair]) -> list[Pair]:
    """Of three trees."""
    return [
        *tree_pairs,
        *grown(random.Random(6), task="task-8", first=10),
        *grown(random.Random(7), task="task-9", first=20),
    ]


def grown(rng: random.Random, *, task: str, first: int) -> list[Pair]:
    path = episode(rng, turns=6)
    pairs = []
    for number, turn in enumerate((0, 2, 2, 4)):
        other = Message(role="assistant", content=f"Thought: no.\nAction: open drawer {rng.randint(1, 9)} of {number}")
        sides = [[path[2 * turn + 1]], [other, *path[2 * turn + 2 : 2 * turn + 4]]]
        if number % 2:
            sides.reverse()
        pairs.append(
            Pair(
                environment="house",
                task_id=task,
                kind="tree",
                pair_id=first + number,
                divergence=turn,
                history=path[: 2 * turn + 1],
                chosen=sides[0],
                rejected=sides[1],
                chosen_score=1.0,
                rejected_score=0.0,
            )
        )
    return pairs


def sizes(tokenizer, **changes: object) -> dict[str, object]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **changes,
    }


MODELS = {
    "groups of heads": lambda tokenizer: LlamaForCausalLM(LlamaConfig(**sizes(tokenizer))),
    "tied embeddings": lambda tokenizer: LlamaForCausalLM(LlamaConfig(**sizes(tokenizer, tie_word_embeddings=True))),
    "window": lambda tokenizer: MistralForCausalLM(MistralConfig(**sizes(tokenizer, sliding_window=20))),
    "window in one layer": lambda tokenizer: Gemma3ForCausalLM(
        Gemma3TextConfig(**sizes(tokenizer, sliding_window=20, layer_types=["sliding_attention", "full_attention"]))
    ),
}


def created(name: str, tokenizer, *, seed: int = 0) -> PreTrainedModel:
    """Weights so large that the tokens before make a difference."""
    torch.manual_seed(seed)
    model = MODELS[name](tokenizer)
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 3.0
    return model


def pad_rows(patched: pytest.MonkeyPatch) -> None:
    """Let no model read tries."""
    for module in (preference, reference):
        patched.setattr(module, "windows_of", lambda *_: None)


CASES = [
    ("groups of heads", None, {}, None),
    ("groups of heads", LORA, {}, None),
    ("groups of heads", None, {"eq6": "literal"}, None),
    ("groups of heads", LORA, {"eq6": "literal"}, 150),
    ("groups of heads", None, {"likelihood": 0.7}, 150),
    ("tied embeddings", None, {}, None),
    ("window", None, {}, None),
    ("window", None, {"eq6": "literal"}, 150),
    ("window in one layer", None, {}, None),
    ("window in one layer", LORA, {}, 150),
]


@pytest.mark.parametrize("data", ["tree", "forest"])
@pytest.mark.parametrize(("name", "lora", "changes", "micro"), CASES)
def test_losses_and_gradients_are_those_of_padded_rows(
    name, lora, changes, micro, data, tokenizer, tree_pairs, forest_pairs, optimization, monkeypatch
) -> None:
    pairs = tree_pairs if data == "tree" else forest_pairs
    weak = created(name, tokenizer, seed=1)
    turns = turn_logprobs(weak, tokenizer, pairs, batch=4)
    # So slow that what rounding does to one update does not show in the next.
    settings = optimization.model_copy(update={"batch": 5, "micro_tokens": micro, "learning_rate": 1e-7})
    dpo = Dpo(**{"beta": 0.1, "eq6": "dpo", "likelihood": 0.0, "optimization": settings, "lora": lora} | changes)
    beside = (weak, tokenizer) if "eq6" in changes else None
    found = {}
    for way in ("packed", "padded"):
        gradients, read = Gradients(), []
        model = created(name, tokenizer)
        model.get_input_embeddings().register_forward_pre_hook(lambda _, ids, read=read: read.append(ids[0].numel()))
        with monkeypatch.context() as patched:
            if way == "padded":
                pad_rows(patched)
            patched.setattr(
                TrainingLog, "on_pre_optimizer_step", lambda _, *v, g=gradients, **n: g.on_pre_optimizer_step(*v, **n)
            )
            _, log = train_dpo(model, tokenizer, pairs, turns, dpo=dpo, seed=0, reference=beside)
        assert model.config._attn_implementation == weak.config._attn_implementation == "sdpa"
        found[way] = gradients.updates, log, sum(read)
    (one, log, tokens), (other, log_of_padded, tokens_of_padded) = found["packed"], found["padded"]
    assert tokens < (0.6 if micro is None else 0.7) * tokens_of_padded
    assert len(one) == len(other) == 2 * -(-len(pairs) // 5)
    for row, row_of_padded in zip(log, log_of_padded, strict=True):
        assert row == pytest.approx(row_of_padded, abs=1e-5, rel=1e-5)
    assert max(float(value.abs().max()) for value in one[0].values()) > 0.01
    for update, update_of_padded in zip(one, other, strict=True):
        assert update.keys() == update_of_padded.keys()
        for key, value in update.items():
            torch.testing.assert_close(value, update_of_padded[key], atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_padded_rows(name, tokenizer, forest_pairs, conversations, monkeypatch) -> None:
    model = created(name, tokenizer)

    def scores() -> tuple[list[float], list[int], list[float]]:
        turns = turn_logprobs(model, tokenizer, forest_pairs, batch=5)
        whole = conversation_logprobs(model, tokenizer, conversations, batch=5)
        return [turn.logprob for turn in turns], [turn.tokens for turn in turns], whole

    packed = scores()
    with monkeypatch.context() as patched:
        pad_rows(patched)
        padded = scores()
    assert packed[1] == padded[1]
    assert packed[0] == pytest.approx(padded[0], rel=1e-5)
    assert packed[2] == pytest.approx(padded[2], rel=1e-5)
    assert min(map(abs, packed[0])) > 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_masks_begin_where_kernels_of_cuda_read(tokenizer, forest_pairs, dtype, monkeypatch) -> None:
    """Its memory-efficient attention refuses a mask that begins within 16 bytes, and takes a view as it is."""
    model = created("window in one layer", tokenizer).to(dtype)
    windows = windows_of(model)
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(
        "w2sg.training.tree_attention.sdpa_attention_forward",
        lambda *given, **options: seen.append(given[4]) or sdpa_attention_forward(*given, **options),
    )
    sequences = [pair.chosen.input_ids for pair in encode_pairs(tokenizer, forest_pairs)]
    packed = pack(sequences, [[0, *[1] * (len(each) - 1)] for each in sequences], windows=windows, like=model)
    with tree_attention(model), torch.inference_mode():
        model(**packed.inputs)
    assert len({mask.shape for mask in seen}) == 3
    assert {mask.data_ptr() % 16 for mask in seen} == {0}


def test_activations_computed_twice_change_nothing(tokenizer, forest_pairs, optimization, monkeypatch) -> None:
    weak = created("window in one layer", tokenizer, seed=1)
    turns = turn_logprobs(weak, tokenizer, forest_pairs, batch=4)
    settings = optimization.model_copy(update={"batch": 5, "learning_rate": 1e-3})
    dpo = Dpo(beta=0.1, eq6="dpo", likelihood=0.0, optimization=settings, lora=None)
    trained = []
    for twice in (False, True):
        monkeypatch.setattr(preference, "plan_training", lambda *_, twice=twice, **__: twice)
        model, _ = train_dpo(created("window in one layer", tokenizer), tokenizer, forest_pairs, turns, dpo=dpo, seed=0)
        trained.append(weights(model))
    assert same(*trained)


OTHERS = {
    "bloom": lambda: BloomForCausalLM(BloomConfig(vocab_size=120, hidden_size=32, n_layer=2, n_head=4)),
    "falcon with alibi": lambda: FalconForCausalLM(
        FalconConfig(vocab_size=120, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=True)
    ),
    "falcon": lambda: FalconForCausalLM(
        FalconConfig(vocab_size=120, hidden_size=32, num_hidden_layers=2, num_attention_heads=4)
    ),
    "mpt": lambda: MptForCausalLM(MptConfig(vocab_size=120, d_model=32, n_layers=2, n_heads=4)),
    "mamba": lambda: MambaForCausalLM(MambaConfig(vocab_size=120, hidden_size=32, num_hidden_layers=2, state_size=4)),
}


@pytest.mark.parametrize("name", [*ARCHITECTURES, *OTHERS])
def test_models_that_cannot_read_a_trie_are_found_out(name: str, capfd) -> None:
    torch.manual_seed(0)
    model = OTHERS[name]() if name in OTHERS else made(name)
    model.train()
    before = getattr(model.config, "_attn_implementation", None)
    # Gemma 2 bends its scores, which torch's fused attention cannot; older versions of transformers ignore that.
    assert before == "sdpa" or name in {*OTHERS, "gemma 2"}
    assert (windows_of(model) is not None) == (before == "sdpa" and name not in OTHERS)
    assert model.training and getattr(model.config, "_attn_implementation", None) == before
    assert "does not support setting" not in capfd.readouterr().err


def test_a_model_that_counts_columns_is_found_out_by_its_logits() -> None:
    """It takes whatever it is given, and its attention sees places in the row in the place of places in a sequence."""

    class Counting(LlamaForCausalLM):
        def forward(self, *args, position_ids=None, **options):
            return super().forward(*args, **options)

    _can_set = LlamaForCausalLM._can_set_attn_implementation
    Counting._can_set_attn_implementation = classmethod(lambda _: _can_set())
    torch.manual_seed(0)
    options = {"vocab_size": 120, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    config = LlamaConfig(**options, num_attention_heads=4)
    assert windows_of(LlamaForCausalLM(config)) is not None
    assert windows_of(Counting(config)) is None


def test_other_attention_than_the_fused_one_reads_rows(tokenizer) -> None:
    model = created("groups of heads", tokenizer)
    assert windows_of(model) is not None
    for name in ("eager", "flash_attention_2"):
        model.config._attn_implementation = name
        assert windows_of(model) is None


def test_models_that_see_unlike_read_rows_together(tokenizer) -> None:
    wide, narrow = created("groups of heads", tokenizer), created("window", tokenizer)
    assert windows_of(wide, created("tied embeddings", tokenizer)) is not None
    assert windows_of(wide, narrow) is None


def test_models_that_cannot_are_trained_on_rows(tokenizer, forest_pairs, optimization) -> None:
    def bloom() -> BloomForCausalLM:
        torch.manual_seed(0)
        return BloomForCausalLM(BloomConfig(vocab_size=len(tokenizer), hidden_size=32, n_layer=2, n_head=4))

    turns = turn_logprobs(bloom(), tokenizer, forest_pairs, batch=4)
    dpo = Dpo(beta=0.1, eq6="dpo", likelihood=0.0, optimization=optimization, lora=None)
    _, log = train_dpo(bloom(), tokenizer, forest_pairs, turns, dpo=dpo, seed=0)
    assert log[0]["margin"] == pytest.approx(0.0, abs=1e-5) and log[-1]["margin"] > 0.01


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("lora", [None, LORA], ids=["all weights", "lora"])
def test_the_estimate_covers_what_autograd_keeps(lora, half, tokenizer, forest_pairs, optimization) -> None:
    torch.manual_seed(0)
    config = sizes(tokenizer, hidden_size=256, intermediate_size=688, head_dim=64, num_hidden_layers=4)
    model = LlamaForCausalLM(LlamaConfig(**config)).to(torch.bfloat16 if half and lora else torch.float32)
    settings = optimization.model_copy(update={"precision": "bf16" if half else "fp32", "batch": len(forest_pairs)})
    encoded = encode_pairs(tokenizer, forest_pairs)
    sides = [(pair.chosen.input_ids, pair.rejected.input_ids) for pair in encoded]
    planned, lengths, masks = packed_needs(model, sides, optimization=settings)
    # As if all pairs were as long as the longest and had nothing in common: the estimate of this very batch.
    sequences = [side for pair in sides for side in pair]
    size = packed_size(sequences)
    tokens = math.ceil(size * (1 + COPIES))
    assert tokens < memory.largest_part(lengths, batch=planned.batch, micro_tokens=None)
    need = memory.training(model, optimization=settings, lora=lora, tokens=tokens, recompute=False)
    windows = windows_of(model)
    packed = pack(sequences, [[0, *[1] * (len(each) - 1)] for each in sequences], windows=windows, like=model)
    backbone = model.model
    if lora is not None:
        get_peft_model(model, lora_config(lora, model))
    backbone.train()
    owned = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, tuple[int, torch.Tensor]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        # Copies of weights in the type of multiplication are counted elsewhere.
        if storage.data_ptr() not in owned and (tensor.ndim != 2 or len(tensor) == size):
            kept[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    with (
        tree_attention(model),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=half),
    ):
        backbone(**packed.inputs)
    found = sum(count for count, _ in kept.values())
    assert found <= need.activations + masks <= 1.6 * found


def test_what_does_not_fit_is_refused_by_packed_tokens(tokenizer, forest_pairs, optimization, monkeypatch) -> None:
    model = created("groups of heads", tokenizer)
    turns = turn_logprobs(model, tokenizer, forest_pairs, batch=4)
    settings = optimization.model_copy(update={"batch": len(forest_pairs)})
    dpo = Dpo(beta=0.1, eq6="dpo", likelihood=0.0, optimization=settings, lora=None)
    encoded = encode_pairs(tokenizer, forest_pairs)

    def most(*, tokens: int) -> int:
        return memory.training(model, optimization=settings, lora=None, tokens=tokens, recompute=True).total

    lengths = [packed_size((pair.chosen.input_ids, pair.rejected.input_ids)) for pair in encoded]
    rows = [2 * max(len(pair.chosen.input_ids), len(pair.rejected.input_ids)) for pair in encoded]
    between = (1.6 * most(tokens=len(rows) * max(lengths)) + most(tokens=len(rows) * max(rows))) / 2
    monkeypatch.setattr(memory, "available", lambda _: between)
    train_dpo(model, tokenizer, forest_pairs, turns, dpo=dpo, seed=0)
    with monkeypatch.context() as patched:
        pad_rows(patched)
        with pytest.raises(UserError, match="dpo: needs some"):
            train_dpo(model, tokenizer, forest_pairs, turns, dpo=dpo, seed=0)
