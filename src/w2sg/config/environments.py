"""Sections of params.yaml below `environments`: one for each folder of w2sg/environments that has a settings.py.

The only place where this package looks upwards: it imports the settings of every environment, which import nothing but
`config.fields`.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, create_model, field_validator, model_validator

from w2sg.config.fields import EnvironmentSettings, Section

FOLDER = Path(__file__).parents[1] / "environments"
NAMES = tuple(sorted(file.parent.name for file in FOLDER.glob("*/settings.py")))
"""Every environment that is there."""


def _settings(name: str) -> Any:
    """The class of an environment's section; where its settings.py is broken, a type that refuses the section."""
    try:
        found = getattr(import_module(f"w2sg.environments.{name}.settings"), "Settings", None)
    except Exception as error:  # whatever a half-written file raises: the other environments still work
        problem = f"{type(error).__name__}: {error}"
    else:
        if isinstance(found, type) and issubclass(found, EnvironmentSettings):
            return found
        problem = "no class Settings(EnvironmentSettings)"

    def refuse(_: object) -> None:
        raise ValueError(f"cannot be used: w2sg/environments/{name}/settings.py: {problem}")

    return Annotated[Any, BeforeValidator(refuse)]


class _Environments(Section):
    """The environments of the run, one fan-out of every stage each; one whose key is left out is switched off."""

    @field_validator("*")  # a default is not validated
    @classmethod
    def _set(cls, settings: EnvironmentSettings | None) -> EnvironmentSettings:
        if settings is None:
            raise ValueError("is empty; leave the key out to switch the environment off")
        return settings

    @model_validator(mode="after")
    def _one_at_least(self) -> "_Environments":
        if not dict(self.items()):
            raise ValueError(f"is empty; give at least one of {', '.join(NAMES)}")
        return self

    def items(self) -> Iterator[tuple[str, EnvironmentSettings]]:
        """Name and settings of every environment that is switched on, by name."""
        for name in NAMES:
            if (settings := getattr(self, name)) is not None:
                yield name, settings

    @property
    def names(self) -> list[str]:
        """Of those that are switched on."""
        return [name for name, _ in self.items()]


if TYPE_CHECKING:
    Environments = _Environments
else:
    _fields: dict[str, Any] = {name: (_settings(name) | None, None) for name in NAMES}
    Environments = create_model("Environments", __base__=_Environments, __doc__=_Environments.__doc__, **_fields)
