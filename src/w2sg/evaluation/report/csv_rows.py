"""How measures become lines of CSV: rewards and rates as fractions."""

from math import inf
from typing import Any

from w2sg.evaluation.measures.comparisons import OURS, Comparison
from w2sg.evaluation.measures.complement import Complement
from w2sg.evaluation.measures.csv_files import of_interval
from w2sg.evaluation.measures.learning import Learning
from w2sg.evaluation.measures.regime import RegimeCell
from w2sg.evaluation.measures.shares import Recovered
from w2sg.evaluation.measures.theorem_readings import Reading
from w2sg.evaluation.measures.tree_gain import GainPoint


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
        **of_interval("difference", result.difference),
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
        **of_interval("relative", relative, prefix="relative_"),
        "verdict": found.verdict,
        "holds": found.holds,
        "equivalent": found.equivalent,
    }


def recovered(found: Recovered) -> dict[str, Any]:
    """A line of recovered.csv."""
    return {
        "environment": found.environment,
        "split": found.split,
        "model": found.model,
        "share": found.name,
        "tasks": found.tasks,
        **of_interval("value", found.result.value),
        "denominator": f"{found.end} - {found.start}",
        **of_interval("denominator_value", found.result.denominator, prefix="denominator_"),
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
        **of_interval("above_base", gain, prefix="above_base_"),
        **of_interval("strong_above", room, prefix="strong_above_"),
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
            **of_interval("share", share),
        }
        for outcome, share in found.shares.items()
    ]


def regime_cell(found: RegimeCell) -> dict[str, Any]:
    """A line of regime.csv; bounds and values as fractions."""
    criterion = found.criterion
    return {
        "environment": found.environment,
        "criterion": criterion.letter,
        "what": criterion.words,
        "least": criterion.least,
        "most": criterion.most if criterion.most < inf else None,
        "tasks": found.tasks,
        **of_interval("value", found.value),
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
