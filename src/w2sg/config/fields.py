"""What the sections of params.yaml are made of."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0.0)]


class Section(BaseModel):
    """A part of params.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class Splits(Section):
    """Number of tasks per split.

    Train tasks are explored and give the experts; unseen ones come from other floor plans.
    """

    train: Count
    seen: Count
    unseen: Count


class EnvironmentSettings(Section):
    """What the section of every environment has; its own keys are in environments/NAME/settings.py.

    `prompt`: that of appendix F ("paper") or none ("short"), which also decides how the experts' thoughts are worded.
    """

    tasks: Splits
    prompt: Literal["paper", "short"]
