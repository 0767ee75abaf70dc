"""Typed configuration: params.yaml as pydantic models. Unknown keys are refused; all errors are reported at once.

Every class is one section of params.yaml, named after the stage that it invalidates (docs/pipeline.md).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from w2sg.errors import UserError

PairKind = Literal["tree", "random", "eto", "ceiling"]
PathKind = Literal["mcts", "best_of_m"]
Role = Literal["weak", "strong"]
SftName = Literal["sft_weak", "sft_strong"]

# The builders that exist (stages pairs and paths). A roster entry that names another kind is refused at load.
BUILT_PAIRS: tuple[PairKind, ...] = ("tree", "random")
BUILT_PATHS: tuple[PathKind, ...] = ("mcts", "best_of_m")

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0.0)]


class Section(BaseModel):
    """A part of params.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class Splits(Section):
    """Number of tasks per split. Train tasks are explored and give the experts; unseen ones come from other floor plans."""

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


class Environments(Section):
    """The environments of the run, one fan-out of every stage each."""

    alfworld: Alfworld

    def items(self) -> Iterator[tuple[str, Alfworld]]:
        """Name and settings of every environment that is switched on."""
        for name in type(self).model_fields:
            if (settings := getattr(self, name)) is not None:
                yield name, settings


class Experts(Section):
    """Expert demonstrations (D_expert, eq. 4): one per training task."""

    tasks: Annotated[int, Field(ge=1, description="training tasks with a demonstration, counted from the first")]


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
    """How one model is trained. AdamW; `batch` is the number of sequences of one update."""

    epochs: Positive
    batch: Count
    learning_rate: Positive
    schedule: Literal["cosine", "constant_with_warmup"]
    warmup: Share
    weight_decay: Annotated[float, Field(ge=0.0)]
    precision: Literal["auto", "bf16", "fp32"]


class Pretrain(Section):
    """Language modelling of play, one setting per role."""

    weak: Optimization
    strong: Optimization


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
    tasks: Annotated[int, Field(ge=1, description="training tasks explored, counted from the last")]
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
    """Evaluation of every model; `seen` and `unseen` are numbers of tasks, counted from the first."""

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
    preference: dict[str, PreferenceMethod]
    imitate: Imitation
    imitation: dict[str, ImitationMethod]
    evaluate: Evaluate
    report: Report

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError(f"seeds must differ from each other, found {list(seeds)}")
        return seeds

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = []
        if self.tree.breadth > self.explore.samples:
            problems.append(f"tree.breadth is {self.tree.breadth}, allowed is at most explore.samples ({self.explore.samples})")
        for name, environment in self.environments.items():
            tasks = environment.tasks
            for key, wanted, have in (
                ("experts.tasks", self.experts.tasks, tasks.train),
                ("explore.tasks", self.explore.tasks, tasks.train),
                ("evaluate.seen", self.evaluate.seen, tasks.seen),
                ("evaluate.unseen", self.evaluate.unseen, tasks.unseen),
            ):
                if wanted > have:
                    problems.append(f"{key} is {wanted}, but environments.{name}.tasks has only {have}")
        for method, entry in self.preference.items():
            if entry.data not in BUILT_PAIRS:
                problems.append(f"preference.{method}.data is {entry.data!r}, which no builder makes; allowed are {', '.join(BUILT_PAIRS)}")
        for method, other in self.imitation.items():
            if other.data not in BUILT_PATHS:
                problems.append(f"imitation.{method}.data is {other.data!r}, which no builder makes; allowed are {', '.join(BUILT_PATHS)}")
        clash = {"base_weak", "base_strong", "sft_weak", "sft_strong"} & (set(self.preference) | set(self.imitation))
        clash |= set(self.preference) & set(self.imitation)
        if clash:
            problems.append(f"method names {', '.join(sorted(clash))} are used twice")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def environment(self, name: str) -> Alfworld:
        """Settings of one environment."""
        return dict(self.environments.items())[name]


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and validate a parameter file.

    Raises:
        UserError: one line per problem, each with its key and what is allowed.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected sections such as `explore:`, found {type(values).__name__}")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = [f"{path}: {line}" for problem in error.errors() for line in _describe(problem, values)]
        raise UserError("\n".join(lines)) from None


def _describe(problem: Any, values: dict[str, Any]) -> list[str]:
    key = ".".join(str(part) for part in problem["loc"])
    found = problem.get("input")
    match problem["type"]:
        case "extra_forbidden":
            allowed = _keys_beside(problem["loc"])
            return [f"{key}: unknown key; allowed here: {', '.join(allowed)}" if allowed else f"{key}: unknown key"]
        case "missing":
            return [f"{key}: missing"]
        case "value_error":
            text = str(problem["ctx"]["error"])
            return [f"{key}: {text}"] if key else text.split("; ")
        case _:
            shown = found if isinstance(found, int | float | str | bool) or found is None else type(found).__name__
            return [f"{key}: {problem['msg'][0].lower()}{problem['msg'][1:]} (found {shown!r})"]


def _keys_beside(loc: tuple[Any, ...]) -> list[str]:
    """Names of the keys allowed where an unknown key was found."""
    model: Any = Params
    for part in loc[:-1]:
        if not (isinstance(model, type) and issubclass(model, BaseModel)) or part not in model.model_fields:
            return []
        model = model.model_fields[part].annotation
        for inner in get_args(model) if get_origin(model) is not dict else ():
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                model = inner
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
