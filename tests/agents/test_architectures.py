"""A row in a batch answers as alone, for every kind of cache and for the architectures that people fine-tune."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from w2sg.agents.generation import Conversations
from w2sg.contracts.errors import UserError

from .test_generation import Recording, alone, compared, random_prompts

VOCABULARY, END, PAD, WINDOW = 120, 1, 0, 12
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = SIZES | {"num_key_value_heads": 2, "head_dim": 8}
MIXED = ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"]
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}

FULL = {
    "llama": GROUPED,
    "mistral": GROUPED | {"sliding_window": None},
    "qwen2": GROUPED,
    "qwen3": GROUPED,
    "gemma": GROUPED,
    "olmo2": GROUPED,
    "phi3": GROUPED | {"sliding_window": None},
    "gpt_neox": SIZES,
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "opt": SIZES | {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "falcon": SIZES | {"multi_query": True},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
}  # fmt: skip
WINDOWED = {
    "mistral": GROUPED | {"sliding_window": WINDOW},
    "mixtral": GROUPED | {"sliding_window": WINDOW} | EXPERTS,
    "phi3": GROUPED | {"sliding_window": WINDOW},
    "starcoder2": GROUPED | {"sliding_window": WINDOW},
    "qwen2": GROUPED | {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
    "gemma2": GROUPED | {"sliding_window": WINDOW, "num_hidden_layers": 4, "query_pre_attn_scalar": 8},
    "gemma3_text": GROUPED | {"sliding_window": WINDOW, "layer_types": MIXED, "num_hidden_layers": 4},
    "cohere2": GROUPED | {"sliding_window": WINDOW, "layer_types": MIXED, "num_hidden_layers": 4},
    "olmo3": GROUPED | {"sliding_window": WINDOW, "layer_types": MIXED, "num_hidden_layers": 4},
    "gemma3n_text": GROUPED
    | {"sliding_window": WINDOW, "layer_types": MIXED[1:3] * 2, "num_hidden_layers": 4, "num_kv_shared_layers": 2}
    | {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": VOCABULARY, "laurel_rank": 4}
    | {"activation_sparsity_pattern": [0.0] * 4, "intermediate_size": [48] * 4},
    "gpt_oss": GROUPED | {"sliding_window": WINDOW, "layer_types": MIXED, "num_hidden_layers": 4} | EXPERTS,
    "llama4_text": GROUPED
    | EXPERTS
    | {"attention_chunk_size": WINDOW, "num_hidden_layers": 4, "no_rope_layers": [1, 0, 1, 1]}
    | {"intermediate_size_mlp": 48},
}  # fmt: skip


def tiny(kind, settings):
    """A random model with answers that differ from prompt to prompt."""
    special = {"vocab_size": VOCABULARY, "bos_token_id": None, "eos_token_id": END, "pad_token_id": PAD}
    config = transformers.AutoConfig.for_model(kind, **settings, **special, initializer_range=0.3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return AutoModelForCausalLM.from_config(config).eval()


def beside_alone(model, **options):
    """Turns of six conversations in a batch, which are those of each row alone; those, with their tokens."""
    rows, turns, length = 6, 3, 8
    prompts = random_prompts(np.random.default_rng(1), VOCABULARY, rows=rows, turns=turns)
    last = [3, 3, 1, 2, 3, 2]
    expected = [alone(model, prompts[row][: last[row]], end=END, turn_length=length) for row in range(rows)]
    batch = Recording(model, rows=rows, pad=PAD, end=[END], **options)
    found, _ = compared(batch, prompts, last, expected=expected, length=length, tolerance=1e-3)
    assert found == [answers for answers, _, _ in expected]
    return found, expected


def cases():
    for kinds in (FULL, WINDOWED):
        for kind, settings in kinds.items():
            yield pytest.param(kind, settings, id=kind if kinds is FULL else f"{kind}-window")


@pytest.mark.parametrize(("kind", "settings"), [*cases()])
def test_a_row_in_a_batch_equals_the_row_alone(kind, settings):
    """Greedy turns of conversations longer than the window, in which rows are set aside, dropped and packed."""
    found, expected = beside_alone(tiny(kind, settings))
    assert max(len(tokens) for _, tokens, _ in expected) > 4 * WINDOW
    assert len({tuple(answer) for answers in found for answer in answers}) > 6, "the model listens to its prompt"


@pytest.mark.parametrize("kind", ["gpt_neo", "mpt"])
def test_models_that_count_padding_are_refused(kind):
    model = SimpleNamespace(config=transformers.AutoConfig.for_model(kind), device=torch.device("cpu"))
    with pytest.raises(UserError, match=rf"^{kind}: {kind} counts padding as tokens of a conversation"):
        Conversations(model, rows=2, pad=PAD, end=[END])


@pytest.mark.parametrize(("kind", "layers"), [("lfm2", "conv"), ("qwen3_next", "linear_attention")])
def test_layers_that_keep_a_running_state_are_refused(kind, layers):
    config = transformers.AutoConfig.for_model(kind, layer_types=[layers, "full_attention"], num_hidden_layers=2)
    model = SimpleNamespace(config=config, device=torch.device("cpu"))
    with pytest.raises(
        UserError, match=rf"^{kind}: layers of the kind {layers} cannot play many conversations at once"
    ):
        Conversations(model, rows=2, pad=PAD, end=[END])
