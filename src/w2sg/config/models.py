"""Section `models`: the weak and the strong model, each trained from scratch or a published one."""

from typing import Annotated, Any, Self, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from w2sg.config import packages
from w2sg.config.fields import Section
from w2sg.contracts.errors import named

# A base that begins like this is a folder; one that begins with packages.PREFIX is a package; else an id of the hub.
FOLDER = ("/", "./", "../", "~")


class Pretrained(Section):
    """A published model: one of the hub at a fixed commit, a package of the registry, or a local folder."""

    base: Annotated[str, Field(min_length=1)]
    """Id on the hub (`owner/name`), a package (`pypi:NAME`; `w2sg models`), or a folder (`/…`, `./…`, `../…`, `~…`)."""
    revision: Annotated[str, Field(min_length=1)] | None
    """Commit, tag or branch of a hub model (a branch such as `main` moves), version of a package; null for a folder."""

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        folder = self.base.startswith(FOLDER)
        if self.base.startswith(packages.PREFIX):
            if (package := packages.PACKAGES.get(self.base)) is None:
                known = ", ".join(packages.PACKAGES)
                raise ValueError(f"base {named(self.base)} is no package with a model; those are {known}")
            if self.revision != package.version:
                raise ValueError(
                    f'base {named(self.base)} is known in one version; write revision: "{package.version}"'
                )
        if self.revision is None and not folder:
            raise ValueError(
                f"base {named(self.base)} is a model of the hub; "
                "give the commit in revision (a folder begins with ./ or /)"
            )
        if self.revision is not None and folder:
            raise ValueError(f"base {named(self.base)} is a folder, which has no revision; set null")
        return self


class FromScratch(Section):
    """The sizes of a LLaMA-shaped model that is trained from scratch on play."""

    hidden: Annotated[int, Field(ge=1, le=65_536)]
    """Width of the residual stream; an even multiple of `heads`."""
    layers: Annotated[int, Field(ge=1, le=1_000)]
    """Transformer blocks."""
    heads: Annotated[int, Field(ge=1, le=1_000)]
    """Attention heads of a block."""
    feedforward: Annotated[int, Field(ge=1, le=262_144)]
    """Inner width of the feed-forward part of a block."""

    @model_validator(mode="after")
    def _heads_divide_hidden(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"hidden ({self.hidden}) must be a multiple of heads ({self.heads})")
        if (self.hidden // self.heads) % 2:
            raise ValueError(f"hidden / heads ({self.hidden // self.heads}) must be even (rotary embeddings)")
        return self


# Pydantic puts the name of the kind into the place of an error, where it is no key.
KINDS = (Pretrained.__name__, FromScratch.__name__)
_EITHER = " or ".join(f"{{{', '.join(kind.model_fields)}}}" for kind in (Pretrained, FromScratch))


def _given(value: Any) -> list[str]:
    """The kinds of which a mapping has a key."""
    kinds = (Pretrained, FromScratch) if isinstance(value, dict) else ()
    return [kind.__name__ for kind in kinds if not kind.model_fields.keys().isdisjoint(value)]


def _kind(value: Any) -> str:
    return KINDS[0] if isinstance(value, Pretrained) or KINDS[0] in _given(value) else KINDS[1]


def _one_kind(value: Any) -> Any:
    given = _given(value)
    if len(given) > 1:
        raise ValueError(f"has a base and sizes; give either {_EITHER}")
    if isinstance(value, dict) and not given:
        raise ValueError(f"has neither a base nor sizes; give either {_EITHER}")
    return value


Model: TypeAlias = Annotated[
    Annotated[Pretrained, Tag(KINDS[0])] | Annotated[FromScratch, Tag(KINDS[1])],
    Discriminator(_kind),
    BeforeValidator(_one_kind),
]


class Models(Section):
    """The weak and the strong model (section 4.1) and what models trained from scratch share.

    A model is either sizes, trained from scratch, or a published one. With two published models `vocabulary`, and the
    sections `play` and `pretrain`, concern nothing, but must be there: the stage table names them.
    """

    vocabulary: Annotated[int, Field(ge=300, le=1_000_000)]
    """Tokens of the tokenizer that models trained from scratch share, at most."""
    context: Annotated[int, Field(ge=128, le=1_000_000)]
    """Longest conversation, in tokens, of models trained from scratch."""
    weak: Model
    """The model whose exploration supervises."""
    strong: Model
    """The model that is to be improved."""
