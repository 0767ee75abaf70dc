"""What the report works out once and shows in several places."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from w2sg.evaluation.measures import (
    comparisons,
    complement,
    explorations,
    learning,
    metrics,
    models,
    regime,
    shares,
    tree_gain,
)
from w2sg.evaluation.measures.comparisons import Comparison, TableCell
from w2sg.evaluation.measures.complement import Complement
from w2sg.evaluation.measures.episodes import REPORTED, GroupedEpisodes
from w2sg.evaluation.measures.learning import Learning
from w2sg.evaluation.measures.metrics import Table1Row
from w2sg.evaluation.measures.regime import RegimeCell
from w2sg.evaluation.measures.shares import Recovered
from w2sg.evaluation.measures.theorem_readings import Reading, readings
from w2sg.evaluation.measures.tree_gain import GainPoint
from w2sg.evaluation.paper import claims
from w2sg.evaluation.paper.verdicts import JudgedClaim, Measured
from w2sg.evaluation.report import tables
from w2sg.evaluation.report.inputs import ReportInputs
from w2sg.evaluation.report.table import Table


@dataclass(frozen=True, slots=True)
class Results:
    """Every measure of a run.

    Attributes:
        episodes: grouped once for all of them.
        table1: by seed; `cells` over all seeds, with intervals.
        binary: environments whose rewards are 0 or 1.
        served: stages that a server played.
        task_counts: by environment and split.
    """

    episodes: GroupedEpisodes
    table1: Sequence[Table1Row]
    cells: Sequence[TableCell]
    learning: Sequence[Learning]
    compared: Sequence[Comparison]
    recovered: Sequence[Recovered]
    complements: Sequence[Complement]
    regime: Sequence[RegimeCell]
    judged: Sequence[JudgedClaim]
    theorem: Sequence[Reading]
    points: Sequence[GainPoint]
    binary: Sequence[str]
    served: Sequence[str]
    task_counts: Mapping[str, Mapping[str, int]]


def work_out(inputs: ReportInputs) -> Results:
    """All measures of what was gathered.

    Raises:
        UserError: there are no episodes, or models were not evaluated on the same tasks (`metrics.check`).
    """
    episodes, resampling = GroupedEpisodes(inputs.episodes), inputs.resampling
    table1 = metrics.table1(episodes)
    origins = models.origins(inputs.params)
    compared = comparisons.comparisons(episodes, resampling=resampling, origins=origins)
    recovered = shares.recovered(episodes, resampling=resampling)
    repeats = comparisons.repeats(episodes, resampling=resampling)
    counts: dict[str, Counter[str]] = {}
    for task in inputs.tasks:
        counts.setdefault(task.environment, Counter())[task.split] += 1
    measured = Measured(
        compared=[c for c in compared if c.split == REPORTED],
        recovered=[r for r in recovered if r.split == REPORTED],
        grid=inputs.grid or inputs.grid_of_another,
        grid_of_another="" if inputs.grid or not inputs.grid_of_another else inputs.grid_of_another[0].configuration,
        repeats=[c for c in repeats if c.split == REPORTED],
        tasks=counts,
        origins=origins,
        updates=_updates(inputs),
        level=resampling.level,
    )
    return Results(
        episodes=episodes,
        table1=table1,
        cells=comparisons.table_cells(episodes, resampling=resampling),
        learning=learning.learning(episodes, experts=inputs.experts, spreads=inputs.spreads, resampling=resampling),
        compared=compared,
        recovered=recovered,
        complements=complement.complements(episodes, inputs.attempts, resampling=resampling),
        regime=regime.regime_cells(episodes, inputs.attempts, resampling=resampling),
        judged=claims.judge(measured),
        theorem=readings(inputs.theorem, episodes),
        points=tree_gain.points(
            {(each.environment, each.seed): explorations.row(each) for each in inputs.explorations},
            episodes,
            inputs.grid,
            breadth=inputs.params["tree"]["breadth"],
            beta=inputs.params["dpo"]["beta"],
        ),
        binary=[environment for environment in episodes.environments if episodes.binary(environment)],
        served=[stage for stage in ("explore", "evaluate") if inputs.params[stage]["backend"]],
        task_counts=counts,
    )


def _updates(inputs: ReportInputs) -> dict[tuple[str, str], int]:
    """Updates of every model, all seeds together, by environment and name."""
    updates: Counter[tuple[str, str]] = Counter()
    for curve in inputs.curves:
        updates[curve.name, curve.model] += int(curve.rows[-1]["step"]) if curve.rows else 0
    return updates


def other_tables(inputs: ReportInputs, results: Results) -> dict[str, Table]:
    """The tables beside Table 1, by name."""
    found = {
        "regime": tables.regime_table(results.regime),
        "recovered": tables.recovered_table(results.recovered),
        "complement": tables.complement_table(results.complements),
    }
    if inputs.supervision:
        found["supervision"] = tables.supervision_table(inputs.supervision)
    return found | {
        "table2": tables.table2(),
        "table3": tables.table3(inputs.grid, results.cells),
        "table4": tables.table4(results.task_counts),
    }
