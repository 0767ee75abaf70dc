"""params.yaml as one typed object. Nothing has a default, because DVC sees none; all errors are reported at once.

Every class of a section is named after the stage that it invalidates (docs/pipeline.md); docs/parameters.md, and the
schema for editors, are made from these classes.
"""

import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from w2sg.config import data, judging, launching, models, training
from w2sg.config.consistency import disagreements, odd_texts
from w2sg.config.environments import Environments
from w2sg.config.fields import EnvironmentSettings, Section, distinct
from w2sg.config.problems import described
from w2sg.config.rosters import ImitationMethod, InferenceMethod, MethodName, PreferenceMethod
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.errors import UserError, named, reason


class Params(Section):
    """The configuration of one run."""

    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(min_length=1)
    """Training seeds; the bases from scratch and all that is trained or sampled after them is made once for each."""
    outside: dict[MethodName, Annotated[str, Field(min_length=1)]]
    """Folders outside, which both tools then look into; NAME: an environment with `data_dir`; weak, strong or embed."""
    environments: Environments
    experts: data.Experts
    play: data.Play
    models: models.Models
    pretrain: training.Pretrain
    sft: training.Sft
    explore: data.Explore
    embed: data.Embed
    tree: data.TreeSettings
    merging: data.Merging
    pairs: data.Pairs
    mcts: data.Mcts
    reference: training.Reference
    dpo: training.Dpo
    preference: Annotated[dict[MethodName, PreferenceMethod], Field(min_length=1)]
    """The methods trained by preferences: NAME is the name of one."""
    imitate: training.Imitation
    imitation: Annotated[dict[MethodName, ImitationMethod], Field(min_length=1)]
    """The methods trained by imitation of paths: NAME is the name of one."""
    inference: dict[MethodName, InferenceMethod]
    """The methods that train nothing: NAME is the name of one."""
    evaluate: judging.Evaluate
    theorem: judging.Theorem
    report: judging.Report

    @field_validator("seeds")
    @classmethod
    def _different_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        return distinct(seeds)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if problems := disagreements(self.model_dump()):
            raise ValueError("\n".join(problems))
        return self

    def environment(self, name: str) -> EnvironmentSettings:
        """Settings of one environment.

        Raises:
            UserError: there is no such environment.
        """
        known = dict(self.environments.items())
        if name not in known:
            raise UserError(f"--environment {named(name)}: unknown; params.yaml has {', '.join(known)}")
        return known[name]


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and validate a complete parameter file, and accelerate.yaml, where one lies beside it.

    Raises:
        UserError: one line per problem, each with its key and what is allowed.
    """
    launching.check(path.parent / "accelerate.yaml")
    launching.check_environment()
    return validated(read_yaml(path), source=path)


@cache
def _schema() -> dict[str, Any]:
    return Params.model_json_schema()


def validated(values: dict[str, Any], *, source: Path) -> Params:
    """The values of `source` as a typed object.

    Raises:
        UserError: one line per problem, each with its key and what is allowed.
    """
    try:
        # Strict, so that `true` is no number; by way of JSON, so that a list is a tuple all the same.
        text = json.dumps(values, default=str, ensure_ascii=False).encode(errors="replace")
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source}: cannot be read ({reason(error)}); write it with fewer levels") from None
    try:
        params = Params.model_validate_json(text, strict=True)
    except ValidationError as error:
        lines = described(error, schema=_schema()) + disagreements(values)
        raise UserError("\n".join(f"{source}: {line}" for line in lines or [reason(error)])) from None
    # Half of a character is not in the text that was validated.
    if odd := list(odd_texts(values)):
        raise UserError("\n".join(f"{source}: {line}" for line in odd))
    return params


def adapters_on(params: Params, role: str) -> dict[str, training.Lora]:
    """The adapters that some stage is to train on a model of this role, by their key in params.yaml."""
    found = {"sft.lora": params.sft.lora}
    for name, entry in params.preference.items():
        if entry.init.endswith(f"_{role}"):
            own = f"preference.{name}.dpo" if entry.dpo else "dpo"
            found[f"{own}.lora"] = (entry.dpo or params.dpo).lora
    for name, imitated in params.imitation.items():
        if imitated.init.endswith(f"_{role}"):
            own = f"imitation.{name}.imitate" if imitated.imitate else "imitate"
            found[f"{own}.lora"] = (imitated.imitate or params.imitate).lora
    return {key: lora for key, lora in found.items() if lora is not None}
