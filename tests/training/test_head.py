"""The head: the model's own logits, of scored positions alone, a run at a time."""

import pytest
import torch
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from w2sg.training import head
from w2sg.training.head import IGNORED, Head, labelled

SIZES = {
    "vocab_size": 120,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ARCHITECTURES = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "llama tied": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True)),
    "gemma 2": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES, final_logit_softcapping=0.3)),
    "gemma 3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SIZES)),
    "cohere": lambda: CohereForCausalLM(CohereConfig(**SIZES, logit_scale=0.0625)),
    "granite": lambda: GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=8.0)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES)),
    "phi 3": lambda: Phi3ForCausalLM(Phi3Config(**SIZES)),
    "qwen 2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "gpt 2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=120, n_embd=32, n_layer=2, n_head=4, n_positions=64)),
    "gpt neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES)),
    "opt": lambda: OPTForCausalLM(OPTConfig(**SIZES, ffn_dim=48, word_embed_proj_dim=16)),
}


class Louder(LlamaForCausalLM):
    """A family whose configuration does not say what it does to its logits."""

    def forward(self, *args, **options):
        output = super().forward(*args, **options)
        output.logits = 3.0 * output.logits
        return output


def batch() -> dict[str, torch.Tensor]:
    """Three rows of unlike length, two runs of labels in each."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 120, (3, 20), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 15:] = 0
    labels = torch.full_like(ids, IGNORED)
    labels[:, 4:7] = ids[:, 4:7]
    labels[:, 10:14] = ids[:, 10:14]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def own_log_probs(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Log-probabilities of the labels from the logits of the model's own forward pass."""
    logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits[:, :-1].float()
    labels = inputs["labels"][:, 1:]
    scored = labels != IGNORED
    return torch.log_softmax(logits[scored], dim=-1).gather(-1, labels[scored][:, None])[:, 0]


def made(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model = ARCHITECTURES[name]().eval() if name in ARCHITECTURES else Louder(LlamaConfig(**SIZES)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 4.0  # so that a softcap bends
    return model


@pytest.mark.parametrize("logits", [2**26, 5 * 120], ids=["one run", "runs of five"])
@pytest.mark.parametrize("name", [*ARCHITECTURES, "louder"])
def test_values_and_gradients_are_those_of_the_models_own_logits(name: str, logits: int, monkeypatch) -> None:
    monkeypatch.setattr(head, "LOGITS", logits)
    model, inputs = made(name), batch()
    own = own_log_probs(model, inputs)
    (-own.sum()).backward()
    expected = {key: weight.grad.clone() for key, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    with labelled(model):
        output = model(**inputs, use_cache=False, fused_lm_head=True)
    torch.testing.assert_close(output.log_probs[output.label_mask], own.detach(), atol=1e-5, rtol=1e-5)
    assert not output.log_probs[~output.label_mask].any()
    (-output.log_probs.sum()).backward()
    found = {key: weight.grad for key, weight in model.named_parameters() if weight.grad is not None}
    assert found.keys() == expected.keys() and len(found) > 5
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, atol=1e-4 * float(gradient.abs().max()) + 1e-7, rtol=1e-4)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_more_logits_at_once_than_a_run_has(name: str, monkeypatch) -> None:
    monkeypatch.setattr(head, "LOGITS", 5 * 120)
    model, inputs = made(name), batch()
    scorer = Head(model)
    sizes: list[int] = []
    model.get_output_embeddings().register_forward_hook(lambda _, __, output: sizes.append(output.numel()))
    values = scorer.score(**inputs, use_cache=False)[0]
    values.sum().backward()
    # 21 labels in runs of five, once forward and once backward.
    assert len(values) == 21 and len(sizes) == 10 and max(sizes) <= 5 * 120


def test_a_head_that_is_not_understood_is_left_to_the_model() -> None:
    model, inputs = made("louder"), batch()
    torch.testing.assert_close(Head(model).score(**inputs)[0], own_log_probs(model, inputs))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_half_precision_is_understood_too(name: str, kind: torch.dtype) -> None:
    assert Head(made(name).to(kind))._sound


def test_a_part_without_a_label_gives_no_gradient_and_no_error() -> None:
    model, inputs = made("llama"), batch()
    inputs["labels"][:] = IGNORED
    (values,) = Head(model).score(**inputs, use_cache=False)
    values.sum().backward()
    assert values.shape == (0,) and not any(weight.grad.any() for weight in model.parameters())
