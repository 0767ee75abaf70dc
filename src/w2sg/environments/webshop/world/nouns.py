"""Nouns of a product's title, for the reward's comparison of product types.

The original asks spaCy's tagger. Its models are not on the package registry, so the default is a rule: every English
word counts as a noun unless it is a function word. Which one it is, the parameters say, not the machine.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec

from w2sg.contracts.errors import UserError

NounExtractor = Callable[[str], list[str]]
"""The nouns of a text: lower-cased, in order, repeated where the text repeats them."""

SPACY_MODEL = "en_core_web_sm"
"""The tagger of the original."""

_WORD = re.compile(r"[A-Za-z]{2,}")
_FUNCTION_WORDS = """a an the this that it its you your we our are is be can will not no and or but if so than then
as at by for from in into of off on out over per to under up with without all any more most very"""
_STOP = frozenset(_FUNCTION_WORDS.split())


def rule(text: str) -> list[str]:
    """Words of two or more ASCII letters that are no function words, lower-cased."""
    words = (word.lower() for word in _WORD.findall(text))
    return [word for word in words if word not in _STOP]


@lru_cache
def extractor(name: str) -> NounExtractor:
    """The extractor of that name, "rule" or "spacy", which tags each title once.

    Raises:
        UserError: spaCy's model is not installed.
    """
    if name == "rule":
        return rule
    if find_spec("spacy") is None or find_spec(SPACY_MODEL) is None:
        raise UserError(
            f"environments.webshop.nouns: spacy needs the package spacy and its model {SPACY_MODEL}"
            f" (`pip install spacy`, `python -m spacy download {SPACY_MODEL}`); or set rule"
        )
    return lru_cache(maxsize=65536)(_tagger())


def _tagger() -> NounExtractor:
    import spacy

    model = spacy.load(SPACY_MODEL)

    def nouns(text: str) -> list[str]:
        return [token.text.lower() for token in model(text) if token.pos_ in ("NOUN", "PROPN")]

    return nouns
