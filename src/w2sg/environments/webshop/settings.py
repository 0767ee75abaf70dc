"""The section `environments.webshop` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from w2sg.config.fields import Count, EnvironmentSettings

Aisle = Literal["clothes", "shoes", "snacks", "drinks", "care", "furniture", "bedding", "devices"]


class Settings(EnvironmentSettings):
    """WebShop: the original's files when `data_dir` is set, else a made-up catalogue."""

    data_dir: str | None
    """Folder of the original's files; null makes up a catalogue."""
    products: Annotated[int, Field(ge=1, le=2_000_000)]
    """Size of the catalogue: made up, or the first ones of the files."""
    aisles: tuple[Aisle, ...] = Field(min_length=1)
    """What a made-up catalogue sells."""
    max_steps: Count
    """Actions of an episode at most (A24)."""
    nouns: Literal["rule", "spacy"]
    """How the reward tells product types apart: spaCy's tagger, as the original, or a rule that needs no model."""
