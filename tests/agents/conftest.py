"""Tiny real models: LLaMA-shaped, random weights, with this project's chat template and with one like LLaMA-2's."""

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from w2sg.training.tokenizer import train_tokenizer

CONTEXT = 256
LLAMA2 = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- generation -%}{{- ' ' + message['content'] + eos_token -}}{%- endgeneration -%}"
    "{%- else -%}{{- bos_token + '[INST] ' + message['content'] + ' [/INST]' -}}{%- endif -%}"
    "{%- endfor -%}"
)


def tiny_model(tokenizer: PreTrainedTokenizerFast, *, context: int = CONTEXT) -> LlamaForCausalLM:
    """Random weights, large enough to make greedy answers differ from prompt to prompt."""
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=context, initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="session")
def own_tokenizer() -> PreTrainedTokenizerFast:
    """As the pipeline trains it."""
    return train_tokenizer(["Thought: so. Action: go to drawer 1", "You see a mug."], vocabulary=300, context=CONTEXT)


@pytest.fixture(scope="session")
def llama2_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level vocabulary with <s>, </s>, no padding token, and a template like LLaMA-2's."""
    letters = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", chat_template=LLAMA2, model_max_length=CONTEXT
    )


@pytest.fixture(scope="session")
def model(own_tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    return tiny_model(own_tokenizer)


@pytest.fixture(scope="session")
def llama2_model(llama2_tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    return tiny_model(llama2_tokenizer)


@pytest.fixture(scope="session")
def absolute_model(own_tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    """GPT-2-shaped, with learned positions: to it, a shift of all positions is not nothing."""
    config = GPT2Config(
        vocab_size=len(own_tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT, initializer_range=0.3,
        bos_token_id=None, eos_token_id=own_tokenizer.eos_token_id, pad_token_id=own_tokenizer.pad_token_id,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        return GPT2LMHeadModel(config).eval()


@pytest.fixture(scope="session")
def letters_pair() -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A model that writes letters, so that its text says all about its tokens, with its tokenizer."""
    letters = ["<s>", "</s>", *"ĠĊ", *map(chr, range(33, 127))]
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", model_max_length=CONTEXT,
        chat_template=LLAMA2.replace("' ' + ", ""),
    )  # fmt: skip
    model = tiny_model(fast)
    model.lm_head.weight.data[0] = 0.0
    return model, fast
