"""Chat templates with generation marks for models of the hub.

A template belongs to the special tokens it is written with, so a hub tokenizer gets the first one whose tokens it has.
Every assistant turn ends with one end token, which is learned like the words before it (A16); observations are not.
"""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from w2sg.contracts.errors import UserError
from w2sg.training.tokenizer import ASSISTANT, CHAT_TEMPLATE, END, USER


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """One way to write a conversation.

    Attributes:
        markers: special tokens that a tokenizer must have for this format.
        end: the token that ends an assistant turn.
        template: Jinja text with {% generation %} marks around every assistant turn, the end token included.
    """

    name: str
    markers: tuple[str, ...]
    end: str
    template: str


def _headed(*, start: str, close: str, end: str, opening: str = "") -> str:
    """Template of a format whose turns are start, role, close, content, end."""
    return (
        f"{opening}{{%- for message in messages -%}}"
        f"{{{{- '{start}' + message['role'] + '{close}' -}}}}"
        "{%- if message['role'] == 'assistant' -%}"
        f"{{%- generation -%}}{{{{- message['content'] + '{end}' -}}}}{{%- endgeneration -%}}"
        f"{{%- else -%}}{{{{- message['content'] + '{end}' -}}}}{{%- endif -%}}"
        "{%- endfor -%}"
        f"{{%- if add_generation_prompt -%}}{{{{- '{start}assistant{close}' -}}}}{{%- endif -%}}"
    )


_LLAMA2 = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- generation -%}{{- ' ' + message['content'] + eos_token -}}{%- endgeneration -%}"
    "{%- else -%}"
    "{{- bos_token + '[INST] ' + message['content'] + ' [/INST]' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
)

_CHATML = ("<|im_start|>", "<|im_end|>")
_LLAMA3 = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")

FORMATS = (
    ChatFormat("w2sg", (USER, ASSISTANT, END), END, CHAT_TEMPLATE),
    ChatFormat(
        "LLaMA-3",
        _LLAMA3,
        "<|eot_id|>",
        _headed(start=_LLAMA3[0], close=_LLAMA3[1] + "\\n\\n", end=_LLAMA3[2], opening="{{- bos_token -}}"),
    ),
    ChatFormat("ChatML", _CHATML, "<|im_end|>", _headed(start=_CHATML[0], close="\\n", end=_CHATML[1])),
    ChatFormat("LLaMA-2", ("<s>", "</s>"), "</s>", _LLAMA2),
)


def ensure_generation_marks(tokenizer: PreTrainedTokenizerBase, *, name: str) -> None:
    """Give `tokenizer` a template with generation marks, the matching end-of-sequence token and a padding token.

    A template that has marks already is kept.

    Raises:
        UserError: no template is known for the special tokens of `name`.
    """
    if "{%- generation" not in (template := str(tokenizer.chat_template)) and "{% generation" not in template:
        vocabulary = tokenizer.get_vocab()
        for known in FORMATS:
            if all(marker in vocabulary for marker in known.markers):
                break
        else:
            formats = ", ".join(f"{known.name} ({' '.join(known.markers)})" for known in FORMATS)
            raise UserError(
                f"{name}: its chat template has no {{% generation %}} marks and its special tokens fit none of the "
                f"known formats: {formats}; give the tokenizer a template with marks"
            )
        tokenizer.chat_template = known.template
        tokenizer.eos_token = known.end
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
