"""The rosters of params.yaml: one entry a method, which says where it starts and what it learns from."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from w2sg.config.fields import Count, NotNegative, Section, TopP

PairKind = Literal["tree", "random", "eto", "ceiling"]
PathKind = Literal["mcts", "best_of_m", "demonstrations"]
SftName = Literal["sft_weak", "sft_strong"]
ModelName = Literal["sft_weak", "sft_strong", "base_weak", "base_strong"]

# The sources of pairs that are made from the strong model's own exploration.
STRONG_PAIRS: tuple[PairKind, ...] = ("eto", "ceiling")

# Methods name folders, stages and rules.
MethodName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class PreferenceMethod(Section):
    """One method trained by preferences."""

    init: SftName
    """The model that it starts from."""
    data: PairKind
    """The pairs that it learns from."""
    reference: SftName
    """The fixed reference of its loss (A9)."""


class ImitationMethod(Section):
    """One method trained by imitation of paths (eq. 8)."""

    init: ModelName
    """The model that it starts from (A23)."""
    data: PathKind
    """The paths that it imitates."""
    expert_share: Annotated[float, Field(ge=0.0, lt=1.0)]
    """Expert demonstrations mixed in, as a share of all conversations."""


class InferenceMethod(Section):
    """One method that trains nothing: of several episodes per task the environment's own reward picks the best."""

    model: SftName
    """The model that plays."""
    samples: Count
    """N, episodes of each task."""
    temperature: NotNegative
    """Of the softmax; 0 is greedy."""
    top_p: TopP
    """Nucleus: the most probable tokens that together have this share."""
