"""Chat templates with generation marks, for models that others trained.

A model's own template is the evidence of how it reads a conversation. A probe is rendered with it: a known format takes
its place only where the model would read the same before every answer, else the marks go round the own template, and
the two are compared. Every assistant turn ends with one end token, which is learned like the words before it (A16);
observations are not. Generation stops at that token.
"""

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message
from w2sg.training.chat_formats import FORMATS, ChatFormat, by_special_tokens
from w2sg.training.encoding import turn_spans

_REMEDY = (
    "give the tokenizer a chat template that wraps each assistant turn, its end token included, in {% generation %}"
)
_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")


def _talk(around: str) -> list[Message]:
    words = ("look at shelf 1", "take mug 1", "you hold mug 1", "go to desk 2")
    return [
        Message(role=role, content=around + word + around)
        for role, word in zip(("user", "assistant") * 2, words, strict=True)
    ]


# Many templates trim what they are given, and some do not.
PROBES = (_talk(""), _talk(" \n"))


class _Refused(Exception):
    """Why a template cannot be used, in a few words."""


def ensure_generation_marks(tokenizer: PreTrainedTokenizerBase, *, name: str) -> None:
    """Give `tokenizer` a template with generation marks, the matching end-of-sequence token and a padding token.

    A template that has marks already is kept.

    Raises:
        UserError: there is no template and `name` has the special tokens of no known format; or the template writes
            assistant turns in a way that cannot be marked.
    """
    own = tokenizer.chat_template and tokenizer.get_chat_template()
    if own is None:
        found = by_special_tokens(special_tokens(tokenizer))
        if found is None:
            names = ", ".join(f"{known.name} ({' '.join(known.markers)})" for known in FORMATS if known.markers)
            raise UserError(
                f"{name}: it has no chat template, and its special tokens are those of no format known without one: "
                f"{names}; {_REMEDY}"
            )
        template = found.template
    else:
        try:
            # A date in the prompt would make every day's model another one.
            own = _DATE + own if "strftime_now" in own and _DATE not in own else own
            template = own if _MARK.search(own) else _marked(tokenizer, own)
        except _Refused as reason:
            raise UserError(f"{name}: its chat template {reason}; {_REMEDY}") from None
    try:
        end = _turn_end(tokenizer, template)
    except _Refused as reason:
        raise UserError(f"{name}: its chat template {reason}; {_REMEDY}") from None
    tokenizer.chat_template = template
    if tokenizer.eos_token != end:
        tokenizer.eos_token = end
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token


_DATE = "{%- macro strftime_now(format) -%}26 Jul 2024{%- endmacro -%}"  # what LLaMA 3 writes where it knows no date


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    """The texts that are one token wherever they stand, and no words."""
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return added | set(tokenizer.all_special_tokens)


def _render(
    tokenizer: PreTrainedTokenizerBase, template: str, messages: Sequence[Message], *, open_turn: bool = False
) -> str:
    try:
        return str(
            tokenizer.apply_chat_template(
                list(messages), chat_template=template, tokenize=False, add_generation_prompt=open_turn
            )
        )
    except Exception as error:  # a template is a program of somebody else's and may fail in any way
        raise _Refused(f"fails on a conversation of two turns ({_line(error)})") from None


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _marked(tokenizer: PreTrainedTokenizerBase, own: str) -> str:
    """A template with marks that writes what `own` writes.

    Raises:
        _Refused: there is none.
    """
    special = special_tokens(tokenizer)
    parts = _take_apart(tokenizer, own, special)
    for known in FORMATS:
        if known.end == parts.end and _agrees(tokenizer, own, known):
            return known.template
    for trimmed in (False, True):
        template = _wrap(own, parts, eos=tokenizer.eos_token, trimmed=trimmed)
        try:
            if all(_render(tokenizer, template, talk) == _render(tokenizer, own, talk) for talk in PROBES):
                return template
        except _Refused:
            continue
    raise _Refused("does not write every assistant turn alike")


class _Parts(NamedTuple):
    """What stands round an answer.

    Attributes:
        head: from the end of the question to where the answer is asked for.
        lead: from there to the answer's first word.
        tail: from its last word to the end token, which is its last part.
    """

    head: str
    lead: str
    tail: str
    end: str


def _take_apart(tokenizer: PreTrainedTokenizerBase, own: str, special: set[str]) -> _Parts:
    talk = PROBES[0]
    question, answer, following, _ = (message["content"] for message in talk)
    asked, history = (
        _render(tokenizer, own, talk[:1], open_turn=True),
        _render(tokenizer, own, talk[:3], open_turn=True),
    )
    if question not in asked or answer not in history or following not in history:
        raise _Refused("leaves out what was said")
    if not history.startswith(asked):
        raise _Refused("opens an answer otherwise than it goes on")
    start = history.index(answer)
    tail = history[start + len(answer) : history.index(following)]
    ends = {tail.find(token): token for token in special if token in tail}
    first = min(ends, default=-1)
    if first < 0 or tail[:first].strip():
        raise _Refused(f"ends an assistant turn with {tail!r}, in which no special token of the tokenizer comes first")
    head = asked[asked.index(question) + len(question) :]
    return _Parts(head, history[len(asked) : start], tail[:first] + ends[first], ends[first])


def _agrees(tokenizer: PreTrainedTokenizerBase, own: str, known: ChatFormat) -> bool:
    """Whether a model reads the same before every answer.

    What stands before the last answer's words in a whole conversation may differ: Qwen3 writes an empty thought there,
    which a conversation that goes on has not.
    """
    for talk in PROBES:
        for turn in (1, 3):
            readings = [_render(tokenizer, each, talk[:turn], open_turn=True) for each in (own, known.template)]
            if readings[0] != readings[1]:
                return False
        answer = talk[-1]["content"].strip()
        closings = [_render(tokenizer, each, talk).rpartition(answer)[2] for each in (own, known.template)]
        if len({closing.partition(known.end)[0] for closing in closings}) != 1:
            return False
    return True


def _wrap(own: str, parts: _Parts, *, eos: str | None, trimmed: bool) -> str:
    """The own template inside of one that finds its assistant turns by what stands round them, and marks them."""
    # The end token becomes the tokenizer's eos_token, which the own template may write elsewhere.
    kept = f"{{%- set eos_token = {_literal(eos)} -%}}" if eos not in (None, parts.end) else ""
    content = "message['content'] | trim" if trimmed else "message['content']"
    return (
        f"{kept}{{%- set written -%}}{_guard(own)}{{%- endset -%}}"
        "{%- set left = namespace(text=written) -%}"
        "{%- for message in messages -%}{%- if message['role'] == 'assistant' -%}"
        f"{{%- set answer = {_literal(parts.lead)} + ({content}) + {_literal(parts.tail)} -%}}"
        f"{{%- set around = left.text.split({_literal(parts.head)} + answer, 1) -%}}"
        "{%- if around | length == 1 -%}"
        "{{ raise_exception('an assistant turn is not written as it was said') }}"
        "{%- endif -%}"
        f"{{{{- around[0] + {_literal(parts.head)} -}}}}{{%- generation -%}}{{{{- answer -}}}}{{%- endgeneration -%}}"
        "{%- set left.text = around[1] -%}"
        "{%- endif -%}{%- endfor -%}{{- left.text -}}"
    )


def _guard(own: str) -> str:
    """White space at the ends of a template is part of what it writes; tags beside it would take it away."""
    return "{{ '' }}" + own + "{{ '' }}"


def _literal(text: str | None) -> str:
    """A text as Jinja reads it in quotes."""
    escaped = (text or "").replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def _turn_end(tokenizer: PreTrainedTokenizerBase, template: str) -> str:
    """The token that ends the marked assistant turns of the probes.

    Raises:
        _Refused: turns are not marked one by one, do not end in one special token, or are written anew later on.
    """
    special = special_tokens(tokenizer)
    ends = set()
    for talk in PROBES:
        _render(tokenizer, template, talk)
        try:
            output = tokenizer.apply_chat_template(
                [dict(message) for message in talk],
                chat_template=template,
                return_dict=True,
                return_assistant_tokens_mask=True,
            )
        except Exception as error:
            raise _Refused(f"cannot be marked ({_line(error)})") from None
        spans = turn_spans(output["assistant_masks"])
        answers = [message["content"].strip() for message in talk if message["role"] == "assistant"]
        if len(spans) != len(answers):
            raise _Refused(f"marks {len(spans)} assistant turns of {len(answers)}")
        for (first, last), answer in zip(spans, answers, strict=True):
            tokens = output["input_ids"][first:last]
            if answer not in tokenizer.decode(tokens):
                raise _Refused("marks something else than the assistant turns")
            # White space, and what closes the whole text, may come after the token that ends the turn.
            closing = takewhile(
                lambda token: token in special or not tokenizer.decode(tokenizer.convert_tokens_to_ids(token)).strip(),
                reversed(tokenizer.convert_ids_to_tokens(tokens)),
            )
            found = [token for token in closing if token in special]
            if not found:
                raise _Refused("marks assistant turns without a special token at their end")
            ends.add(found[-1])
        end = ends.pop()
        if ends:
            raise _Refused("ends assistant turns with several tokens")
        ends.add(end)
        # Conversations are read turn by turn: what was read must stand.
        before = _render(tokenizer, template, talk[:2])
        reading = _render(tokenizer, template, talk[:3], open_turn=True)
        if not reading.startswith(before[: before.rfind(end) + len(end)]):
            raise _Refused("writes earlier turns anew when the conversation goes on")
    return ends.pop()
