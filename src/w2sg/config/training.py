"""Sections about training: bases from scratch, SFT, preference methods, imitation, and what they are made of."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from w2sg.config.fields import Count, NotNegative, Positive, Section, Share, distinct


class Optimization(Section):
    """How one model is trained: AdamW, whose first beta is 0.9, gradients clipped at a norm of 1."""

    epochs: Positive
    """Passes over the data; a part of one too."""
    batch: Count
    """Sequences of one update."""
    micro_tokens: Count | None
    """Most tokens of one forward pass, as padded (pairs: as packed); a batch with more goes in parts; null: whole."""
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)]
    """The highest, after warming up."""
    schedule: Literal["cosine", "constant_with_warmup"]
    """How the learning rate goes on after warming up."""
    warmup: Share
    """Share of all updates in which the learning rate rises, from 0 in the first (as transformers has it)."""
    weight_decay: NotNegative
    """Of AdamW."""
    adam_beta2: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Second beta of AdamW."""
    precision: Literal["auto", "bf16", "fp32"]
    """`auto`: bf16 where the machine computes in it natively, else fp32."""


class Copying(Section):
    """Copying of random tokens, before a base trained from scratch reads any play (training/copying.py)."""

    sequences: Count
    """Random sequences, each said and repeated once."""
    shortest: Annotated[int, Field(ge=2, le=500_000)]
    """Tokens of the shortest sequence."""
    longest: Annotated[int, Field(ge=2, le=500_000)]
    """Tokens of the longest sequence."""
    optimization: Optimization
    """How it is trained."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(f"shortest ({self.shortest}) must be at most longest ({self.longest})")
        return self


class PretrainRole(Section):
    """How one base is trained from scratch: copying first, then language modelling of play."""

    copying: Copying | None
    """Copying of random tokens first; null leaves it out."""
    play: Optimization
    """Language modelling of play."""


class Pretrain(Section):
    """Training of the bases from scratch, one setting per role; a published model is not pretrained."""

    weak: PretrainRole
    """The weak base."""
    strong: PretrainRole
    """The strong base."""


ALL_LINEAR = "all-linear"
"""The target that stands for every linear module but the head, in PEFT too."""
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear modules of a model from scratch, which is a LLaMA."""


class Lora(Section):
    """Low-rank adaptation of the attention projections (section 4.1; A14)."""

    r: Annotated[int, Field(ge=1, le=65_536)]
    """Rank of the adapters."""
    alpha: Count
    """Scale: the adapters count alpha / r."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    """Share of the adapters' inputs that is dropped in training."""
    targets: tuple[str, ...] = Field(min_length=1)
    """Names of the adapted projections; `all-linear`, alone, takes every linear module but the head."""

    @field_validator("targets")
    @classmethod
    def _all_or_named(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        if ALL_LINEAR in targets and len(targets) > 1:
            raise ValueError(f"{ALL_LINEAR} stands alone; leave out the others or it")
        return distinct(targets)

    @property
    def all_linear(self) -> bool:
        """Whether every linear module but the head is adapted."""
        return self.targets == (ALL_LINEAR,)


class Sft(Section):
    """Supervised fine-tuning on expert demonstrations (eq. 4)."""

    optimization: Optimization | None
    """How both models are trained; null: the bases are agents already, and count as SFT models as they are."""
    lora: Lora | None
    """Adapters; null trains all weights."""


class Reference(Section):
    """Scoring of conversations under a fixed model, in the reference and theorem stages."""

    batch: Count
    """Sequences scored at once."""


class Dpo(Section):
    """TreeDPO (eq. 6) and its siblings."""

    beta: NotNegative
    """Strength of the tie to the reference; 0, with a likelihood, learns from the chosen sides alone."""
    eq6: Literal["dpo", "literal"]
    """`dpo`: the sigmoid loss of DPO; `literal` adds the KL term of eq. 6 to it (A8)."""
    likelihood: NotNegative
    """Weight of the negative log-likelihood per token of the chosen side's scored turns, added to the loss (RPO)."""
    optimization: Optimization
    """How every preference method is trained."""
    lora: Lora | None
    """Adapters; null trains all weights."""


class Imitation(Section):
    """Training of every imitation method (eq. 8)."""

    confidence: Annotated[float, Field(ge=0.0, lt=1.0)]
    """Weight, in place of as much of eq. 8, of the model's own likeliest tokens (Burns et al.'s confidence loss)."""
    optimization: Optimization
    """How every imitation method is trained."""
    lora: Lora | None
    """Adapters; null trains all weights."""
