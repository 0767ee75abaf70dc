"""Sections about judging: evaluation, Theorem 1, the report."""

from typing import Annotated

from pydantic import Field

from w2sg.config.fields import Count, Section, Temperature, TopP
from w2sg.config.rosters import MethodName
from w2sg.config.serving import Backend


class Evaluate(Section):
    """Evaluation of every model on the last tasks of each split.

    So a choice that was made on some tasks is judged on others after `environments.NAME.tasks` is raised.
    """

    seen: Count
    """Tasks of the seen split, the last ones."""
    unseen: Count
    """Tasks of the unseen split, the last ones."""
    temperature: Temperature
    """Of the softmax; 0 is greedy."""
    top_p: TopP
    """Nucleus: the most probable tokens that together have this share."""
    cohort: Count
    """Episodes that are played side by side."""
    backend: Backend | None
    """A server that plays, as in exploration; Theorem 1's samples are always drawn here."""


class Theorem(Section):
    """Theorem 1 as a diagnostic (docs/theorem.md)."""

    method: MethodName
    """The TreeDPO policy of eq. 10, of the preference roster."""
    superior: MethodName
    """The method that stands in for pi*."""
    tasks: Annotated[int, Field(ge=2, le=10_000_000)]
    """Held-out tasks at most on which pi* is sampled for KL(pi* || pi_w), the unseen first."""
    delta: Annotated[float, Field(gt=0.0, lt=1.0)]
    """delta_0, the probability that the bound may fail with."""


class Report(Section):
    """Statistics of the tables."""

    resamples: Annotated[int, Field(ge=100, le=1_000_000)]
    """Resamples of the bootstrap."""
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)]
    """Of every interval."""
