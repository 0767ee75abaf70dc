"""What another seed changes: scores seed by seed."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from w2sg.evaluation.measures.episodes import REPORTED
from w2sg.evaluation.measures.metrics import Table1Row
from w2sg.evaluation.measures.models import in_table_order, label
from w2sg.evaluation.measures.study import Study
from w2sg.evaluation.paper import paper
from w2sg.evaluation.report.table import NO, Table


def by_seed(rows: Sequence[Table1Row]) -> Table:
    """The task score of every method under every seed, on the reported split."""
    shown = {(row.model, row.environment, row.seed): row for row in rows if row.split == REPORTED}
    columns = [
        (environment, seed)
        for environment in paper.in_order(environment for _, environment, _ in shown)
        for seed in sorted({seed for _, where, seed in shown if where == environment})
    ]
    lines = []
    for model in in_table_order(model for model, _, _ in shown):
        found = [shown.get((model, *column)) for column in columns]
        lines.append([label(model), *(f"{100 * row.average_reward:.1f}" if row else NO for row in found)])
    head = ["method", *(f"{environment}: {seed}" for environment, seed in columns)]
    return Table("Seed by seed", "Task score under each training seed, on unseen tasks.", head, lines)


def study_table(rows: Sequence[Table1Row], study: Study, params: Mapping[str, Any]) -> Table:
    """A run's task scores beside the means and ranges of a study, for the methods and environments of both.

    Args:
        rows: the run's, of one seed.
        params: the run's, which say in what the study differs.
    """
    own, others = _scores(rows), _scores(study.rows)
    both = [key for key in own if key in others]
    environments = paper.in_order(environment for _, environment in both)
    lines = []
    for model in in_table_order(model for model, _ in both):
        line = [label(model)]
        for environment in environments:
            key = (model, environment)
            line += [_mean(own.get(key)), _mean(others.get(key)), _range(others.get(key))] if key in both else [NO] * 3
        lines.append(line)
    differing = study.differing(params)
    settings = f"other settings than this run's ({', '.join(differing)})" if differing else "this run's settings"
    note = (
        f"Task scores of this run's one seed, and of the {len(study.seeds)} training seeds of the study in docs/study, "
        f"which had {settings}: the means and the least and greatest of the seeds. How far the seeds of one method lie "
        "apart is what another seed may change here."
    )
    columns = ("this run", "study", "from to")
    head = ["method", *(f"{environment}: {name}" for environment in environments for name in columns)]
    return Table("Beside other seeds", note, head, lines)


def _scores(rows: Sequence[Table1Row]) -> dict[tuple[str, str], list[float]]:
    """Mean rewards of all seeds on the reported split, by model and environment."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row.split == REPORTED:
            found.setdefault((row.model, row.environment), []).append(row.average_reward)
    return found


def _mean(scores: Sequence[float] | None) -> str:
    return f"{100 * fmean(scores):.1f}" if scores else NO


def _range(scores: Sequence[float] | None) -> str:
    return f"{100 * min(scores):.1f} to {100 * max(scores):.1f}" if scores else NO
