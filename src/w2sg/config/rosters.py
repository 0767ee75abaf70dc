"""The rosters of params.yaml: one entry a method, which says where it starts and what it learns from."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from w2sg.config.data import Mcts, Pairs
from w2sg.config.fields import Samples, Section, Temperature, TopP
from w2sg.config.training import Dpo, Imitation

PairKind = Literal["tree", "shuffled", "expert", "random", "eto", "ceiling"]
PathKind = Literal["mcts", "best_of_m", "wins", "first", "strong", "both", "expert", "demonstrations"]
SftName = Literal["sft_weak", "sft_strong"]
ModelName = Literal["sft_weak", "sft_strong", "base_weak", "base_strong"]

# The sources that are made from the strong model's own exploration.
STRONG_PAIRS: tuple[PairKind, ...] = ("eto", "ceiling")
STRONG_PATHS: tuple[PathKind, ...] = ("strong", "both")
# Those of which the breadth of a tree changes nothing. (Pairs of the expert are held against the samples of the trees.)
TREELESS_PAIRS: tuple[PairKind, ...] = ("eto", "ceiling")
TREELESS_PATHS: tuple[PathKind, ...] = ("first", "expert", "demonstrations")

# Methods name folders, stages and rules; with what stands around it a name must fit a file name of 255 characters.
MethodName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class PreferenceMethod(Section):
    """One method trained by preferences."""

    init: SftName
    """The model that it starts from."""
    data: PairKind
    """The pairs that it learns from."""
    reference: SftName
    """The fixed reference of its loss (A9)."""
    pairs: Pairs | None
    """Its own way to make pairs; null takes section `pairs`."""
    dpo: Dpo | None
    """Its own training; null takes section `dpo`."""


class ImitationMethod(Section):
    """One method trained by imitation of paths (eq. 8)."""

    init: ModelName
    """The model that it starts from (A23)."""
    data: PathKind
    """The paths that it imitates."""
    expert_share: Annotated[float, Field(ge=0.0, lt=1.0)]
    """Expert demonstrations mixed in, as a share of all conversations at most: each one once, however many paths."""
    mcts: Mcts | None
    """Its own search and choice of paths; null takes section `mcts`."""
    imitate: Imitation | None
    """Its own training; null takes section `imitate`."""


class InferenceMethod(Section):
    """One method that trains nothing: of several episodes per task the environment's own reward picks the best."""

    model: SftName
    """The model that plays."""
    samples: Samples
    """N, episodes of each task."""
    temperature: Temperature
    """Of the softmax; 0 is greedy."""
    top_p: TopP
    """Nucleus: the most probable tokens that together have this share."""
