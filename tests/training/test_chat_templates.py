import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message
from w2sg.training.chat_templates import ensure_generation_marks
from w2sg.training.encoding import encode

TALK = [
    Message(role="user", content="a mug"),
    Message(role="assistant", content="take mug"),
    Message(role="user", content="taken"),
    Message(role="assistant", content="stop"),
]


def hub_tokenizer(special: list[str], *, bos: str | None = None, unknown: str | None = None, words: bool = False):
    """A tokenizer without a template, as the hub's base models have it: byte-level, or with marks before words."""
    tokenizer = Tokenizer(models.BPE(unk_token=unknown))
    if words:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
        tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    alphabet = [] if words else sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(["a mug taken take mug stop [INST] [/INST] user assistant"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, unk_token=unknown, model_max_length=256)


CASES = {
    "LLaMA-3": (
        ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        "<|begin_of_text|>",
        "<|eot_id|>",
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\na mug<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\ntake mug<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\ntaken<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nstop<|eot_id|>",
    ),
    "ChatML": (
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        None,
        "<|im_end|>",
        "<|im_start|>user\na mug<|im_end|><|im_start|>assistant\ntake mug<|im_end|>"
        "<|im_start|>user\ntaken<|im_end|><|im_start|>assistant\nstop<|im_end|>",
    ),
    "LLaMA-2": (
        ["<unk>", "<s>", "</s>"],
        "<s>",
        "</s>",
        "<s>[INST] a mug [/INST] take mug</s><s>[INST] taken [/INST] stop</s>",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_format_marks_assistant_turns_with_their_end(name: str) -> None:
    special, bos, end, text = CASES[name]
    unknown = "<unk>" if "<unk>" in special else None
    tokenizer = hub_tokenizer(special, bos=bos, unknown=unknown, words=name == "LLaMA-2")
    ensure_generation_marks(tokenizer, name="a model")
    assert tokenizer.eos_token == end
    assert tokenizer.pad_token is not None
    assert tokenizer.apply_chat_template(TALK, tokenize=False) == text
    ids, mask = encode(tokenizer, TALK, name="a test")
    learned = [token for token, bit in zip(ids, mask, strict=True) if bit]
    turns = [turn.strip() for turn in tokenizer.decode(learned).split(end)]
    assert turns == ["take mug", "stop", ""]


@pytest.mark.parametrize("name", CASES)
def test_the_prompt_of_a_turn_is_how_the_conversation_goes_on(name: str) -> None:
    special, bos, _, text = CASES[name]
    tokenizer = hub_tokenizer(special, bos=bos)
    ensure_generation_marks(tokenizer, name="a model")
    opened = tokenizer.apply_chat_template(TALK[:3], tokenize=False, add_generation_prompt=True)
    assert text.startswith(opened)


def test_a_template_with_marks_is_kept() -> None:
    tokenizer = hub_tokenizer(["<s>", "</s>"], bos="<s>")
    tokenizer.chat_template = kept = "{% generation %}{{ messages[0]['content'] }}{% endgeneration %}"
    tokenizer.pad_token = "<s>"
    ensure_generation_marks(tokenizer, name="a model")
    assert (tokenizer.chat_template, tokenizer.eos_token, tokenizer.pad_token) == (kept, None, "<s>")


def test_unknown_special_tokens_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"some/model: its chat template has no .* marks and its special tokens fit none"
    ):
        ensure_generation_marks(hub_tokenizer(["<start>", "<stop>"]), name="some/model")
