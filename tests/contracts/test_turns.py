"""The "Thought: … Action: …" form: what is written is parsed, whatever else a model may say is not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sg.contracts.turns import format_response, parse_response

line = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])).map(str.strip)
thoughts = st.text().map(str.strip).filter(lambda text: "Action:" not in text + "\n")
actions = line.filter(bool)


@given(thought=thoughts, action=actions)
def test_round_trip(thought, action):
    assert parse_response(format_response(thought, action)) == (thought, action)


@given(st.text() | st.text(alphabet=" \n:ActionThoughtgo", max_size=60))
def test_any_text_is_answered(text):
    parsed = parse_response(text)
    if parsed is not None:
        thought, action = parsed
        assert text.strip().startswith("Thought:")
        assert action
        assert "\n" not in action
        assert (thought, action) == (thought.strip(), action.strip())
        assert parse_response(format_response(thought, action)) == parsed


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("Thought: a\nAction: b", ("a", "b")),
        ("  \n Thought:a Action:b", ("a", "b")),
        ("Thought: a\n\nb\nAction: go\nto", ("a\n\nb", "go")),
        ("Thought: a\nAction:\n\n go \nObservation: gone", ("a", "go")),
        ("Thought: a\nAction: one\nAction: two", ("a", "one")),
        ("Thought: a\nAction: put Action: in", ("a", "put Action: in")),
        ("Thought:\nAction: b", ("", "b")),
        ("Thought: a\r\nAction: b\r\n", ("a", "b")),
        ("Thought: a\nAction: ", None),
        ("Thought: a", None),
        ("Action: b", None),
        ("Action: b\nThought: a", None),
        ("thought: a\naction: b", None),
        ("So. Thought: a\nAction: b", None),
        ("", None),
    ],
)
def test_examples(text, parsed):
    assert parse_response(text) == parsed


@pytest.mark.parametrize(
    "text", ["Thought:" + " " * 200_000, " " * 200_000, "Thought: " * 50_000, "Thought:Action" * 50_000]
)
def test_hostile_texts_take_no_time(text):
    start = time.process_time()
    assert parse_response(text) is None
    assert time.process_time() - start < 1.0
