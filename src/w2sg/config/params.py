"""Typed configuration: params.yaml as pydantic models. Unknown keys are refused; all errors are reported at once.

Every class is one section of params.yaml, named after the stage that it invalidates (docs/pipeline.md).
"""

import json
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from w2sg.config.consistency import disagreements
from w2sg.config.environments import Environments
from w2sg.config.fields import Count, EnvironmentSettings, Positive, Section, Share
from w2sg.config.rosters import ImitationMethod, InferenceMethod, MethodName, PreferenceMethod
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.errors import UserError

Role = Literal["weak", "strong"]
Item = TypeVar("Item")


class Experts(Section):
    """Expert demonstrations for SFT (D_expert, eq. 4), one per training task; explored tasks get theirs besides."""

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
    """The weak and the strong model (section 4.1) and what they share."""

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
    """Low-rank adaptation of the attention projections (section 4.1, A14)."""

    r: Count
    alpha: Count
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    targets: tuple[str, ...] = Field(min_length=1)


class Sft(Section):
    """Supervised fine-tuning on expert demonstrations (eq. 4); `lora: null` trains all weights."""

    optimization: Optimization
    lora: Lora | None


class Sampling(Section):
    """One (temperature, top-p) of the exploration schedule; temperature 0 is greedy.

    `model` says who plays it in place of SFT weak: the base, un-fine-tuned (A13), or the policy of `explore.diversity`.
    """

    temperature: Annotated[float, Field(ge=0.0)]
    top_p: Annotated[float, Field(gt=0.0, le=1.0)]
    model: Literal["sft", "base", "diverse"] = "sft"


class Diversity(Section):
    """A second exploration policy (eq. 5, A12): minimise L_SFT - weight * KL(pi || SFT weak), from SFT weak on.

    `clamp` bounds the KL of each token, in nats; without it the objective has no minimum.
    """

    weight: Annotated[float, Field(ge=0.0)]
    clamp: Positive
    optimization: Optimization


class Explore(Section):
    """M samples per training task by an SFT model (section 3.1); sample k uses schedule[k mod length]."""

    roles: Annotated[
        tuple[Role, ...],
        Field(min_length=1, description="who explores: the weak model for the trees, the strong for eto and ceiling"),
    ]
    samples: Count
    tasks: Annotated[int, Field(ge=1, description="training tasks explored at most, counted from the last")]
    schedule: tuple[Sampling, ...] = Field(min_length=1)
    diversity: Diversity | None
    cohort: Count
    max_new_tokens: Count

    @field_validator("roles")
    @classmethod
    def _different_roles(cls, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        return _distinct(roles)


class Embed(Section):
    """The sentence embedder of the merge rule (A1)."""

    model: str
    batch: Count


class TreeSettings(Section):
    """Trajectory trees (section 3.2, A1) from the first `breadth` samples of each task."""

    breadth: Annotated[int, Field(ge=2)]
    similarity: Annotated[float, Field(ge=-1.0, le=1.0)]
    merge_key: Literal["observation", "observation+thought", "exact"]


class Merging(Section):
    """Thresholds xi at which the merging stage rebuilds the trees, beside exact merging, and replays every e*."""

    similarities: tuple[Annotated[float, Field(ge=-1.0, le=1.0)], ...]


class Pairs(Section):
    """Preference pairs at divergence points (A11).

    Attributes:
        turns: of the agent on each side, from the diverging one on; null keeps both sides to their ends.
    """

    minimum_gap: Share
    whole_path: bool
    turns: Count | None
    aggregate: Literal["mean", "max"]


class Mcts(Section):
    """Offline Monte Carlo tree search (eq. 7; A2-A4) and what happens to paths whose replay differs (A6).

    Attributes:
        ties: which of two equal children e* takes: the one nearest to its best leaf, or the one searched more often.
    """

    gamma: Annotated[float, Field(ge=0.0)]
    iterations: Count
    ties: Literal["shortest", "visits"]
    minimum_score: Share
    uncertified: Literal["drop", "keep"]


class Reference(Section):
    """Scoring of conversations under a fixed model: `batch` sequences at once, in the reference and theorem stages."""

    batch: Count


class Dpo(Section):
    """TreeDPO (eq. 6) and its siblings; `eq6: literal` adds the KL term of eq. 6 to the sigmoid loss of DPO (A8)."""

    beta: Positive
    eq6: Literal["dpo", "literal"]
    optimization: Optimization
    lora: Lora | None


class Imitation(Section):
    """Training of every imitation method."""

    optimization: Optimization
    lora: Lora | None


class Evaluate(Section):
    """Evaluation of every model; `seen` and `unseen` are numbers of tasks, the last ones of each split.

    So a choice that was made on some tasks is judged on others after `environments.NAME.tasks` is raised.
    """

    seen: Count
    unseen: Count
    temperature: Annotated[float, Field(ge=0.0)]
    top_p: Annotated[float, Field(gt=0.0, le=1.0)]
    cohort: Count


class Theorem(Section):
    """Theorem 1 as a diagnostic (section 3.3): `method` is the TreeDPO policy of eq. 10, `superior` stands in for pi*.

    `tasks`: held-out tasks at most on which pi* is sampled for KL(pi* || pi_w), the unseen first; `delta`: delta_0.
    """

    method: MethodName
    superior: MethodName
    tasks: Annotated[int, Field(ge=2)]
    delta: Annotated[float, Field(gt=0.0, lt=1.0)]


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
    merging: Merging
    pairs: Pairs
    mcts: Mcts
    reference: Reference
    dpo: Dpo
    preference: Annotated[dict[MethodName, PreferenceMethod], Field(min_length=1)]
    imitate: Imitation
    imitation: Annotated[dict[MethodName, ImitationMethod], Field(min_length=1)]
    inference: dict[MethodName, InferenceMethod]
    evaluate: Evaluate
    theorem: Theorem
    report: Report

    @field_validator("seeds")
    @classmethod
    def _different_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        return _distinct(seeds)

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
            raise UserError(f"--environment {name}: unknown; params.yaml has {', '.join(known)}")
        return known[name]


def _distinct(values: tuple[Item, ...]) -> tuple[Item, ...]:
    if len(set(values)) != len(values):
        raise ValueError(f"must differ from each other, found {list(values)}")
    return values


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
        lines = [_describe(problem) for problem in found] + disagreements(values)
        raise UserError("\n".join(f"{path}: {line}" for line in lines)) from None


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
