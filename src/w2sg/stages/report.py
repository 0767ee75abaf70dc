"""Stage report: tables, figures and one self-contained report.html. Reads only what the parameters name."""

from pathlib import Path

from w2sg import layout
from w2sg.evaluation import report
from w2sg.evaluation.claims import Settings
from w2sg.evaluation.figures import TrainingLog
from w2sg.files import read_json
from w2sg.params import Params
from w2sg.records import DemonstrationPath, Episode, Pair, read_episodes
from w2sg.stages.groups import GROUPS
from w2sg.trees.tree import TrajectoryTree, load


def main(params: Params) -> None:
    """Read episodes, trees, pairs, paths and learning curves; write results/."""
    runs = [(name, seed) for name, _ in params.environments.items() for seed in params.seeds]
    episodes: list[Episode] = []
    explorations = []
    trees: dict[str, dict[str, TrajectoryTree]] = {}
    shown: list[DemonstrationPath] = []
    first = params.seeds[0]
    logs = [_log("pretrain", role, "all environments", f"base_{role}", first) for role in ("weak", "strong")]
    for name, seed in runs:
        episodes += [episode for group in GROUPS for episode in read_episodes(layout.episodes(name, seed, group))]
        paths = [path for kind in _kinds(layout.paths(name, seed, "x")) for path in _paths(name, seed, kind)]
        pairs = [
            pair for kind in _kinds(layout.pairs(name, seed, "x")) for pair in Pair.read(layout.pairs(name, seed, kind))
        ]
        quality = read_json(layout.tree_quality(name, seed))["summary"]
        explorations.append(report.Exploration.count(name, seed=seed, quality=quality, pairs=pairs, paths=paths))
        if seed == first:
            trees[name] = load(layout.trees(name, seed))
            shown += [path for path in paths if path.kind == "mcts"]
        run = layout.run_name(name, seed)
        logs += [_log("sft", f"{run}-{role}", name, f"sft_{role}", seed) for role in ("weak", "strong")]
        logs += [_log("preference", f"{run}-{method}", name, method, seed) for method in params.preference]
        logs += [_log("imitation", f"{run}-{method}", name, method, seed) for method in params.imitation]
    inputs = report.ReportInputs(
        params=params.model_dump(mode="json"),
        settings=Settings(params.report.resamples, params.report.confidence, first),
        minimum_gap=params.pairs.minimum_gap,
        episodes=episodes,
        explorations=explorations,
        trees=trees,
        mcts_paths=shown,
        logs=logs,
    )
    report.build(inputs, folder=layout.RESULTS)


def _log(stage: str, file: str, environment: str, model: str, seed: int) -> TrainingLog:
    return TrainingLog(name=environment, model=model, seed=seed, rows=read_json(layout.log(stage, file)))


def _kinds(example: Path) -> list[str]:
    return sorted(path.stem for path in example.parent.glob("*.parquet"))


def _paths(name: str, seed: int, kind: str) -> list[DemonstrationPath]:
    return DemonstrationPath.read(layout.paths(name, seed, kind))
