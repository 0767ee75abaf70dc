"""How texts made elsewhere become parts of the page."""

import re
from collections.abc import Iterable
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from w2sg.evaluation.measures.comparisons import Comparison
from w2sg.evaluation.measures.models import ENVIRONMENTS
from w2sg.evaluation.report import signs

_IDS = re.compile(rf"\b({'|'.join(ENVIRONMENTS)})\b")
_RANGE = re.compile(r"(.+?) (\[[^\]]*\])(.*)", re.DOTALL)
WIDTH, HEIGHT = 100, 16  # of an interval, pixels


def templates(folder: Path) -> jinja2.Environment:
    """The templates of a folder: all texts escaped, and no name that is not there."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def named(text: str) -> str:
    """With the names by which readers know the environments."""
    return _IDS.sub(lambda found: ENVIRONMENTS[found[0]], text)


def ranged(text: str) -> Markup:
    """A figure with its interval, the interval in the smaller type; other texts as they are."""
    found = _RANGE.fullmatch(text)
    if not found:
        return escape(text)
    return Markup('{}<span class="range"> {}{}</span>').format(*found.groups())


def reach(compared: Iterable[Comparison]) -> float:
    """The scale that intervals are drawn to: the greatest departure from 0 of all but the untouched bases'.

    At least one point; the bases are far below everything, and would squeeze the rest.
    """
    shown = [each.result.difference for each in compared if not each.model.startswith("base_")]
    return max([0.01, *(abs(end) for value in shown for end in (value.low, value.high))])


def interval(comparison: Comparison, reach: float) -> Markup:
    """A difference with its interval as a dot on a line, a triangle where it lies beyond; numbers stand beside it."""
    value, middle = comparison.result.difference, WIDTH / 2
    places = (middle + (middle - 6) * max(-1.0, min(1.0, end / reach)) for end in (value.low, value.mean, value.high))
    low, mean, high = places
    side = 5 if value.mean > 0 else -5
    beyond = f"M{mean + side:.1f} {HEIGHT / 2:g}l{-2 * side} -4v8z"
    dot = f"M{mean - 2.5:.1f} {HEIGHT / 2:g}a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0 -5 0z"
    return Markup(
        '<svg class="interval {}" viewBox="0 0 {} {}" width="{}" height="{}" aria-hidden="true">'
        '<path class="zero" d="M{:g} 0V{}"/><path d="M{:.1f} {:g}H{:.1f}{}"/></svg>'
    ).format(
        signs.of_comparison(comparison).tone,
        *(WIDTH, HEIGHT, WIDTH, HEIGHT),
        *(middle, HEIGHT, low, HEIGHT / 2, high, beyond if abs(value.mean) > reach else dot),
    )
