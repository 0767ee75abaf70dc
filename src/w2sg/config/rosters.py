"""The rosters of params.yaml: one entry a method, which says where it starts and what it learns from."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from w2sg.config.fields import Count, Section

PairKind = Literal["tree", "random", "eto", "ceiling"]
PathKind = Literal["mcts", "best_of_m", "demonstrations"]
SftName = Literal["sft_weak", "sft_strong"]
ModelName = Literal["sft_weak", "sft_strong", "base_weak", "base_strong"]

# The sources of pairs that are made from the strong model's own exploration.
STRONG_PAIRS: tuple[PairKind, ...] = ("eto", "ceiling")

# Methods name folders, stages and rules.
MethodName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class PreferenceMethod(Section):
    """One method trained by preferences: where it starts, what it learns from, its fixed reference."""

    init: SftName
    data: PairKind
    reference: SftName


class ImitationMethod(Section):
    """One method trained by imitation of paths (eq. 8).

    `expert_share`: expert demonstrations mixed in, as a share of all conversations.
    """

    init: ModelName
    data: PathKind
    expert_share: Annotated[float, Field(ge=0.0, lt=1.0)]


class InferenceMethod(Section):
    """One method that trains nothing: of `samples` episodes per task the environment's own reward picks the best."""

    model: SftName
    samples: Count
    temperature: Annotated[float, Field(ge=0.0)]
    top_p: Annotated[float, Field(gt=0.0, le=1.0)]
