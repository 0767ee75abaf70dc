import pytest
import torch
from peft import get_peft_model
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
)

from w2sg.config.training import Lora
from w2sg.contracts.errors import UserError
from w2sg.training.adapters import lora_config, merge
from w2sg.training.sft import train_sft

# PEFT 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "pad_token_id": 0,
}


def llama(*, tied: bool = False) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=tied, initializer_range=0.3))


def phi3() -> Phi3ForCausalLM:
    return Phi3ForCausalLM(Phi3Config(**SIZES))


def gpt2() -> GPT2LMHeadModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2))


def lora(*targets: str) -> Lora:
    return Lora(r=4, alpha=8, dropout=0.0, targets=targets)


def test_lora_goes_to_peft() -> None:
    config = lora_config(Lora(r=64, alpha=128, dropout=0.05, targets=("q_proj", "o_proj")), llama())
    assert config is not None
    assert (config.r, config.lora_alpha, config.lora_dropout) == (64, 128, 0.05)
    assert config.target_modules == {"q_proj", "o_proj"}
    assert lora_config(None, llama()) is None


@pytest.mark.parametrize(
    ("model", "targets", "wrong", "offered"),
    [
        (llama(), ("q_porj",), "q_porj", "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"),
        (llama(), ("q_proj", "v_porj"), "v_porj", "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"),
        (
            llama(),
            ("q_proj", "self_attn"),
            "self_attn",
            "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj",
        ),
        (phi3(), ("q_proj", "v_proj"), "q_proj or v_proj", "down_proj, gate_up_proj, o_proj, qkv_proj"),
        (gpt2(), ("q_proj",), "q_proj", "c_attn, c_fc, c_proj, wpe"),
    ],
    ids=["none", "one of two", "no linear module", "phi3", "gpt2"],
)
def test_targets_that_the_model_has_not_are_named_with_those_that_it_has(
    model: PreTrainedModel, targets: tuple[str, ...], wrong: str, offered: str
) -> None:
    with pytest.raises(UserError) as caught:
        lora_config(lora(*targets), model)
    assert str(caught.value) == (
        f"lora.targets: the model has no {wrong}; its linear modules are {offered} (all-linear, alone, takes them all)"
    )


@pytest.mark.parametrize("model", [llama(), llama(tied=True), phi3(), gpt2()], ids=["llama", "tied", "phi3", "gpt2"])
def test_all_linear_takes_every_linear_module_but_the_head(model: PreTrainedModel) -> None:
    adapted = get_peft_model(model, lora_config(lora("all-linear"), model))
    names = {name.split(".lora_A")[0].rpartition(".")[2] for name, _ in adapted.named_parameters() if "lora_A" in name}
    expected = {
        LlamaForCausalLM: {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
        Phi3ForCausalLM: {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"},
        GPT2LMHeadModel: {"c_attn", "c_proj", "c_fc"},
    }
    assert names == expected[type(model)]


def test_all_linear_stands_alone() -> None:
    with pytest.raises(ValueError, match="all-linear stands alone"):
        lora("all-linear", "q_proj")


@pytest.mark.parametrize("target", ["embed_tokens", "model.embed_tokens"])
def test_an_embedding_that_is_the_head_too_is_refused(target: str) -> None:
    with pytest.raises(UserError, match=rf"^lora.targets: {target} is the model's head as well \(tied embeddings\)"):
        lora_config(lora("q_proj", target), llama(tied=True))
    assert lora_config(lora("q_proj", target), llama()) is not None


@pytest.mark.parametrize("tied", [False, True])
def test_the_head_is_refused(tied: bool) -> None:
    with pytest.raises(UserError, match=r"^lora.targets: lm_head is the head, whose adapters would never be trained"):
        lora_config(lora("q_proj", "lm_head"), llama(tied=tied))


def adapted(model: PreTrainedModel, *targets: str):
    """A model with adapters that say something."""
    config = lora_config(lora("q_proj"), model)
    config.target_modules = set(targets)
    made = get_peft_model(model, config)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.1)
    return made


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("targets", [("q_proj", "v_proj"), ("down_proj", "o_proj"), ("embed_tokens",)])
def test_a_merged_model_answers_as_before(dtype: torch.dtype, targets: tuple[str, ...]) -> None:
    model = adapted(llama().to(dtype), *targets)
    row = torch.arange(20)[None]
    with torch.no_grad():
        before = model.eval()(input_ids=row).logits.float()
        merge(model)
        after = model(input_ids=row).logits.float()
        assert torch.equal(model.unload()(input_ids=row).logits.float(), after)
    assert float((before - after).abs().max()) < {torch.float32: 1e-4, torch.bfloat16: 0.3}[dtype] * float(before.std())


@pytest.mark.filterwarnings("ignore:Model (has|with) .tie_word_embeddings=True:UserWarning")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_merge_that_changes_the_model_is_an_error(dtype: torch.dtype) -> None:
    model = adapted(llama(tied=True).to(dtype), "embed_tokens")
    with pytest.raises(UserError, match=r"with its adapters merged, the model is another one: a logit differs by"):
        merge(model)


def test_training_refuses_before_it_starts(model, tokenizer, conversations, optimization, capfd) -> None:
    with pytest.raises(UserError, match="the model has no v_porj"):
        train_sft(
            model,
            tokenizer,
            conversations,
            optimization=optimization,
            lora=lora("q_proj", "v_porj"),
            assistant_only=True,
            seed=0,
        )
    assert "step" not in capfd.readouterr().err


def test_all_linear_trains(model, tokenizer, conversations, optimization) -> None:
    _, log = train_sft(
        model,
        tokenizer,
        conversations,
        optimization=optimization,
        lora=lora("all-linear"),
        assistant_only=True,
        seed=0,
    )
    assert log[-1]["loss"] < log[0]["loss"]
