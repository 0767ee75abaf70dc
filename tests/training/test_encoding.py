from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message
from w2sg.training.encoding import Encoded, encode, last_turns, pad, turn_spans
from w2sg.training.tokenizer import ASSISTANT, CHAT_TEMPLATE, END, PAD, UNKNOWN, USER

TALK = [
    Message(role="user", content="a mug"),
    Message(role="assistant", content="take mug"),
    Message(role="user", content="taken"),
    Message(role="assistant", content="stop"),
]

# The golden mask (A16): observations and the marks that open a turn are masked, end tokens are learned.
GOLDEN = [
    (USER, 0),
    ("a", 0),
    ("mug", 0),
    (ASSISTANT, 0),
    ("take", 1),
    ("mug", 1),
    (END, 1),
    (USER, 0),
    ("taken", 0),
    (ASSISTANT, 0),
    ("stop", 1),
    (END, 1),
]


def words(context: int = 64, template: str = CHAT_TEMPLATE) -> PreTrainedTokenizerFast:
    """One token per word."""
    vocabulary = {
        word: number
        for number, word in enumerate([PAD, UNKNOWN, USER, ASSISTANT, END, "a", "mug", "take", "taken", "stop"])
    }
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        model_max_length=context,
    )
    fast.chat_template = template
    return fast


def test_golden_mask_of_whole_words() -> None:
    tokenizer = words()
    ids, mask = encode(tokenizer, TALK, name="a test")
    assert list(zip(tokenizer.convert_ids_to_tokens(ids), mask, strict=True)) == GOLDEN


def test_golden_mask_of_byte_pairs(tokenizer: PreTrainedTokenizerFast) -> None:
    ids, mask = encode(tokenizer, TALK, name="a test")
    learned = [token for token, bit in zip(ids, mask, strict=True) if bit]
    hidden = [token for token, bit in zip(ids, mask, strict=True) if not bit]
    assert tokenizer.decode(learned, skip_special_tokens=False) == f"take mug{END}stop{END}"
    assert tokenizer.decode(hidden, skip_special_tokens=False) == f"{USER}a mug{ASSISTANT}{USER}taken{ASSISTANT}"


def test_an_empty_turn_is_its_end_token(tokenizer: PreTrainedTokenizerFast) -> None:
    ids, mask = encode(tokenizer, [TALK[0], Message(role="assistant", content="")], name="a test")
    assert [token for token, bit in zip(ids, mask, strict=True) if bit] == [tokenizer.eos_token_id]


def test_accents_do_not_move_the_mask(tokenizer: PreTrainedTokenizerFast) -> None:
    """Composing letters changes the text's length before it is cut into tokens."""
    ids, mask = encode(tokenizer, [Message(role="user", content="cafe\u0301 " * 5), TALK[1]], name="a test")
    learned = [token for token, bit in zip(ids, mask, strict=True) if bit]
    assert tokenizer.decode(learned, skip_special_tokens=False) == f"take mug{END}"


def test_too_long_is_refused_never_truncated() -> None:
    assert len(encode(words(context=12), TALK, name="a test").input_ids) == 12
    with pytest.raises(UserError, match="task 7: the conversation has 12 tokens, the model's context is 11"):
        encode(words(context=11), TALK, name="task 7")


def test_a_template_without_marks_is_refused() -> None:
    bare = CHAT_TEMPLATE.replace("{%- generation -%}", "").replace("{%- endgeneration -%}", "")
    with pytest.raises(UserError, match="task 7: the chat template marks 0 assistant turns of 2"):
        encode(words(template=bare), TALK, name="task 7")


def test_turn_spans() -> None:
    assert turn_spans([0, 1, 1, 0, 0, 1]) == [(1, 3), (5, 6)]
    assert turn_spans([]) == []


@given(st.lists(st.integers(0, 1), max_size=30))
def test_turn_spans_cover_the_mask(mask: list[int]) -> None:
    spans = turn_spans(mask)
    assert [number for start, end in spans for number in range(start, end)] == [n for n, bit in enumerate(mask) if bit]
    assert all(before[1] < after[0] for before, after in pairwise(spans))


def test_last_turns_keeps_whole_turns() -> None:
    encoded = Encoded(list(range(8)), [0, 1, 1, 0, 1, 0, 1, 1])
    assert last_turns(encoded, turns=1) == [0, 0, 0, 0, 0, 0, 1, 1]
    assert last_turns(encoded, turns=2) == [0, 0, 0, 0, 1, 0, 1, 1]
    assert last_turns(encoded, turns=3) == encoded.assistant_mask


def test_pad() -> None:
    assert pad([[1, 2], [3]], value=9).tolist() == [[1, 2], [3, 9]]
