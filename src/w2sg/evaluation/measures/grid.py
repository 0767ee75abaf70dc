"""Grids over tree.breadth and dpo.beta (Table 3, Figure 5): results/grid.csv, which `make grid` writes.

A row is one model at one point, over all seeds. Points belong to a configuration, which is all of params.yaml but the
two parameters and what cannot change MODELS' training: the report's tables and figures show only those of its own.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures import csv_files, statistics
from w2sg.evaluation.measures.episodes import BySeed, GroupedEpisodes
from w2sg.evaluation.measures.scores import average_reward
from w2sg.evaluation.measures.statistics import Interval, Resampling

MODELS = ("w2s_dpo", "w2s_mcts")
ROSTERS = ("preference", "imitation")
TRAINING = ("dpo", "mcts", "imitate")  # sections that nothing but methods has; trees' quality has `pairs`, too
AGAIN = "`git checkout results/grid.csv`, or make grid"


@dataclass(frozen=True, slots=True)
class GridRow:
    """One model at one point of the grid, on one split; fractions, not points.

    Attributes:
        configuration: `configuration` of the parameters.
        average_reward, low, high: mean over tasks and seeds with its interval.
        difference, difference_low, difference_high, p_value: against the point that params.yaml names, paired by task;
            the p-value is `PairedDifference.strict_p`.
        from_best, from_best_low, from_best_high, from_best_p: the same against the breadth of the best mean at this
            beta; 0 and 1 at the best itself, None where a file of an older form does not tell.
        branchings_total, …, best_score: of the point's trees, as in tree_quality.csv, means over the seeds.
    """

    configuration: str
    environment: str
    model: str
    breadth: int
    beta: float
    split: str
    tasks: int
    seeds: int
    average_reward: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    p_value: float
    branchings_total: float
    depth_mean: float
    informative_total: float
    mixed_share: float
    best_score: float
    from_best: float | None = None
    from_best_low: float | None = None
    from_best_high: float | None = None
    from_best_p: float | None = None

    @property
    def value(self) -> Interval:
        """Average reward with its interval."""
        return Interval(self.average_reward, self.low, self.high)


@dataclass(frozen=True, slots=True)
class GridPoint:
    """What one point of the grid gave in one environment.

    Attributes:
        episodes: of MODELS, of all seeds and splits.
        qualities: summaries of tree quality, one per seed (`trees.quality.summarize`).
    """

    environment: str
    breadth: int
    beta: float
    episodes: GroupedEpisodes
    qualities: Sequence[Mapping[str, Any]]


def configuration(params: Mapping[str, Any]) -> str:
    """Ten hexadecimal digits that stand for all parameters that must be equal for two points to be comparable."""
    left_out = {*ROSTERS, "inference", "report", "theorem", "merging", "outside"}
    rest = {name: value for name, value in params.items() if name not in left_out}
    # More samples than the trees take change nothing but how many trees can take.
    rest["explore"] = {name: value for name, value in params["explore"].items() if name != "samples"}
    rest["tree"] = {name: value for name, value in params["tree"].items() if name != "breadth"}
    rest["dpo"] = {name: value for name, value in params["dpo"].items() if name != "beta"}
    methods = {name: entry for roster in ROSTERS for name, entry in params[roster].items() if name in MODELS}
    # A method has the section of the same name where it has no settings of its own; other methods' are no matter.
    rest["methods"] = {
        name: {key: rest[key] if value is None else value for key, value in entry.items()}
        for name, entry in methods.items()
    }
    rest = {name: value for name, value in rest.items() if name not in TRAINING}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, default=str).encode()).hexdigest()[:10]


def rows(points: Iterable[GridPoint], *, name: str, breadth: int, beta: float, resampling: Resampling) -> list[GridRow]:
    """All rows, in the order of environment, model, split, breadth and beta.

    Args:
        name: `configuration`.
        breadth, beta: of the configuration; each environment needs a point there.

    Raises:
        UserError: an environment lacks that point.
    """
    everything = list(points)
    found = []
    for environment in sorted({point.environment for point in everything}):
        here = sorted((p for p in everything if p.environment == environment), key=lambda p: (p.breadth, p.beta))
        own = [point for point in here if (point.breadth, point.beta) == (breadth, beta)]
        if not own:
            raise UserError(f"grid: {environment} has no point at tree.breadth {breadth}, dpo.beta {beta}")
        for model in MODELS:
            for split in own[0].episodes.splits_of(environment):
                base = _values(own[0], model=model, split=split)
                values = [(p, _values(p, model=model, split=split)) for p in here if base]
                best: dict[float, BySeed] = {}
                for point, value in values:
                    if value and (point.beta not in best or _total(value) > _total(best[point.beta])):
                        best[point.beta] = value
                found += [
                    _row(p, value, base, best[p.beta], name=name, model=model, split=split, resampling=resampling)
                    for p, value in values
                    if value
                ]
    return found


def _values(point: GridPoint, *, model: str, split: str) -> BySeed:
    """Rewards by task and seed; empty where the model was not evaluated."""
    return point.episodes.values(point.environment, split, average_reward).get(model, {})


def _total(values: BySeed) -> float:
    """Mean reward, equal for equal values."""
    return round(sum(map(sum, values.values())) / sum(map(len, values.values())), statistics.ROUNDING)


def _row(
    point: GridPoint,
    values: BySeed,
    base: BySeed,
    best: BySeed,
    *,
    name: str,
    model: str,
    split: str,
    resampling: Resampling,
) -> GridRow:
    own = statistics.interval(list(values.values()), resampling=resampling)
    result, from_best = (statistics.paired_difference(values, other, resampling=resampling) for other in (base, best))
    return GridRow(
        configuration=name,
        environment=point.environment,
        model=model,
        breadth=point.breadth,
        beta=point.beta,
        split=split,
        tasks=len(values),
        seeds=result.seeds,
        average_reward=own.mean,
        low=own.low,
        high=own.high,
        difference=result.difference.mean,
        difference_low=result.difference.low,
        difference_high=result.difference.high,
        p_value=result.strict_p,
        branchings_total=_mean([q["total"]["branchings"] for q in point.qualities]),
        depth_mean=_mean([q["mean"]["depth_mean"] for q in point.qualities]),
        informative_total=_mean([q["total"]["informative"] for q in point.qualities]),
        mixed_share=_mean([q["mixed"]["tasks"] / max(1, q["tasks"]) for q in point.qualities]),
        best_score=_mean([q["mean"]["best_score"] for q in point.qualities]),
        from_best=from_best.difference.mean,
        from_best_low=from_best.difference.low,
        from_best_high=from_best.difference.high,
        from_best_p=from_best.strict_p,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def write(path: Path, found: Sequence[GridRow]) -> None:
    """Rows as CSV; with none, the heading alone."""
    csv_files.write(path, [asdict(row) for row in found], columns=[f.name for f in fields(GridRow)])


def read(path: Path) -> list[GridRow]:
    """The rows of a grid, of whatever configuration.

    Raises:
        UserError: the file is missing or not whole, its columns are not those of a grid, a reward is none, or a point
            is there twice.
    """
    found: dict[tuple[str, str, str, int, float, str], GridRow] = {}
    for values in csv_files.read(path, get_type_hints(GridRow), table="a grid", remedy=AGAIN):
        row = GridRow(**values)
        where = f"{path}: line {len(found) + 2}"
        key = (row.configuration, row.environment, row.model, row.breadth, row.beta, row.split)
        if key in found:
            raise UserError(f"{where}: the point of line {[*found].index(key) + 2} again; {AGAIN}")
        if not all(0 <= value <= 1 for value in (row.average_reward, row.low, row.high)):
            raise UserError(f"{where}: average_reward, low or high is no fraction; {AGAIN}")
        found[key] = row
    return [*found.values()]
