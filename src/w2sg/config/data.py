"""Sections about the data that models learn from: demonstrations, play, exploration, trees, pairs, paths."""

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from w2sg.config.fields import (
    Count,
    NotNegative,
    Positive,
    Samples,
    Section,
    Share,
    Temperature,
    TopP,
    distinct,
)
from w2sg.config.models import FOLDER
from w2sg.config.serving import Backend
from w2sg.config.training import Optimization
from w2sg.contracts.errors import named

# The embedder that comes with a package, by its name on the hub.
MINILM = "sentence-transformers/all-MiniLM-L6-v2"

Role = Literal["weak", "strong"]
ROLES: tuple[str, ...] = get_args(Role)
Similarity = Annotated[float, Field(ge=-1.0, le=1.0)]


class Experts(Section):
    """Expert demonstrations for SFT (D_expert, eq. 4), one per training task; explored tasks get theirs besides."""

    tasks: Count
    """Training tasks with a demonstration at most, counted from the first."""


class Play(Section):
    """Exploratory play that a from-scratch base is pretrained on, invalid actions included."""

    episodes_per_task: Count
    """Episodes of every training task."""
    expert_shares: tuple[Share, ...] = Field(min_length=1)
    """Shares of actions that are the expert's; every episode draws one of them."""
    misdirected: Share
    """Share of the episodes that are told under another task's instruction: they show how acting goes, not what for."""


class Sampling(Section):
    """Who plays one sample of the exploration schedule, and how."""

    temperature: Temperature
    """Of the softmax; 0 is greedy."""
    top_p: TopP
    """Nucleus: the most probable tokens that together have this share."""
    model: Literal["sft", "base", "diverse"]
    """SFT weak, the weak base before it (A13), or the policy of `explore.diversity`; strong samples: SFT strong."""


class Diversity(Section):
    """A second exploration policy (eq. 5; A12): minimise L_SFT - weight * KL(pi || SFT weak), from SFT weak on."""

    weight: NotNegative
    """Of the KL term, a bonus."""
    clamp: Positive
    """Bound of the KL of each token, in nats; without it the objective has no minimum."""
    optimization: Optimization
    """How it is trained."""


class Explore(Section):
    """Samples of training tasks by the SFT models (section 3.1)."""

    roles: Annotated[tuple[Role, ...], Field(min_length=1)]
    """Who explores: the weak model for the trees, the strong for `eto`, `ceiling`, `strong` and `both`."""
    samples: Samples
    """M, samples of each task."""
    tasks: Count
    """Training tasks explored at most, counted from the last."""
    schedule: tuple[Sampling, ...] = Field(min_length=1)
    """Sample k is played as entry k mod length says."""
    diversity: Diversity | None
    """Training of the policy that entries with `model: diverse` ask for; null where none does."""
    cohort: Count
    """Episodes that are played side by side."""
    backend: Backend | None
    """A server that plays, by the names that it gives to checkpoints; null plays here, the reference of all servers."""
    max_new_tokens: Count
    """Tokens of one answer at most, in exploration and evaluation."""

    @field_validator("roles")
    @classmethod
    def _different_roles(cls, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        return distinct(roles)


class Embed(Section):
    """The sentence embedder of the merge rule (A1)."""

    model: str
    """Sentence-transformers model: all-MiniLM-L6-v2 (of a package, no network), a folder, or `owner/name@commit`."""
    batch: Count
    """Sentences embedded at once."""

    @field_validator("model")
    @classmethod
    def _pinned(cls, model: str) -> str:
        """A model of the hub moves unless its commit is named, and no stage would see it."""
        name, _, commit = model.partition("@")
        if model != MINILM and not model.startswith(FOLDER) and not (name and commit):
            raise ValueError(
                f"{named(model)} is a model of the hub; write {named(name) or 'owner/name'}@COMMIT "
                "(a folder begins with ./ or /)"
            )
        return model


# Which text of a step is compared; `exact` merges equal observations alone (A1).
MergeKey = Literal["observation", "observation+thought", "exact"]
# What the score of a branch is of the scores below it (A11).
Aggregate = Literal["mean", "max"]
# Which of two equal children e* takes: the one nearest to its best leaf, or the one searched more often (A2).
Ties = Literal["shortest", "visits"]
# Whose thoughts e* says: of the best sample that ends in its leaf, or of the first that came by each node (A6).
Words = Literal["own", "first"]


class TreeSettings(Section):
    """Trajectory trees (section 3.2, A1)."""

    breadth: Annotated[int, Field(ge=2, le=10_000)]
    """Samples of each task, the first ones, that make its tree."""
    similarity: Similarity
    """xi, the least cosine similarity of texts that are merged."""
    merge_key: MergeKey
    """Which text is compared; `exact` merges equal observations alone."""


class Merging(Section):
    """Merging at other thresholds, beside exact merging: trees are rebuilt and every e* is replayed."""

    similarities: tuple[Similarity, ...]
    """The thresholds xi."""

    @field_validator("similarities")
    @classmethod
    def _different_similarities(cls, similarities: tuple[float, ...]) -> tuple[float, ...]:
        return distinct(similarities)


class Pairs(Section):
    """Preference pairs at divergence points (section 3.2; A11)."""

    minimum_gap: Share
    """Least difference of the two sides' scores."""
    whole_path: bool
    """Pairs of whole trajectories, the best against the worst, in the place of branches."""
    turns: Count | None
    """Turns of the agent on each side, from the diverging one on; null keeps both sides to their ends."""
    aggregate: Aggregate
    """What the score of a branch is of the scores below it."""


class Mcts(Section):
    """Offline Monte Carlo tree search (eq. 7; A2-A4) and what happens to paths whose replay differs (A6)."""

    gamma: NotNegative
    """Weight of exploration in UCB."""
    iterations: Count
    """Searches from the root."""
    ties: Ties
    """Which of two equal children e* takes: the one nearest to its best leaf, or the one searched more often."""
    words: Words
    """Whose thoughts e* says: of the best sample that ends in its leaf, or of the first that came by each node."""
    minimum_score: Share
    """Least score of a path that is imitated."""
    uncertified: Literal["drop", "keep"]
    """What happens to a path whose replay in the environment differs."""
