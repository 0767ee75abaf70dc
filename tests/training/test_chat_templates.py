import importlib.util
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message
from w2sg.training import chat_formats
from w2sg.training.chat_templates import PROBES, ensure_generation_marks
from w2sg.training.encoding import encode, turn_spans

TALK = [
    Message(role="user", content="a mug"),
    Message(role="assistant", content="take mug"),
    Message(role="user", content="taken"),
    Message(role="assistant", content="stop"),
]


def hub_tokenizer(
    special: list[str],
    *,
    bos: str | None = None,
    eos: str | None = None,
    words: bool = False,
    template: str | None = None,
    plain: tuple[str, ...] = (),
) -> PreTrainedTokenizerFast:
    """A tokenizer as the hub's models have it: byte-level, or with marks before words as SentencePiece makes them.

    Args:
        special: its special tokens; bos and eos are among them.
        plain: tokens that look like marks but are words of the vocabulary.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>" if words else None))
    if words:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
        tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    alphabet = [*"\n|<>[]/:"] if words else sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    text = "a mug taken take mug 1 stop [INST] [/INST] user assistant model system look at shelf you hold go to desk 2"
    tokenizer.train_from_iterator([text], trainer)
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in plain])
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=bos,
        eos_token=eos,
        unk_token="<unk>" if words else None,
        model_max_length=512,
    )
    made.chat_template = template
    return made


def published(name: str) -> str:
    """A template as its model was published with it; TRL keeps copies."""
    spec = importlib.util.find_spec("trl")
    assert spec is not None and spec.origin is not None
    return (Path(spec.origin).parent / f"chat_templates/{name}.jinja").read_text()


SMOLLM2 = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""
ZEPHYR = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>
'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""
TURNS = (
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}" + TURNS + "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
MISTRAL_V3 = (
    "{{ bos_token }}" + TURNS + "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + '[/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] | trim + eos_token}}{% endif %}{% endfor %}"
)
LLAMA2_CHAT = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
    "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must "
    "alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}"
    "{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
PHI3_FIRST = (
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') %}"
    "{{'<|user|>' + '\\n' + message['content'] + '<|end|>' + '\\n' + '<|assistant|>' + '\\n'}}"
    "{% elif (message['role'] == 'assistant') %}{{message['content'] + '<|end|>' + '\\n'}}{% endif %}{% endfor %}"
)
VICUNA = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ 'USER: ' + message['content'].strip() + ' ' }}{% else %}"
    "{{ 'ASSISTANT: ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)

CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
LLAMA3 = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
GEMMA = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
LLAMA2 = ["<unk>", "<s>", "</s>"]
PHI3 = ["<unk>", "<s>", "</s>", "<|endoftext|>", "<|assistant|>", "<|user|>", "<|end|>", "<|system|>"]

# The tokenizer, its own template, the format that stands for it (None: its own, with marks), and how its turns end.
FAMILIES = {
    "SmolLM2": ((CHATML, "<|im_start|>", "<|im_end|>"), SMOLLM2, None, "<|im_end|>"),
    "Qwen2.5": ((CHATML, None, "<|endoftext|>"), published("qwen2_5"), "Qwen", "<|im_end|>"),
    "Qwen3": ((CHATML, None, "<|im_end|>"), published("qwen3"), "ChatML", "<|im_end|>"),
    "Qwen3-2507": ((CHATML, None, "<|im_end|>"), published("qwen3_instruct_2507"), "ChatML", "<|im_end|>"),
    "LLaMA-3": ((LLAMA3, LLAMA3[0], "<|eot_id|>"), published("llama3"), "LLaMA-3", "<|eot_id|>"),
    "LLaMA-3.1": ((LLAMA3, LLAMA3[0], "<|eot_id|>"), published("llama3_1"), None, "<|eot_id|>"),
    "LLaMA-3.2": ((LLAMA3, LLAMA3[0], "<|eot_id|>"), published("llama3_2"), None, "<|eot_id|>"),
    "Gemma": ((GEMMA, "<bos>", "<eos>"), published("gemma"), "Gemma", "<end_of_turn>"),
    "Gemma-3": ((GEMMA, "<bos>", "<eos>"), published("gemma3"), "Gemma", "<end_of_turn>"),
    "Phi-3": ((PHI3, "<s>", "<|endoftext|>"), published("phi3"), "Phi-3", "<|end|>"),
    "Phi-3, first": ((PHI3, "<s>", "<|endoftext|>"), PHI3_FIRST, None, "<|end|>"),
    "Zephyr": ((LLAMA2, "<s>", "</s>"), ZEPHYR, "Zephyr", "</s>"),
    "Mistral": ((LLAMA2, "<s>", "</s>"), MISTRAL, "Mistral", "</s>"),
    "Mistral 0.3": (([*LLAMA2, "[INST]", "[/INST]"], "<s>", "</s>"), MISTRAL_V3, None, "</s>"),
    "LLaMA-2-chat": ((LLAMA2, "<s>", "</s>"), LLAMA2_CHAT, None, "</s>"),
    "Vicuna": ((LLAMA2, "<s>", "</s>"), VICUNA, None, "</s>"),
}


def family(name: str) -> PreTrainedTokenizerFast:
    (special, bos, eos), template, _, _ = FAMILIES[name]
    return hub_tokenizer(
        special, bos=bos, eos=eos, words="<unk>" in special and "<pad>" not in special, template=template
    )


def render(tokenizer: PreTrainedTokenizerFast, messages: list[Message], **options: object) -> str:
    return str(tokenizer.apply_chat_template(messages, tokenize=False, **options))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_reads_what_its_own_template_writes(name: str) -> None:
    own, given = family(name), family(name)
    ensure_generation_marks(given, name=name)
    for talk in (TALK, *PROBES):
        for turn in (1, 3):
            # LLaMA 3.2's has the day of the reading in it; a date of its own would make every day's model another.
            expected = render(own, talk[:turn], add_generation_prompt=True, date_string="26 Jul 2024")
            assert render(given, talk[:turn], add_generation_prompt=True) == expected


@pytest.mark.parametrize("name", FAMILIES)
def test_a_known_format_is_taken_only_where_it_is_the_models_own(name: str) -> None:
    _, template, known, end = FAMILIES[name]
    tokenizer = family(name)
    ensure_generation_marks(tokenizer, name=name)
    written = [each.name for each in chat_formats.FORMATS if each.template == tokenizer.chat_template]
    assert written == ([known] if known else [])
    assert known or template in tokenizer.chat_template
    assert tokenizer.eos_token == end
    assert tokenizer.pad_token is not None


@pytest.mark.parametrize("name", FAMILIES)
def test_assistant_turns_are_marked_with_their_end(name: str) -> None:
    tokenizer = family(name)
    ensure_generation_marks(tokenizer, name=name)
    ids, mask = encode(tokenizer, TALK, name="a test")
    spans = [ids[first:last] for first, last in turn_spans(mask)]
    assert [tokenizer.decode(span[:-1]).strip().removeprefix("<think>\n\n</think>\n\n") for span in spans] == [
        "take mug",
        "stop",
    ]
    assert {span[-1] for span in spans} == {tokenizer.eos_token_id}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_template_with_marks_is_kept(name: str) -> None:
    tokenizer = family(name)
    ensure_generation_marks(tokenizer, name=name)
    before = (tokenizer.chat_template, tokenizer.eos_token, tokenizer.pad_token)
    ensure_generation_marks(tokenizer, name=name)
    assert (tokenizer.chat_template, tokenizer.eos_token, tokenizer.pad_token) == before


def test_words_of_an_observation_are_not_taken_for_an_answer() -> None:
    tokenizer = family("LLaMA-2-chat")
    ensure_generation_marks(tokenizer, name="a model")
    talk = [
        Message(role=message["role"], content="stop" if number < 3 else "go") for number, message in enumerate(TALK)
    ]
    ids, mask = encode(tokenizer, talk, name="a test")
    assert [tokenizer.decode(ids[first : last - 1]).strip() for first, last in turn_spans(mask)] == ["stop", "go"]


def test_system_turns_outlive_the_marks() -> None:
    tokenizer = family("SmolLM2")
    own = family("SmolLM2")
    ensure_generation_marks(tokenizer, name="a model")
    talk = [Message(role="system", content="Be short."), *TALK]
    assert render(tokenizer, talk) == render(own, talk)


def test_an_answer_that_the_template_would_change_is_refused() -> None:
    tokenizer = hub_tokenizer(
        CHATML, template=SMOLLM2.replace("message['content']", "message['content'] | replace('?', '')")
    )
    ensure_generation_marks(tokenizer, name="a model")
    talk = [*TALK[:3], Message(role="assistant", content="stop?")]
    with pytest.raises(
        UserError, match=r"^pair 3: the chat template cannot write this conversation: an assistant turn"
    ):
        encode(tokenizer, talk, name="pair 3")


# Special tokens, the first of the text, how turns end, and the text.
WITHOUT = {
    "LLaMA-3": (
        LLAMA3,
        "<|begin_of_text|>",
        "<|eot_id|>",
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\na mug<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\ntake mug<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\ntaken<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nstop<|eot_id|>",
    ),
    "ChatML": (
        CHATML,
        None,
        "<|im_end|>",
        "<|im_start|>user\na mug<|im_end|>\n<|im_start|>assistant\ntake mug<|im_end|>\n"
        "<|im_start|>user\ntaken<|im_end|>\n<|im_start|>assistant\nstop<|im_end|>\n",
    ),
    "Gemma": (
        GEMMA,
        "<bos>",
        "<end_of_turn>",
        "<bos><start_of_turn>user\na mug<end_of_turn>\n<start_of_turn>model\ntake mug<end_of_turn>\n"
        "<start_of_turn>user\ntaken<end_of_turn>\n<start_of_turn>model\nstop<end_of_turn>\n",
    ),
    "LLaMA-2": (LLAMA2, "<s>", "</s>", "<s>[INST] a mug [/INST] take mug</s><s>[INST] taken [/INST] stop</s>"),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_without_a_template_special_tokens_tell(name: str) -> None:
    special, bos, end, text = WITHOUT[name]
    # Gemma's vocabulary has HTML's tags as words.
    tokenizer = hub_tokenizer(
        special, bos=bos, words=name == "LLaMA-2", plain=("<s>", "</s>") if name == "Gemma" else ()
    )
    ensure_generation_marks(tokenizer, name="a model")
    assert render(tokenizer, TALK) == text
    assert tokenizer.eos_token == end
    ids, mask = encode(tokenizer, TALK, name="a test")
    assert [tokenizer.decode(ids[first : last - 1]).strip() for first, last in turn_spans(mask)] == ["take mug", "stop"]


REFUSED = {
    "no special token": (["<start>"], None, "it has no chat template, and its special tokens are those of no format"),
    "turn marks besides LLaMA-2's": (
        PHI3,
        None,
        "it has no chat template, and its special tokens are those of no format",
    ),
    "a program that fails": (LLAMA2, "{{ missing + 'x' }}", "its chat template fails on a conversation of two turns"),
    "no program": (LLAMA2, "{% for %}", "its chat template fails on a conversation of two turns"),
    "what was said left out": (LLAMA2, "{{ messages | length }}", "its chat template leaves out what was said"),
    "no end": (
        LLAMA2,
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}",
        "its chat template ends an assistant turn with '\\nuser: ', in which no special token",
    ),
    "turns written anew": (
        CHATML,
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + (loop.length | string) + m['content'] + '<|im_end|>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}",
        "its chat template opens an answer otherwise than it goes on",
    ),
    "one turn marked": (
        CHATML,
        "{% for m in messages %}{% if loop.last %}{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}"
        "{% else %}{{ m['content'] + '<|im_end|>' }}{% endif %}{% endfor %}",
        "its chat template marks 1 assistant turns of 2",
    ),
    "end not marked": (
        CHATML,
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}{% endgeneration %}"
        "{% else %}{{ m['content'] }}{% endif %}{{ '<|im_end|>' }}{% endfor %}",
        "its chat template marks assistant turns without a special token at their end",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_marked_is_refused_in_a_line(what: str) -> None:
    special, template, reason = REFUSED[what]
    tokenizer = hub_tokenizer(special, words="<unk>" in special, template=template)
    with pytest.raises(UserError) as caught:
        ensure_generation_marks(tokenizer, name="some/model")
    assert str(caught.value).startswith(f"some/model: {reason}")
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("its end token included, in {% generation %}")
    assert tokenizer.chat_template == template
