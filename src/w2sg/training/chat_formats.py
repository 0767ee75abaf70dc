"""The chat formats of well-known models, with generation marks round every assistant turn."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """One way to write a conversation.

    Attributes:
        end: the token that ends an assistant turn.
        template: Jinja text with {% generation %} marks around every assistant turn, the end token included.
        markers: special tokens that no other format has; a tokenizer without a template that has them all is taken to
            speak this one. None where there are no such tokens.
    """

    name: str
    end: str
    template: str
    markers: tuple[str, ...] = ()


def _headed(
    *, start: str, close: str, end: str, gap: str = "", opening: str = "", agent: str = "assistant", trim: bool = False
) -> str:
    """Template of a format whose turns are start, role, close, content, end, gap.

    Args:
        agent: the role that an assistant turn is written with.
        trim: white space round a content is left out.
    """
    content = "message['content'] | trim" if trim else "message['content']"
    return (
        f"{opening}{{%- for message in messages -%}}"
        "{%- if message['role'] == 'assistant' -%}"
        f"{{{{- '{start}{agent}{close}' -}}}}"
        f"{{%- generation -%}}{{{{- ({content}) + '{end}' -}}}}{{%- endgeneration -%}}"
        f"{{{{- '{gap}' -}}}}"
        f"{{%- else -%}}{{{{- '{start}' + message['role'] + '{close}' + ({content}) + '{end}{gap}' -}}}}{{%- endif -%}}"
        "{%- endfor -%}"
        f"{{%- if add_generation_prompt -%}}{{{{- '{start}{agent}{close}' -}}}}{{%- endif -%}}"
    )


def _instructed(*, first: str, before: str, space: str) -> str:
    """Template of a format that wraps the user in [INST] and writes the assistant bare."""
    return (
        f"{{{{- '{first}' -}}}}{{%- for message in messages -%}}"
        "{%- if message['role'] == 'assistant' -%}"
        f"{{%- generation -%}}{{{{- '{space}' + message['content'] + '</s>' -}}}}{{%- endgeneration -%}}"
        "{%- else -%}"
        f"{{{{- '{before}[INST] ' + message['content'] + ' [/INST]' -}}}}"
        "{%- endif -%}"
        "{%- endfor -%}"
    )


def _chatml(*, opening: str = "") -> str:
    return _headed(start="<|im_start|>", close="\\n", end="<|im_end|>", gap="\\n", opening=opening)


_QWEN = (
    "{%- if messages[0]['role'] != 'system' -%}"
    "{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' -}}"
    "{%- endif -%}"
)
_BOS = "{{- bos_token -}}"

FORMATS = (
    ChatFormat(
        "LLaMA-3",
        "<|eot_id|>",
        _headed(
            start="<|start_header_id|>", close="<|end_header_id|>\\n\\n", end="<|eot_id|>", opening=_BOS, trim=True
        ),
        markers=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
    ChatFormat("ChatML", "<|im_end|>", _chatml(), markers=("<|im_start|>", "<|im_end|>")),
    ChatFormat("Qwen", "<|im_end|>", _chatml(opening=_QWEN)),
    ChatFormat(
        "Gemma",
        "<end_of_turn>",
        _headed(
            start="<start_of_turn>", close="\\n", end="<end_of_turn>", gap="\\n", opening=_BOS, agent="model", trim=True
        ),
        markers=("<start_of_turn>", "<end_of_turn>"),
    ),
    ChatFormat("Phi-3", "<|end|>", _headed(start="<|", close="|>\\n", end="<|end|>", gap="\\n")),
    # TinyLlama's too.
    ChatFormat("Zephyr", "</s>", _headed(start="<|", close="|>\\n", end="</s>", gap="\\n")),
    ChatFormat("Mistral", "</s>", _instructed(first="<s>", before="", space="")),
    ChatFormat("LLaMA-2", "</s>", _instructed(first="", before="<s>", space=" "), markers=("<s>", "</s>")),
)

# What a tokenizer of LLaMA-2's kind has besides <s> and </s>; anything else may be a turn mark of its own.
_NO_TURN_MARKS = {"<unk>", "<pad>", "<PAD>", "[PAD]"}


def by_special_tokens(special: Collection[str]) -> ChatFormat | None:
    """The format of a tokenizer that has no template, by its special tokens; None where they do not say."""
    for known in FORMATS:
        if known.markers and set(known.markers) <= set(special):
            plain = set(special) <= {*known.markers, *_NO_TURN_MARKS}
            if known.name != "LLaMA-2" or plain:
                return known
    return None
