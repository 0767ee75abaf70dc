"""How measures become lines of CSV: rewards and rates as fractions, six significant digits."""

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from math import inf
from typing import Any

from w2sg.evaluation.measures.comparisons import OURS, Comparison
from w2sg.evaluation.measures.complement import Complement
from w2sg.evaluation.measures.learning import Learning
from w2sg.evaluation.measures.regime import Standing
from w2sg.evaluation.measures.shares import Recovered
from w2sg.evaluation.measures.theorem_readings import Reading
from w2sg.evaluation.measures.tree_gain import GainPoint

DIGITS = 6  # significant ones


def comparison(found: Comparison) -> dict[str, Any]:
    """A line of comparisons.csv."""
    result = found.result
    relative = found.relative.value if found.relative else None
    mixed = result.mixed if result.seeds > 1 else None
    mixed_low, mixed_high = mixed.bounds(1 - found.level) if mixed else (None, None)
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
        "mixed_low": mixed_low,
        "mixed_high": mixed_high,
        "mixed_df": mixed.df if mixed else None,
        "mixed_p": mixed.p_value if mixed else None,
        "family": found.family,
        "adjusted_p": found.adjusted,
        "smallest_detectable": result.detectable,
        "relative": relative.mean if relative else None,
        "relative_low": relative.low if relative else None,
        "relative_high": relative.high if relative else None,
        "verdict": found.verdict,
        "holds": found.holds,
        "equivalent": found.equivalent,
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
        "denominator": f"{found.end} - {found.start}",
        "denominator_value": denominator.mean,
        "denominator_low": denominator.low,
        "denominator_high": denominator.high,
    }


def learning(each: Learning) -> dict[str, Any]:
    """A line of learning.csv; rewards and differences as fractions."""
    gain = each.gain.result.difference if each.gain else None
    room = each.room.result.difference if each.room else None
    return {
        "environment": each.environment,
        "split": each.split,
        "expert": each.expert,
        "sft_weak": each.weak,
        "of_expert": each.of_expert,
        "above_base": gain.mean if gain else None,
        "above_base_low": gain.low if gain else None,
        "above_base_high": gain.high if gain else None,
        "strong_above": room.mean if room else None,
        "strong_above_low": room.low if room else None,
        "strong_above_high": room.high if room else None,
        "apart": each.apart,
        "failed": "; ".join(each.failed),
    }


def complement(found: Complement) -> list[dict[str, Any]]:
    """Lines of complement.csv, one an outcome."""
    return [
        {
            "environment": found.environment,
            "split": found.split,
            "weak": found.weak,
            "strong": found.strong,
            "tasks": found.tasks,
            "seeds": found.seeds,
            "solved_by": outcome,
            "share": share.mean,
            "low": share.low,
            "high": share.high,
        }
        for outcome, share in found.shares.items()
    ]


def standing(found: Standing) -> dict[str, Any]:
    """A line of regime.csv; bounds and values as fractions."""
    value, criterion = found.value, found.criterion
    return {
        "environment": found.environment,
        "criterion": criterion.letter,
        "what": criterion.words,
        "least": criterion.least,
        "most": criterion.most if criterion.most < inf else None,
        "tasks": found.tasks,
        "value": value.mean if value else None,
        "low": value.low if value else None,
        "high": value.high if value else None,
        "verdict": found.verdict,
    }


def theorem(reading: Reading) -> dict[str, Any]:
    """A line of theorem.csv."""
    each = reading.quantities
    return {
        "environment": each.environment,
        "seed": each.seed,
        "method": each.method,
        "superior": each.superior,
        "reference": each.reference,
        "pairs": each.pairs,
        "pair_tasks": each.pair_tasks,
        "kl": each.kl,
        "kl_error": each.kl_error,
        "trajectories": each.trajectories,
        "turns": each.turns,
        "delta": each.delta,
        "third_term": reading.term,
        "margin": reading.margin,
        "gain": reading.gain,
        "largest_constant": reading.largest_constant,
        "pairs_needed": reading.pairs_needed,
        "ranked_superior": each.ranked.get(each.superior),
        "ranked_method": each.ranked.get(each.method),
        "successful": each.successful,
        "mean_score": each.mean_score,
    }


def tree_gain(point: GainPoint) -> dict[str, Any]:
    """A line of tree_gain.csv."""
    return {
        "environment": point.environment,
        "seed": point.seed,
        "condition": point.condition,
        **point.quality,
        **{f"gain_{method}": point.gains.get(method) for method in OURS},
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
