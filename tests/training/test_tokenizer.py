import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sg.training.tokenizer import ASSISTANT, END, PAD, UNKNOWN, USER, read_tokenizer, train_tokenizer

TEXTS = ["you see a mug 1, and a drawer 2.", "take mug 1 from drawer 2", "mug 1"]
TOKENIZER = train_tokenizer(TEXTS, vocabulary=280, context=64)


def test_special_tokens_come_first_and_have_their_roles() -> None:
    assert TOKENIZER.convert_tokens_to_ids([PAD, UNKNOWN, USER, ASSISTANT, END]) == [0, 1, 2, 3, 4]
    assert (TOKENIZER.pad_token, TOKENIZER.eos_token, TOKENIZER.unk_token) == (PAD, END, UNKNOWN)
    assert TOKENIZER.model_max_length == 64


def test_the_vocabulary_keeps_its_limit() -> None:
    assert len(TOKENIZER) == 280


def test_frequent_words_are_one_token_and_digits_stand_alone() -> None:
    assert TOKENIZER.tokenize("a drawer 2, mug 1") == ["a", "Ġdrawer", "Ġ2", ",", "Ġmug", "Ġ1"]
    assert len(TOKENIZER.tokenize("123")) == 3


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs", "Mn"]), max_size=40))
def test_decoding_gives_back_the_text(text: str) -> None:
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert TOKENIZER.decode(ids) == unicodedata.normalize("NFC", text)


def test_the_same_texts_give_the_same_tokenizer(tmp_path) -> None:
    texts = ["take the mug", "open the drawer 1", "a  b\n\nc"]
    for name in ("one", "two"):
        train_tokenizer(texts, vocabulary=300, context=32).save_pretrained(tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_saved_tokenizer_opens_with_its_template(tmp_path) -> None:
    TOKENIZER.save_pretrained(tmp_path)
    opened = read_tokenizer(tmp_path)
    messages = [{"role": "user", "content": "a mug"}, {"role": "assistant", "content": "take mug"}]
    assert opened.apply_chat_template(messages, tokenize=False) == f"{USER}a mug{ASSISTANT}take mug{END}"
    assert opened.model_max_length == 64
    opened.save_pretrained(tmp_path / "copy")
    saved = json.loads((tmp_path / "copy/tokenizer_config.json").read_text())
    assert saved["local_files_only"] is False, "a base's bytes would depend on how its tokenizer was opened"


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_conversation_is_the_sum_of_its_blocks(turns: int) -> None:
    """What an agent reads turn by turn is what it was trained on."""
    messages = [{"role": "user", "content": "you see a mug."}, {"role": "assistant", "content": " take mug 1"}] * turns
    whole = TOKENIZER.apply_chat_template(messages, return_dict=True)["input_ids"]
    blocks = []
    for message in messages:
        mark, end = (USER, "") if message["role"] == "user" else (ASSISTANT, END)
        blocks += TOKENIZER(mark + message["content"] + end, add_special_tokens=False)["input_ids"]
    assert whole == blocks
