"""The chart of theorem 1's third term (paper, eq. 10)."""

from collections.abc import Sequence
from itertools import cycle
from math import ceil

import numpy as np

from w2sg.evaluation.measures.theorem import Reading, third_term
from w2sg.evaluation.report.figures.canvas import ENVIRONMENT_COLOURS, INK, canvas, svg


def chart(found: Sequence[Reading]) -> str:
    """The third term against N_p with C = 1, a line per environment and seed, ours marked; dotted: R(pi*) - R(SFT)."""
    environments = list(dict.fromkeys(each.quantities.environment for each in found))
    colours = dict(zip(environments, cycle(ENVIRONMENT_COLOURS), strict=False))
    most = max(each.quantities.pairs for each in found)
    counts = np.unique(np.geomspace(10, max(1e6, 10 * most), 120).astype(int))
    with canvas(1, 1, width=7.4, height=3.4) as (_, (axis,), buffer):
        axis.axhline(1, color=INK, linewidth=1)
        axis.annotate("the whole range of rewards", (counts[-1], 1), (0, 3), textcoords="offset points", ha="right")
        named = set()
        for each in found:
            known, colour = each.quantities, colours[each.quantities.environment]
            values = [third_term(count, kl=known.kl, delta=known.delta) for count in counts]
            label = None if known.environment in named else known.environment
            named.add(known.environment)
            axis.plot(counts, values, color=colour, linewidth=1.8, label=label)
            axis.plot(known.pairs, each.term, "o", color=colour, markersize=6)
            if each.margin is not None and each.margin > 0:
                axis.axhline(each.margin, color=colour, linewidth=1.2, linestyle=":")
        top = ceil(10 * max(1.1, 1.3 * max(each.term for each in found))) / 10
        axis.set(xscale="log", xlabel="preference pairs N_p", ylabel="third term, C = 1", ylim=(0, top))
        axis.grid()
        axis.legend()
    return svg(buffer, name="theorem", title="The third term of theorem 1 against the number of pairs")
