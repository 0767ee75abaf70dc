"""Typed configuration: params.yaml as pydantic models. Unknown keys are refused; all errors are reported at once.

Every class is one section of params.yaml, named after the stage that it invalidates (docs/pipeline.md).
"""

import json
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from w2sg.environments.settings import Environments, EnvironmentSettings
from w2sg.errors import UserError
from w2sg.sections import Count, Positive, Section, Share
from w2sg.yaml_files import read_yaml

PairKind = Literal["tree", "random", "eto", "ceiling"]
PathKind = Literal["mcts", "best_of_m"]
Role = Literal["weak", "strong"]
SftName = Literal["sft_weak", "sft_strong"]

# The builders that exist (stages pairs and paths). A roster entry that names another kind is refused at load.
BUILT_PAIRS: tuple[PairKind, ...] = ("tree", "random")
BUILT_PATHS: tuple[PathKind, ...] = ("mcts", "best_of_m")

# Methods name folders, stages and rules.
MethodName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class Experts(Section):
    """Expert demonstrations (D_expert, eq. 4): one per training task."""

    tasks: Annotated[
        int, Field(ge=1, description="training tasks with a demonstration at most, counted from the first")
    ]


class Play(Section):
    """Exploratory play that a from-scratch base is pretrained on, invalid actions included."""

    episodes_per_task: Count
    expert_shares: tuple[Share, ...] = Field(min_length=1)


class Architecture(Section):
    """One LLaMA-shaped model trained from scratch, or a model of the hub or a local folder (`base`)."""

    base: str | None
    revision: str | None
    hidden: Count
    layers: Count
    heads: Count
    feedforward: Count

    @model_validator(mode="after")
    def _heads_divide_hidden(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"hidden ({self.hidden}) must be a multiple of heads ({self.heads})")
        if (self.hidden // self.heads) % 2:
            raise ValueError(f"hidden / heads ({self.hidden // self.heads}) must be even (rotary embeddings)")
        return self


class Models(Section):
    """The weak and the strong model (M2) and what they share."""

    vocabulary: Annotated[int, Field(ge=300)]
    context: Annotated[int, Field(ge=128)]
    weak: Architecture
    strong: Architecture


class Optimization(Section):
    """How one model is trained: AdamW with betas (0.9, `adam_beta2`); `batch` is the sequences of one update."""

    epochs: Positive
    batch: Count
    learning_rate: Positive
    schedule: Literal["cosine", "constant_with_warmup"]
    warmup: Share
    weight_decay: Annotated[float, Field(ge=0.0)]
    adam_beta2: Annotated[float, Field(gt=0.0, lt=1.0)]
    precision: Literal["auto", "bf16", "fp32"]


class Copying(Section):
    """Copying of random tokens, before a base trained from scratch reads any play (training/copying.py)."""

    sequences: Count
    shortest: Annotated[int, Field(ge=2)]
    longest: Annotated[int, Field(ge=2)]
    optimization: Optimization

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(f"shortest ({self.shortest}) must be at most longest ({self.longest})")
        return self


class PretrainRole(Section):
    """How one base is trained from scratch: copying first (or null), then language modelling of play."""

    copying: Copying | None
    play: Optimization


class Pretrain(Section):
    """Training of the bases from scratch, one setting per role."""

    weak: PretrainRole
    strong: PretrainRole


class Lora(Section):
    """Low-rank adaptation of the attention projections (M3, A14)."""

    r: Count
    alpha: Count
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    targets: tuple[str, ...] = Field(min_length=1)


class Sft(Section):
    """Supervised fine-tuning on expert demonstrations (eq. 4); `lora: null` trains all weights."""

    optimization: Optimization
    lora: Lora | None


class Sampling(Section):
    """One (temperature, top-p) of the exploration schedule; temperature 0 is greedy."""

    temperature: Annotated[float, Field(ge=0.0)]
    top_p: Annotated[float, Field(gt=0.0, le=1.0)]


class Explore(Section):
    """M samples per training task by an SFT model (M4); sample k uses schedule[k mod length]."""

    samples: Count
    tasks: Annotated[int, Field(ge=1, description="training tasks explored at most, counted from the last")]
    schedule: tuple[Sampling, ...] = Field(min_length=1)
    cohort: Count
    max_new_tokens: Count


class Embed(Section):
    """The sentence embedder of the merge rule (A1)."""

    model: str
    batch: Count


class TreeSettings(Section):
    """Trajectory trees (section 3.2, A1) from the first `breadth` samples of each task."""

    breadth: Annotated[int, Field(ge=2)]
    similarity: Annotated[float, Field(ge=-1.0, le=1.0)]
    merge_key: Literal["observation", "observation+thought", "exact"]


class Pairs(Section):
    """Preference pairs at divergence points (A11)."""

    minimum_gap: Share
    whole_path: bool
    aggregate: Literal["mean", "max"]


class Mcts(Section):
    """Offline Monte Carlo tree search (eq. 7; A2-A4) and what happens to paths whose replay differs (A6)."""

    gamma: Annotated[float, Field(ge=0.0)]
    iterations: Count
    minimum_score: Share
    uncertified: Literal["drop", "keep"]


class Dpo(Section):
    """TreeDPO (eq. 6) and its siblings."""

    beta: Positive
    eq6: Literal["dpo"]
    optimization: Optimization
    lora: Lora | None


class PreferenceMethod(Section):
    """One method trained by preferences: where it starts, what it learns from, its fixed reference."""

    init: SftName
    data: PairKind
    reference: SftName


class ImitationMethod(Section):
    """One method trained by imitation of paths (eq. 8).

    `expert_share`: expert demonstrations mixed in, as a share of all conversations.
    """

    init: SftName
    data: PathKind
    expert_share: Annotated[float, Field(ge=0.0, lt=1.0)]


class Imitation(Section):
    """Training of every imitation method."""

    optimization: Optimization
    lora: Lora | None


class Evaluate(Section):
    """Evaluation of every model; `seen` and `unseen` are numbers of tasks at most, counted from the first."""

    seen: Count
    unseen: Count
    temperature: Annotated[float, Field(ge=0.0)]
    top_p: Annotated[float, Field(gt=0.0, le=1.0)]
    cohort: Count


class Report(Section):
    """Statistics of the tables."""

    resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)]


class Params(Section):
    """params.yaml."""

    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    environments: Environments
    experts: Experts
    play: Play
    models: Models
    pretrain: Pretrain
    sft: Sft
    explore: Explore
    embed: Embed
    tree: TreeSettings
    pairs: Pairs
    mcts: Mcts
    dpo: Dpo
    preference: dict[MethodName, PreferenceMethod]
    imitate: Imitation
    imitation: dict[MethodName, ImitationMethod]
    evaluate: Evaluate
    report: Report

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError(f"must differ from each other, found {list(seeds)}")
        return seeds

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if problems := _disagreements(self.model_dump()):
            raise ValueError("\n".join(problems))
        return self

    def environment(self, name: str) -> EnvironmentSettings:
        """Settings of one environment.

        Raises:
            UserError: there is no such environment.
        """
        known = dict(self.environments.items())
        if name not in known:
            raise UserError(f"--environment {name}: unknown; params.yaml has {', '.join(known)}")
        return known[name]


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and validate a parameter file.

    Raises:
        UserError: one line per problem, each with its key and what is allowed.
    """
    values = read_yaml(path)
    try:
        # Strict, so that `true` is no number; by way of JSON, so that a list is a tuple all the same.
        return Params.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        # A list with a wrong element counts as too short as well: one line is enough.
        found = [each for each in error.errors() if each["loc"] and not (each["type"] == "too_short" and each["input"])]
        lines = [_describe(problem) for problem in found] + _disagreements(values)
        raise UserError("\n".join(f"{path}: {line}" for line in lines)) from None


def _disagreements(values: dict[str, Any]) -> list[str]:
    """Rules between sections, on unvalidated values too, so that they are reported along with everything else."""
    problems = []
    limits = [("tree.breadth", "explore.samples")]
    # Where an environment has fewer tasks, all of them are taken; more than any has is a mistake.
    for key, split in (
        ("experts.tasks", "train"),
        ("explore.tasks", "train"),
        ("evaluate.seen", "seen"),
        ("evaluate.unseen", "unseen"),
    ):
        sizes = {f"environments.{name}.tasks.{split}" for name in _mapping(values, "environments")}
        known = {size: most for size in sorted(sizes) if type(most := _at(values, size)) is int}
        if known:
            limits.append((key, max(known, key=lambda size: known[size])))
    for key, limit in limits:
        wanted, most = _at(values, key), _at(values, limit)
        if type(wanted) is type(most) is int and wanted > most:
            problems.append(f"{key}: {wanted} is too many; allowed is at most {limit} ({most})")
    names = ["base_weak", "base_strong", "sft_weak", "sft_strong"]
    for roster, kinds, built in (("preference", PairKind, BUILT_PAIRS), ("imitation", PathKind, BUILT_PATHS)):
        for method in _mapping(values, roster):
            data = _at(values, f"{roster}.{method}.data")
            if data in get_args(kinds) and data not in built:
                problems.append(f"{roster}.{method}.data: no builder makes {data!r}; allowed are {', '.join(built)}")
            if method in names:
                problems.append(f"{roster}.{method}: another model has this name; choose one of its own")
            names.append(method)
    return problems


def _at(values: Any, key: str) -> Any:
    """The value of a dotted key; None where there is none."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _mapping(values: dict[str, Any], key: str) -> dict[str, Any]:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _describe(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    found = problem.get("input")
    match problem["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key; allowed here: {', '.join(_keys_beside(problem['loc']))}"
        case "missing":
            return f"{key}: missing"
        case "too_short":
            return f"{key}: is empty; give at least one"
        case "value_error":
            return f"{key}: {problem['ctx']['error']}"
        case _:
            shown = repr(found) if found is None or isinstance(found, int | float | str) else type(found).__name__
            return f"{key}: {problem['msg'][0].lower()}{problem['msg'][1:]} (found {shown})"


def _keys_beside(loc: tuple[Any, ...]) -> list[str]:
    """Names of the keys allowed where an unknown key was found."""
    model: Any = Params
    for part in loc[:-1]:
        # Below a section lies its field; below a roster or a list, what it holds (dict[name, section]).
        inside = isinstance(model, type) and issubclass(model, Section)
        model = model.model_fields[part].annotation if inside else _section(model)
        model = _section(model) if NoneType in get_args(model) else model
    return list(model.model_fields)


def _section(kind: Any) -> Any:
    return next(inner for inner in get_args(kind) if isinstance(inner, type) and issubclass(inner, Section))
