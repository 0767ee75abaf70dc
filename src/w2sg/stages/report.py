"""Stage report: tables, figures and one self-contained report.html. Reads only what the parameters name."""

import sys
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from w2sg.config.params import Params
from w2sg.config.rosters import ImitationMethod, PreferenceMethod
from w2sg.contracts import layout
from w2sg.contracts.files import read_json
from w2sg.contracts.records import DemonstrationPath, Episode, Pair, Task, read_episodes, read_trajectories
from w2sg.evaluation.measures import grid
from w2sg.evaluation.measures.claims import Settings
from w2sg.evaluation.measures.explorations import Exploration
from w2sg.evaluation.measures.theorem import Quantities
from w2sg.evaluation.report import report
from w2sg.evaluation.report.figures import TrainingLog
from w2sg.stages.groups import GROUPS
from w2sg.trees.tree import TrajectoryTree, load


def main(params: Params) -> None:
    """Read episodes, trees, pairs, paths and learning curves; write results/."""
    runs = [(name, seed) for name, _ in params.environments.items() for seed in params.seeds]
    episodes: list[Episode] = []
    explorations = []
    trees: dict[str, dict[str, TrajectoryTree]] = {}
    spreads: dict[str, list[float]] = {}
    shown: list[DemonstrationPath] = []
    first = params.seeds[0]
    merging: list[dict[str, Any]] = []
    logs = [_log("pretrain", role, "all environments", f"base_{role}", first) for role in ("weak", "strong")]
    for name, seed in runs:
        episodes += [episode for group in GROUPS for episode in read_episodes(layout.episodes(name, seed, group))]
        pairs = [pair for one in _one_each(params.preference) for pair in Pair.read(layout.pairs(name, seed, one))]
        paths = [
            path
            for one in _one_each(params.imitation)
            for path in DemonstrationPath.read(layout.paths(name, seed, one))
        ]
        grown = read_json(layout.tree_quality(name, seed))
        explorations.append(
            Exploration.count(
                name, seed=seed, quality=grown["summary"], by_policy=grown["by_policy"], pairs=pairs, paths=paths
            )
        )
        rows = read_json(layout.merging(name, seed))["rows"]
        merging += [{"environment": name, "seed": seed, **row} for row in rows]
        here = load(layout.trees(name, seed))
        spreads.setdefault(name, []).extend(_spread(tree) for tree in here.values())
        if seed == first:
            trees[name] = here
            shown += [path for path in paths if path.kind == "mcts"]
        run = layout.run_name(name, seed)
        logs += [_log("sft", f"{run}-{role}", name, f"sft_{role}", seed) for role in ("weak", "strong")]
        logs += [_log("preference", f"{run}-{method}", name, method, seed) for method in params.preference]
        logs += [_log("imitation", f"{run}-{method}", name, method, seed) for method in params.imitation]
    plain = params.model_dump(mode="json")
    own = grid.configuration(plain)  # rows of another configuration's grid say nothing about this one
    inputs = report.ReportInputs(
        params=plain,
        settings=Settings(params.report.resamples, params.report.confidence, first),
        minimum_gap=params.pairs.minimum_gap,
        episodes=episodes,
        explorations=explorations,
        trees=trees,
        mcts_paths=shown,
        logs=logs,
        merging=merging,
        theorem=[Quantities.read(layout.theorem(name, seed)) for name, seed in runs],
        tasks=[task for name, _ in params.environments.items() for task in Task.read(layout.tasks(name))],
        experts={
            name: fmean(expert.score for expert in read_trajectories(layout.experts(name)))
            for name, _ in params.environments.items()
        },
        spreads=spreads,
        grid=[row for row in grid.read(layout.GRID) if row.configuration == own],
    )
    for warning in report.build(inputs, folder=layout.RESULTS):
        print(f"report: {warning}", file=sys.stderr)


def _log(stage: str, file: str, environment: str, model: str, seed: int) -> TrainingLog:
    return TrainingLog(name=environment, model=model, seed=seed, rows=read_json(layout.log(stage, file)))


def _spread(tree: TrajectoryTree) -> float:
    scores = [trajectory.score for trajectory in tree.trajectories]
    return max(scores) - min(scores)


def _one_each(roster: Mapping[str, PreferenceMethod] | Mapping[str, ImitationMethod]) -> list[str]:
    """Of the methods that learn from the same kind of data, which is the same data, the first."""
    first: dict[str, str] = {}
    for method, entry in roster.items():
        first.setdefault(entry.data, method)
    return list(first.values())
