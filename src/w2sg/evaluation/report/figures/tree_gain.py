"""The chart of what better trees bring."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from w2sg.evaluation.measures.models import environment_label, label
from w2sg.evaluation.measures.tree_gain import FIGURES, GainPoint, methods
from w2sg.evaluation.paper import paper
from w2sg.evaluation.report.figures.canvas import INK, Chart, dot_entry, environment_colours, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURE = "informative_total"  # of FIGURES


def chart(found: Sequence[GainPoint]) -> Chart:
    """Gain against FIGURE of the trees: a panel per method, a colour per environment; at least one point."""
    environments = paper.in_order(point.environment for point in found)
    colours = environment_colours(environments)
    panels = [
        panel(
            partial(_dots, [point for point in found if method in point.gains], method, colours),
            name=f"tree-gain-{method}",
            title=f"{label(method)}: gain over SFT strong against {FIGURES[FIGURE]}",
            height=2.6,
        )
        for method in methods(found)
    ]
    legend = [dot_entry(environment_label(environment), colours[environment]) for environment in environments]
    return Chart("Gain over SFT strong against the quality of the trees", panels, legend)


def _dots(found: Sequence[GainPoint], method: str, colours: dict[str, str], axis: "Axes") -> None:
    axis.axhline(0, color=INK, linewidth=1)
    for environment in paper.in_order(point.environment for point in found):
        here = [point for point in found if point.environment == environment]
        places = [point.quality[FIGURE] for point in here]
        axis.plot(places, [100 * point.gains[method] for point in here], "o", color=colours[environment], markersize=5)
    axis.set(title=label(method), xlabel=FIGURES[FIGURE], ylabel="gain over SFT strong, points")
    axis.grid()
