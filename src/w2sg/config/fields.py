"""What the sections of params.yaml are made of."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from w2sg.contracts.errors import named

Share = Annotated[float, Field(ge=0.0, le=1.0)]
# Every number has a bound above all that is sensible, so that one mistyped is refused and not waited for.
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Samples = Annotated[int, Field(ge=1, le=10_000)]
Positive = Annotated[float, Field(gt=0.0, le=1e6)]
NotNegative = Annotated[float, Field(ge=0.0, le=1e6)]
Temperature = Annotated[float, Field(ge=0.0, le=100.0)]
TopP = Annotated[float, Field(gt=0.0, le=1.0)]
Item = TypeVar("Item")

# DVC 3.67's run cache looks past parameters of these names, at any depth, and would take old outputs for new ones.
UNSEEN_BY_DVC = ("size", "nfiles")


class Section(BaseModel):
    """A part of params.yaml. The text below a field is its description in the schema and in docs/parameters.md."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=False, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        for name in UNSEEN_BY_DVC:
            if name in cls.model_fields:
                raise TypeError(f"a key must not be named {name}: DVC's run cache does not see a change of it")


def distinct(values: tuple[Item, ...]) -> tuple[Item, ...]:
    """The values, which must differ from each other."""
    if len(set(values)) != len(values):
        raise ValueError(f"must differ from each other, found {named(str(list(values)))}")
    return values


class Splits(Section):
    """Number of tasks per split."""

    train: Count
    """Tasks that are explored and give the experts."""
    seen: Count
    """Held-out tasks like the train tasks."""
    unseen: Count
    """Held-out tasks in places, or with things, that no train task has."""


class EnvironmentSettings(Section):
    """What the section of every environment has; its own keys are in environments/NAME/settings.py."""

    tasks: Splits
    """Tasks of each split."""
    prompt: Literal["paper", "short"]
    """That of appendix F, or none (`short`), which also decides how the experts' thoughts are worded (A25)."""

    @field_validator("*")
    @classmethod
    def _nothing_twice(cls, value: Any) -> Any:
        return distinct(value) if isinstance(value, tuple) else value
