"""What the sentences about tree breadth and beta (Table 3, Figure 5) are judged by: the rows of results/grid.csv.

Where this configuration has no grid, that of another speaks, and the verdict says so.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from w2sg.evaluation.measures.episodes import REPORTED
from w2sg.evaluation.measures.grid import GridRow
from w2sg.evaluation.measures.multiplicity import holm
from w2sg.evaluation.measures.statistics import Interval
from w2sg.evaluation.measures.wording import points
from w2sg.evaluation.paper import paper
from w2sg.evaluation.paper.verdicts import Direction, Evidence, Measured, Test


def higher_beta_is_worse(measured: Measured) -> list[Evidence]:
    """Table 3: w2s_dpo at the greatest beta against the grid's own, on ScienceWorld."""
    rows = _reported(measured, "scienceworld", "w2s_dpo")
    by_breadth = [[row for row in rows if row.breadth == breadth] for breadth in {row.breadth for row in rows}]
    line = max(by_breadth, key=len, default=[])
    if len(line) < 2:
        return [Evidence("scienceworld: no grid over dpo.beta was run (make grid)", "missing")]
    top = max(line, key=lambda row: row.beta)
    value = Interval(top.difference, top.difference_low, top.difference_high)
    speaks: Direction = "undecided"
    if not value.low <= 0 <= value.high and top.p_value <= measured.level:
        speaks = "for" if value.high < 0 else "against"
    text = f"scienceworld: beta {top.beta:g} against the configuration's {points(value)} on {top.tasks} tasks"
    return [_of_grid(measured, text, speaks, top.p_value if speaks != "undecided" else 1.0)]


def rises_then_falls(environments: Sequence[str] = paper.ENVIRONMENTS) -> Test:
    """Figure 5: w2s_mcts rises with tree breadth up to some, and falls after it.

    For: a smaller and a larger breadth are both below the best. Against: the best is the largest and a smaller one
    below it, or the smallest and a larger one below it.
    """
    return _over_breadth(environments, _peak)


def falls_after(breadth: int, environments: Sequence[str]) -> Test:
    """Figure 5: w2s_mcts falls where more than so many trajectories make a tree.

    For: the best breadth is not above it, and one above it is below the best. Against: the best is above it, and one
    that is not lies below the best.
    """

    def judge(best: int, below: dict[int, float]) -> tuple[Direction, float]:
        late = best > breadth
        return ("against" if late else "for"), min((p for b, p in below.items() if (b > breadth) != late), default=1.0)

    return _over_breadth(environments, lambda best, below, _: judge(best, below))


def _peak(best: int, below: dict[int, float], breadths: Sequence[int]) -> tuple[Direction, float]:
    before = min((p for breadth, p in below.items() if breadth < best), default=1.0)
    after = min((p for breadth, p in below.items() if breadth > best), default=1.0)
    if best in (breadths[0], breadths[-1]):
        return "against", min(before, after)
    return "for", max(before, after)


Shape = Callable[[int, dict[int, float], Sequence[int]], tuple[Direction, float]]


def _over_breadth(environments: Sequence[str], shape: Shape) -> Test:
    """Every breadth against the best, paired task by task.

    Which is the best is seen only afterwards, so Holm's correction counts all pairs of breadths.
    """

    def test(measured: Measured) -> list[Evidence]:
        evidence = []
        for environment in environments:
            rows = _reported(measured, environment, "w2s_mcts")
            betas = Counter(row.beta for row in rows)
            line = [row for row in rows if row.beta == max(betas, key=lambda beta: (betas[beta], -beta))]
            line.sort(key=lambda row: row.breadth)
            if len(line) < 3:
                evidence.append(Evidence(f"{environment}: no grid over tree.breadth was run (make grid)", "missing"))
                continue
            best = max(line, key=lambda row: row.average_reward)
            others = [row for row in line if row is not best]
            known = [row for row in others if row.from_best_p is not None]
            tested = [row.from_best_p if (row.from_best_high or 0.0) < 0 else 1.0 for row in known]
            pairs = len(line) * (len(line) - 1) // 2
            adjusted = holm([p or 0.0 for p in tested], hypotheses=pairs)
            below = {row.breadth: p for row, p in zip(known, adjusted, strict=True)}
            speaks, p_value = shape(best.breadth, below, [row.breadth for row in line])
            if p_value > measured.level:
                speaks, p_value = "undecided", 1.0
            text = f"{environment}: {', '.join(f'{row.breadth}: {100 * row.average_reward:.1f}' for row in line)}"
            text += f"; best at {best.breadth}{_below(known, below)}"
            if len(known) < len(others):
                text += f"; {len(others) - len(known)} of {len(others)} pairs with the best are not in this grid"
            evidence.append(_of_grid(measured, text, speaks, p_value))
        return evidence

    return test


def _below(known: Sequence[GridRow], adjusted: dict[int, float]) -> str:
    """The breadths whose interval lies below the best, each with its corrected p-value."""
    shown = []
    for row in known:
        value = Interval(row.from_best or 0.0, row.from_best_low or 0.0, row.from_best_high or 0.0)
        if value.high < 0:
            shown.append(f"{row.breadth} {points(value)}, p {adjusted[row.breadth]:.2g}")
    return f"; below it, corrected: {'; '.join(shown)}" if shown else "; none shown to be below it"


def _of_grid(measured: Measured, text: str, speaks: Direction, p_value: float) -> Evidence:
    remark = "by a grid of another configuration" if measured.grid_of_another else ""
    if remark:
        text += f" (configuration {measured.grid_of_another})"
    return Evidence(text, speaks, p_value, remark=remark)


def _reported(measured: Measured, environment: str, model: str) -> list[GridRow]:
    """Rows on the reported split."""
    wanted = environment, model, REPORTED
    return [row for row in measured.grid if (row.environment, row.model, row.split) == wanted]
