"""What exploration gave to learn from: quality of the trees (section 3.2), pairs and paths, by environment and seed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from w2sg.contracts.pairs import Pair
from w2sg.contracts.paths import DemonstrationPath


@dataclass(frozen=True, slots=True)
class Exploration:
    """What one environment and seed gave to learn from.

    Attributes:
        quality: of its trees, as `trees.quality.summarize` returns it; `by_policy` the same for equally many samples of
            each policy that explored, empty with one.
        pairs: N_p by kind of preference pair.
        paths: number of demonstration paths by kind, and of those certified by replay and recombined from samples.
    """

    environment: str
    seed: int
    quality: Mapping[str, Any]
    pairs: Mapping[str, int]
    paths: Mapping[str, int]
    certified: Mapping[str, int]
    recombined: Mapping[str, int]
    by_policy: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def count(
        cls,
        environment: str,
        *,
        seed: int,
        quality: Mapping[str, Any],
        by_policy: Mapping[str, Mapping[str, Any]] | None = None,
        pairs: Iterable[Pair],
        paths: Sequence[DemonstrationPath],
    ) -> "Exploration":
        """Count pairs and paths of all kinds."""
        return cls(
            environment=environment,
            seed=seed,
            quality=quality,
            pairs=Counter(pair.kind for pair in pairs),
            paths=Counter(path.kind for path in paths),
            certified=Counter(path.kind for path in paths if path.certified),
            recombined=Counter(path.kind for path in paths if path.source_sample < 0),
            by_policy=by_policy or {},
        )


def row(exploration: Exploration) -> dict[str, Any]:
    """One line of tree_quality.csv with what was learnt from it."""
    quality = exploration.quality
    mean, total, mixed, tasks = quality["mean"], quality["total"], quality["mixed"], quality["tasks"]
    counts = {f"pairs_{kind}": number for kind, number in sorted(exploration.pairs.items())}
    for kind, number in sorted(exploration.paths.items()):
        counts[f"paths_{kind}"] = number
        counts[f"certified_{kind}"] = exploration.certified.get(kind, 0)
        counts[f"recombined_{kind}"] = exploration.recombined.get(kind, 0)
    return {
        "environment": exploration.environment,
        "seed": exploration.seed,
        "tasks": tasks,
        "samples_per_task": mean["samples"],
        "mixed_share": mixed["tasks"] / tasks if tasks else 0.0,
        "informative_per_mixed_task": mixed["informative_mean"],
        "informative_total": total["informative"],
        "branchings_total": total["branchings"],
        "branchings_possible": total["branchings_possible"],
        "branching_factor": mean["branching_factor"],
        "terminals": mean["terminals"],
        "depth_mean": mean["depth_mean"],
        "depth_max": mean["depth_max"],
        "nodes": mean["nodes"],
        "merge_rate": mean["merge_rate"],
        "mean_score": mean["mean_score"],
        "best_score": mean["best_score"],
        **counts,
    }
