"""The section `environments.webshop` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from w2sg.config.fields import Count, EnvironmentSettings

Aisle = Literal["clothes", "shoes", "snacks", "drinks", "care", "furniture", "bedding", "devices"]


class Settings(EnvironmentSettings):
    """WebShop: the original's files when `data_dir` is set, of which the first `products`, else a made-up catalogue.

    `aisles` are what the made-up catalogue sells; `nouns` tells product types apart in the reward: spaCy's tagger, as
    in the original, or a rule that needs no model.
    """

    data_dir: str | None
    products: Annotated[int, Field(ge=1, le=2_000_000)]
    aisles: tuple[Aisle, ...] = Field(min_length=1)
    max_steps: Count
    nouns: Literal["rule", "spacy"]
