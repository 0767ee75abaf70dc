"""What all charts share: panels drawn as SVG, the legend, the sheet that holds both, and the colours.

On the page the panels of a chart stand side by side where there is room and below each other on a phone; as a file
they are one sheet. The same numbers give the same bytes. Text and axes are drawn in `currentColor`, so that a chart
follows the page it stands in, light or dark.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from itertools import cycle, product
from typing import TYPE_CHECKING, Any

from w2sg.evaluation.paper import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette: told apart with every common kind of colour blindness.
SPLIT_COLOURS = {"seen": "#56b4e9", "unseen": "#0072b2", "train": "#cc79a7"}
ENVIRONMENT_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
LINES = {
    "base_weak": ("#999999", ":"),
    "sft_weak": ("#56b4e9", "--"),
    "w2s_dpo": ("#e69f00", "-"),
    "w2s_mcts": ("#d55e00", "-"),
    "base_strong": ("#999999", "-."),
    "sft_strong": ("#0072b2", "--"),
    "ceiling": ("#009e73", "-."),
}
_FIRST = (("#cc79a7", "-"), ("#009e73", "--"), ("#8a6d00", ":"), ("#cc79a7", "-."))
_ALL = product(("-", "--", "-.", ":"), ("#8a6d00", "#009e73", "#56b4e9", "#cc79a7", "#d55e00", "#0072b2", "#e69f00"))
# Every row that the study has beside those above gets a line of its own.
OTHER_LINES = tuple(dict.fromkeys((*_FIRST, *(style[::-1] for style in _ALL if style[::-1] not in LINES.values()))))
INK = "#010203"  # stands for currentColor until the SVG is written
PIXELS = 96  # an inch
GAP, LINE, MARK, CHARACTER = 14, 20, 22, 6.6  # of a sheet, pixels
_FONT = 'font-family="sans-serif" font-size="12" fill="currentColor"'
_DASHES = {"-": "none", "--": "7 3", ":": "2 2", "-.": "7 2 2 2"}
_GRID = "#80808040"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "w2sg",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing: an <svg> element that says in words what it shows, and its size in pixels."""

    svg: str
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a legend: a mark, SVG of MARK x 10 pixels, and what it stands for."""

    mark: str
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure of one or several panels with one legend.

    Attributes:
        title: what it shows, in words.
        across: how many panels stand side by side on the sheet.
    """

    title: str
    panels: Sequence[Panel]
    legend: Sequence[Entry] = ()
    across: int = 3

    def sheet(self) -> str:
        """Everything as one <svg> element, the legend above the panels."""
        rows = [self.panels[first : first + self.across] for first in range(0, len(self.panels), self.across)]
        width = max(sum(panel.width + GAP for panel in row) - GAP for row in rows)
        lines, height = self._legend(width)
        for row in rows:
            left = 0.0
            for panel in row:
                lines.append(panel.svg.replace("<svg ", f'<svg x="{left:g}" y="{height:g}" ', 1))
                left += panel.width + GAP
            height += max(panel.height for panel in row) + GAP
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
            f'viewBox="0 0 {width:g} {height:g}" role="img"><title>{escape(self.title)}</title>'
        )
        return "\n".join([head, *lines, "</svg>"])

    def _legend(self, width: float) -> tuple[list[str], float]:
        """Entries in lines of that width, and how high they are."""
        lines, left, top = [], 0.0, 0.0
        for entry in self.legend:
            wide = MARK + 6 + CHARACTER * len(entry.label) + GAP
            if left and left + wide > width:
                left, top = 0.0, top + LINE
            text = f'<text x="{MARK + 6}" y="9" {_FONT}>{escape(entry.label)}</text>'
            lines.append(f'<g transform="translate({left:g} {top + 5:g})">{entry.mark}{text}</g>')
            left += wide
        return lines, top + LINE + 4 if self.legend else 0.0


def panel(draw: Callable[["Axes"], None], *, name: str, title: str, width: float = 3.2, height: float = 2.4) -> Panel:
    """What `draw` draws on empty axes.

    Args:
        name: every id begins with it, so that panels can stand in one page.
        title: what it shows, for those who do not see it.
        width, height: inches.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a matplotlibrc of the user's must not change the bytes
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.subplots())
        buffer = StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip().replace(INK, "currentColor")
    text = re.sub(r'(id="|url\(#|href="#)', rf"\1{name}-", text).replace("*{stroke", ".chart *{stroke")
    head, rest = text.split(">", 1)
    (box,) = re.findall(r'viewBox="[^"]*"', head)
    pixels = PIXELS * width, PIXELS * height
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" class="chart" role="img" '
        f'{box} width="{pixels[0]:g}" height="{pixels[1]:g}"><title>{escape(title)}</title>'
    )
    return Panel(head + rest, *pixels)


def named_width(names: Iterable[str]) -> float:
    """Inches that names at the left of an axis take, beside its own width; of too few the axis would get none."""
    return max(map(len, names)) * CHARACTER / PIXELS


def line_entry(label: str, colour: str, dashes: str = "-") -> Entry:
    """Of a line as matplotlib draws it."""
    colour = "currentColor" if colour == INK else colour
    stroke = f'stroke="{colour}" stroke-width="2.4" stroke-dasharray="{_DASHES[dashes]}"'
    return Entry(f'<path d="m 0 5h{MARK}" fill="none" {stroke}/>', label)


def block_entry(label: str, colour: str) -> Entry:
    """Of bars."""
    return Entry(f'<rect width="{MARK}" height="10" rx="2" fill="{colour}"/>', label)


def dot_entry(label: str, colour: str) -> Entry:
    """Of dots."""
    return Entry(f'<circle cx="{MARK / 2:g}" cy="5" r="4.5" fill="{colour}"/>', label)


def environment_colours(environments: Iterable[str]) -> dict[str, str]:
    """A colour for each, the same in all charts: the paper's environments first, then others by name."""
    others = [name for name in paper.in_order(environments) if name not in paper.ENVIRONMENTS]
    return dict(zip([*paper.ENVIRONMENTS, *others], cycle(ENVIRONMENT_COLOURS), strict=False))
