"""What all charts share: the sheet they are drawn on, as SVG text, and its colours.

The same numbers give the same bytes. Text and axes are drawn in `currentColor`, so that a chart follows the page it
stands in, light or dark.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
OTHER_LINES = (("#cc79a7", "-"), ("#009e73", "--"), ("#8a6d00", ":"), ("#cc79a7", "-."))
INK = "#010203"  # stands for currentColor until the SVG is written
_GRID = "#80808040"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "w2sg",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
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


@contextmanager
def canvas(
    rows: int, columns: int, *, width: float, height: float
) -> Iterator[tuple["Figure", list["Axes"], StringIO]]:
    """A grid of axes (inches) that is written to the yielded buffer as SVG when the block ends."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a matplotlibrc of the user's must not change the bytes
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
        buffer = StringIO()
        yield figure, axes, buffer
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})


def svg(buffer: StringIO, *, name: str, title: str) -> str:
    """The <svg> element alone, fit to stand beside others in a page: ids begin with `name`, its style stays its own."""
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip().replace(INK, "currentColor")
    text = re.sub(r'(id="|url\(#|href="#)', rf"\1{name}-", text).replace("*{stroke", ".chart *{stroke")
    head, rest = text.split(">", 1)
    return f'{head} class="chart" role="img"><title>{title}</title>{rest}'


def legend(figure: "Figure", axes: Sequence["Axes"], **placing: Any) -> None:
    """One legend for all panels, although a panel may lack some of the entries."""
    found = {name: handle for axis in axes for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(list(found.values()), list(found), **placing)
