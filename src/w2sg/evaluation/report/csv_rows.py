"""How comparisons and shares become lines of CSV: rewards and rates as fractions, six significant digits."""

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from w2sg.evaluation.measures.claims import Comparison, Recovered

DIGITS = 6  # significant ones


def comparison(found: Comparison) -> dict[str, Any]:
    """A line of comparisons.csv."""
    result = found.result
    relative = found.relative.value if found.relative else None
    return {
        "environment": found.environment,
        "split": found.split,
        "measure": found.measure,
        "model": found.model,
        "baseline": found.baseline,
        "tasks": result.tasks,
        "difference": result.difference.mean,
        "low": result.difference.low,
        "high": result.difference.high,
        "wins": result.wins,
        "losses": result.losses,
        "p_value": result.p_value,
        "test": result.test,
        "seeds": result.seeds,
        "seeds_won": result.seeds_won,
        "smallest_detectable": result.detectable,
        "relative": relative.mean if relative else None,
        "relative_low": relative.low if relative else None,
        "relative_high": relative.high if relative else None,
        "verdict": found.verdict,
    }


def recovered(found: Recovered) -> dict[str, Any]:
    """A line of recovered.csv."""
    value, denominator = found.result.value, found.result.denominator
    return {
        "environment": found.environment,
        "split": found.split,
        "model": found.model,
        "share": found.name,
        "tasks": found.tasks,
        "value": value.mean if value else None,
        "low": value.low if value else None,
        "high": value.high if value else None,
        "denominator": f"ceiling - {found.baseline}",
        "denominator_value": denominator.mean,
        "denominator_low": denominator.low,
        "denominator_high": denominator.high,
    }


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV, columns in the order of their first use: floats to six digits, None empty, a missing count 0."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    written = StringIO()
    writer = csv.DictWriter(written, columns, restval=0, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: float(f"{v:.{DIGITS}g}") if isinstance(v, float) else v for name, v in row.items()})
    return written.getvalue()
