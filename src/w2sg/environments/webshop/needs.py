"""What WebShop can use on this machine, for `w2sg doctor`."""

from collections.abc import Iterator
from importlib.util import find_spec

from w2sg.environments.webshop.settings import Settings
from w2sg.environments.webshop.world.nouns import SPACY_MODEL


def needs(settings: Settings) -> Iterator[tuple[str, bool | None, str, str]]:
    """What it is, whether it is there (None: missing, but not needed), what was found, the remedy."""
    there = find_spec(SPACY_MODEL) is not None
    remedy = f"only `nouns: spacy` needs it: `python -m spacy download {SPACY_MODEL}`"
    yield "spaCy's tagger", there or None, "found" if there else "not installed", remedy
