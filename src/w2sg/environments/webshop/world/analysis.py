"""Words to terms, as Lucene's English analyzer makes them: Unicode word breaks, stop words, Porter's stems.

The word breaks are those of Lucene's StandardTokenizer (Unicode 9 text segmentation, UAX 29, and Unicode 11 emoji,
UTS 51); of later Unicode versions only new characters differ. Then the possessive 's is cut off, letters become lower
case, 33 stop words are dropped, and Porter's algorithm with its author's extensions takes the stem.
"""

import re
from functools import lru_cache
from typing import Any

import regex

LONGEST_TOKEN = 255
"""Characters; a longer token is cut into pieces."""

_STOP_WORDS = """a an and are as at be but by for if in into is it no not of on or such that the their then there these
they this to was will with"""
STOP_WORDS = frozenset(_STOP_WORDS.split())

_POSSESSIVE = ("'s", "'S", "’s", "’S", "＇s", "＇S")


# What the installed Unicode tables say otherwise than Lucene's, of characters that both know.
_LATER_LETTERS = r"\xB8\u02E5-\u02EB\u055A\u058A\u070F\uA708-\uA716"
_ONCE_MARKS = r"\u0600-\u0605\u06DD\u070F\u08E2\U000110BD"
_ONCE_SOUTHEAST = r"\u19DA"
_PICTOGRAPHS = (
    r"\p{Extended_Pictographic}\u2388\u2600-\u2605\u2607-\u2612\u2614-\u2685\u2690-\u2705\u2708-\u2712\u2763-\u2767"
    r"\U0001F000-\U0001F0FF\U0001F10D-\U0001F10F\U0001F12F\U0001F16C-\U0001F16F\U0001F1AD-\U0001F1AE"
    r"\U0001F260-\U0001F265\U0001F300-\U0001F3FA\U0001F400-\U0001F53D\U0001F546-\U0001F64F\U0001F680-\U0001F6FF"
    r"\U0001F774-\U0001F77F\U0001F7D5-\U0001F7FF\U0001F8AE-\U0001F8FF\U0001FA00-\U0001FFFD"
)


def _word_breaks() -> Any:
    """The tokens of a text. Possessive quantifiers keep the time linear."""
    # A letter, digit or sign takes along the marks that follow it (rule WB4).
    marks = rf"[\p{{WB=Format}}\p{{WB=Extend}}\p{{WB=ZWJ}}\p{{Emoji_Modifier}}{_ONCE_MARKS}]"
    m = rf"{marks}*+"
    letter = rf"[[\p{{WB=ALetter}}\p{{WB=Hebrew_Letter}}]--[{_LATER_LETTERS}]]"
    hebrew = r"\p{WB=Hebrew_Letter}"
    digit = rf"[[\p{{WB=Numeric}}\uFF10-\uFF19]--[{_ONCE_MARKS}{_ONCE_SOUTHEAST}]]"
    between_letters = r"[[:\p{WB=MidLetter}\p{WB=MidNumLet}\p{WB=Single_Quote}]--\u055F]"
    between_digits = r"[\p{WB=MidNum}\p{WB=MidNumLet}\p{WB=Single_Quote}\uFE10\uFE14]"
    run = (
        rf"(?:{hebrew}{m}(?:'{m}|\"{m}{hebrew}{m})"
        rf"|{letter}{m}(?:{between_letters}{m}{letter}{m})*+"
        rf"|{digit}{m}(?:{between_digits}{m}{digit}{m})*+)++"
    )
    body = rf"(?:{run}|(?:\p{{WB=Katakana}}{m})++)"
    bridge = rf"(?:\p{{WB=ExtendNumLet}}{m})"
    # What no word follows at the first sign of a run, none follows at the next: without a second try time is linear.
    first = rf"(?=\p{{WB=ExtendNumLet}})(?<!\p{{WB=ExtendNumLet}}{marks}*)"
    word = rf"(?:{first}{bridge}++)?+{body}(?:{bridge}++{body})*+{bridge}*+"
    # The presentation selectors end a sign, so they are no marks of it.
    loose = rf"[{marks}--[\uFE0E\uFE0F]]*+"
    pictograph = rf"[{_PICTOGRAPHS}]{loose}\uFE0F?+"
    modifier = rf"\p{{Emoji_Modifier}}{loose}"
    joined = rf"(?:(?:(?<=\u200D)|\u200D++)(?:{pictograph}|{modifier}))"
    emoji = (
        rf"(?:(?:(?<!\u200D)\u200D++)?+{pictograph}|{modifier}){joined}*+"
        rf"|[#*][{marks}--[\uFE0E\uFE0F\u20E3]]*+\uFE0F?+\u20E3{loose}"
        rf"|(?:\p{{WB=Regional_Indicator}}{m}){{2}}"
    )
    southeast = rf"(?:[\p{{LB=SA}}{_ONCE_SOUTHEAST}]{m})++"
    single = rf"[\p{{Han}}\p{{Hiragana}}]{m}"
    # A few signs are letters too; the longer token wins.
    return regex.compile("|".join([rf"{pictograph}{joined}++", word, emoji, southeast, single]), regex.V1)


_TOKEN = _word_breaks()
# The same for the letters of ASCII, where it is at least five times as fast. Its groups are greedy, not possessive:
# Python before 3.11.5 matches possessive ones wrongly (CPython issue 106052), and nothing follows that could fail.
_ASCII_TOKEN = re.compile(
    r"_*(?:[a-z]+(?:[:.'][a-z]+)*|[0-9]+(?:[,;.'][0-9]+)*)+"
    r"(?:_+(?:[a-z]+(?:[:.'][a-z]+)*|[0-9]+(?:[,;.'][0-9]+)*)+)*_*|(_+)",
    re.ASCII | re.IGNORECASE,
)


def tokens(text: str) -> list[str]:
    """The tokens of a text, as they stand there; none is longer than LONGEST_TOKEN characters."""
    found: list[str] = []
    pattern = _ASCII_TOKEN if text.isascii() else _TOKEN
    for match in pattern.finditer(text):
        if not match.lastindex:  # else a run of underscores that no word follows
            found += [match[0]] if len(match[0]) <= LONGEST_TOKEN else _pieces(match[0])
    return found


def _pieces(token: str) -> list[str]:
    """The tokens of an overlong one of which at most LONGEST_TOKEN characters are seen at a time."""
    found, start = [], 0
    while start < len(token):
        match = _TOKEN.match(token[start : start + LONGEST_TOKEN])
        found += [match[0]] if match else []
        start += len(match[0]) if match else 1
    return found


def terms(text: str) -> list[str]:
    """The terms of a text in order, stop words left out."""
    return [term for term in map(_term, tokens(text)) if term]


@lru_cache(maxsize=1 << 18)
def _term(token: str) -> str:
    """The term of a token; empty for a stop word."""
    if token.endswith(_POSSESSIVE):
        token = token[:-2]
    # Lower case sign by sign, as Java has it: no final sigma, no second sign for a dotted capital i.
    word = token.lower() if token.isascii() else "".join(sign.lower()[:1] for sign in token)
    if word in STOP_WORDS:
        return ""
    return _stem(word) if word.isascii() or max(word) < "\U00010000" else _whole(_stem(_halves(word)))


def _stem(word: str) -> str:
    return word if len(word) <= 2 else _stemmer().stem(word, to_lowercase=False)


def _halves(word: str) -> str:
    """The word with two signs for each that has two in Java."""
    code = word.encode("utf-16-be", "surrogatepass")
    return "".join(chr(int.from_bytes(code[place : place + 2])) for place in range(0, len(code), 2))


def _whole(halves: str) -> str:
    return halves.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    from nltk.stem.porter import PorterStemmer  # takes seconds

    return PorterStemmer(mode=PorterStemmer.MARTIN_EXTENSIONS)
