"""The chart of what better trees bring."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from w2sg.evaluation.measures.models import label
from w2sg.evaluation.measures.tree_gain import FIGURES, GainPoint, methods
from w2sg.evaluation.report.figures.canvas import ENVIRONMENT_COLOURS, INK, canvas, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def chart(found: Sequence[GainPoint], *, figure: str = "informative_total") -> str:
    """Gain against one figure of the trees: a panel per method, a colour per environment; at least one point."""
    environments = list(dict.fromkeys(point.environment for point in found))
    panels = methods(found)
    with canvas(1, len(panels), width=7.4, height=3.1) as (_, axes, buffer):
        for axis, method in zip(axes, panels, strict=True):
            axis.axhline(0, color=INK, linewidth=1)
            for number, environment in enumerate(environments):
                here = [p for p in found if p.environment == environment and method in p.gains]
                _dots(
                    axis,
                    here,
                    method=method,
                    figure=figure,
                    name=environment,
                    colour=ENVIRONMENT_COLOURS[number % len(ENVIRONMENT_COLOURS)],
                )
            axis.set(title=label(method), xlabel=FIGURES[figure])
            axis.grid()
        axes[0].set_ylabel("gain over SFT strong, points")
        axes[0].legend()
    return svg(buffer, name="tree-gain", title="Gain over SFT strong against the quality of the trees")


def _dots(axis: "Axes", here: Sequence[GainPoint], *, method: str, figure: str, name: str, colour: str) -> None:
    places = [point.quality[figure] for point in here]
    axis.plot(places, [100 * point.gains[method] for point in here], "o", color=colour, markersize=5, label=name)
