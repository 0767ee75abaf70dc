"""The chart of theorem 1's third term (paper, eq. 10)."""

from collections.abc import Sequence
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from w2sg.evaluation.measures.models import environment_label
from w2sg.evaluation.measures.theorem import third_term
from w2sg.evaluation.measures.theorem_readings import Reading
from w2sg.evaluation.paper import paper
from w2sg.evaluation.report.figures.canvas import INK, Chart, environment_colours, line_entry, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def chart(found: Sequence[Reading]) -> Chart:
    """The third term against N_p with C = 1, a line per environment and seed, ours marked; dotted: R(pi*) - R(SFT)."""
    environments = paper.in_order(each.quantities.environment for each in found)
    colours = environment_colours(environments)
    title = "The third term of theorem 1 against the number of pairs"
    legend = [line_entry(environment_label(environment), colours[environment]) for environment in environments]
    one = panel(partial(_terms, found, colours), name="theorem", title=f"{title}, as in the table", width=6.4, height=3)
    return Chart(title, [one], legend)


def _terms(found: Sequence[Reading], colours: dict[str, str], axis: "Axes") -> None:
    most = max(each.quantities.pairs for each in found)
    counts = np.unique(np.geomspace(10, max(1e6, 10 * most), 120).astype(int))
    axis.axhline(1, color=INK, linewidth=1)
    axis.annotate("the whole range of rewards", (counts[-1], 1), (0, 3), textcoords="offset points", ha="right")
    for each in found:
        known, colour = each.quantities, colours[each.quantities.environment]
        values = [third_term(count, kl=known.kl, delta=known.delta) for count in counts]
        axis.plot(counts, values, color=colour, linewidth=1.8)
        axis.plot(known.pairs, each.term, "o", color=colour, markersize=6)
        if each.margin is not None and each.margin > 0:
            axis.axhline(each.margin, color=colour, linewidth=1.2, linestyle=":")
    top = ceil(10 * max(1.1, 1.3 * max(each.term for each in found))) / 10
    axis.set(xscale="log", xlabel="preference pairs N_p", ylabel="third term, C = 1", ylim=(0, top))
    axis.grid()
