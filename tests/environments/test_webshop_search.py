"""The analyzer and the ranking, held against what Lucene 9.5 (Anserini's English analyzer, BM25) gave for the same."""

import math
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sg.environments.webshop.world.analysis import _ASCII_TOKEN, LONGEST_TOKEN, STOP_WORDS, terms, tokens
from w2sg.environments.webshop.world.search import Index

LUCENE_TERMS = [
    ("Women's T-shirts", ["women", "t", "shirt"]),
    ("L’Oréal’s 24K", ["l’oréal", "24k"]),
    ("a:b x.y 3:4 10.5 1,000;2", ["a:b", "x.y", "3", "4", "10.5", "1,000;2"]),
    ("5'2\"x7'4\"", ["5'2", "x7'4"]),
    ("foo_bar _ __x_", ["foo_bar", "__x_"]),
    ("café ★ 100% ©", ["café", "★", "100", "©"]),
    ("👍🏻 👨‍👩‍👧 🇺🇸🇬🇧 #️⃣ 1️⃣", ["👍🏻", "👨‍👩‍👧", "🇺🇸", "🇬🇧", "#️⃣", "1️⃣"]),
    ("a\U0001f3fbb ℹ‍❤ *⃣", ["a\U0001f3fbb", "ℹ‍❤", "*⃣"]),
    ("漢字ひらがなカタカナ", ["漢", "字", "ひ", "ら", "が", "な", "カタカナ"]),
    ("ไทยภาษา x᧚y", ["ไทยภาษา", "x", "᧚", "y"]),
    ("שלום' ש\"ל", ["שלום'", 'ש"ל']),
    ("İΣΑΣ", ["iσασ"]),
    ("the-of AND Not", []),
    ("running ponies caresses relational hopping sky is be", ["run", "poni", "caress", "relat", "hop", "sky"]),
    ("logically possibly abli bli", ["logic", "possibl", "abli", "bli"]),
    ("ox as x'S", ["ox", "x"]),
    ("αi\U0001f3fbe 𝐚s", ["αi\U0001f3fb", "𝐚"]),
    ("xx" * 130, ["x" * LONGEST_TOKEN, "xxxxx"]),
]

DOCUMENTS = [
    ("B2", "red shoes for running"),
    ("B1", "red shoes for running"),
    ("A1", "red"),
    ("C1", "shoe " * 3 + "box " * 30),
    ("D1", " ".join(f"w{number}" for number in range(41)) + " red"),
    ("E1", "the of and"),
    ("F1", "blue dress 👍"),
]
LUCENE_SCORES = {
    "red": [("A1", 0.28224698), ("B1", 0.27337155), ("B2", 0.27337155), ("D1", 0.16946027)],
    "red shoes": [
        ("B1", 0.7022368),
        ("B2", 0.7022368),
        ("C1", 0.47491142),
        ("A1", 0.28224698),
        ("D1", 0.16946027),
    ],
    "shoe shoe box": [("C1", 2.42259), ("B1", 0.8577305), ("B2", 0.8577305)],
    "running 👍 the": [("F1", 0.95310694), ("B1", 0.637048), ("B2", 0.637048)],
    "the": [],
    "!!!": [],
    "": [],
}


@pytest.mark.parametrize(("text", "expected"), LUCENE_TERMS)
def test_terms_are_lucenes(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def test_there_are_33_stop_words() -> None:
    assert len(STOP_WORDS) == 33
    assert terms(" ".join(STOP_WORDS)) == []


@given(st.text(st.sampled_from("abyZ019'\":.,;_- #*\t\n"), max_size=30))
def test_ascii_has_the_same_breaks_beside_other_letters(text: str) -> None:
    assert tokens(f"{text} é") == [*tokens(text), "é"]


def test_groups_are_not_possessive() -> None:
    """Python 3.11.2, which Debian 12 has, takes "a:0" for one token with possessive ones."""
    assert not re.search(r"\)[*+?]\+", _ASCII_TOKEN.pattern)
    assert tokens("a:0 b.c:1") == ["a", "0", "b.c", "1"]


@given(st.text(max_size=40))
def test_tokens_stand_in_the_text_in_order(text: str) -> None:
    place = 0
    for token in tokens(text):
        place = text.index(token, place) + len(token)


RUNS = ["a", "a.", "_", "é'", "#️", "👍\u200d", 'ש"', "a\u0301", "[", "\ud800", "\0x", "カ_"]
RUNS += ["\u200d", "\u203f", "_\U0001f3fb", "_\u0301é"]


@pytest.mark.parametrize("text", RUNS)
def test_enormous_texts_take_linear_time(text: str) -> None:
    start = time.process_time()
    assert max(map(len, tokens(text * 200_000)), default=0) <= LONGEST_TOKEN
    assert time.process_time() - start < 5


@pytest.mark.parametrize(("query", "expected"), LUCENE_SCORES.items())
def test_ranking_and_scores_are_lucenes(query: str, expected: list[tuple[str, float]]) -> None:
    found = Index(DOCUMENTS).search(query, 50)
    assert [name for name, _ in found] == [name for name, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], rel=1e-7)


def test_the_limit_cuts_ties_by_id() -> None:
    index = Index([(f"P{number}", "same words") for number in (3, 1, 4, 2, 0)])
    assert [name for name, _ in index.search("same", 3)] == ["P0", "P1", "P2"]


def _kept(length: int) -> int:
    """Lucene's one-byte lengths: 24, 26, ... 40, 44, ... from 24 on in steps that double every eight values."""
    scale = list(range(24))
    step, value = 1, 24
    while value <= length:
        for _ in range(8 if len(scale) > 24 else 16):
            scale.append(value)
            value += step
        step *= 2
    return max(kept for kept in scale if kept <= length)


@given(
    st.lists(st.lists(st.sampled_from("uvwxyz"), max_size=60), min_size=1, max_size=12), st.text("uvwxyz ", max_size=9)
)
def test_scores_are_bm25(bags: list[list[str]], query: str) -> None:
    """Against the formula in double precision."""
    counted = [bag for bag in bags if bag]
    mean = sum(map(len, counted)) / max(len(counted), 1)
    expected = {}
    for number, bag in enumerate(bags):
        score = 0.0
        for word in query.split():
            if word in bag:
                having = sum(word in other for other in bags)
                idf = math.log(1 + (len(counted) - having + 0.5) / (having + 0.5))
                saturation = bag.count(word) / (0.9 * (1 - 0.4 + 0.4 * _kept(len(bag)) / mean))
                score += idf * saturation / (1 + saturation)
        if score:
            expected[f"{number:02d}"] = score
    words = [(f"{number:02d}", " ".join(bag)) for number, bag in enumerate(bags)]
    found = dict(Index(words).search(query, 50))
    assert found == pytest.approx(expected, rel=1e-5)
    assert list(found.values()) == sorted(found.values(), reverse=True)
