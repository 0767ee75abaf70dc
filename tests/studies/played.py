"""A project with made-up results of every stage before the report: the real files, read by the real report."""

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import yaml

from evaluation.builders import DRAWER, WAYS, curve, evaluation, path_of, task_table, trajectory, tree
from w2sg.config import overlays
from w2sg.contracts import files, layout
from w2sg.contracts.episodes import write_episodes
from w2sg.contracts.pairs import Pair
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import write_trajectories
from w2sg.evaluation.measures.regime_played import Cell, Played
from w2sg.evaluation.measures.theorem import Quantities
from w2sg.stages.merging import COUNTS
from w2sg.trees import quality
from w2sg.trees.pairs import tree_pairs
from w2sg.trees.tree import dump

ROOT = Path(__file__).parents[2]
NAME = "alfworld"
SEEDS = range(5)  # that can be played: what one has drawn depends on how many there are
MODELS = {
    "base": ("base_weak", "base_strong"),
    "sft": ("sft_weak", "sft_strong"),
    "preference": ("w2s_dpo", "ceiling"),
    "imitation": ("w2s_mcts",),
    "inference": (),
}


def project(folder: Path) -> Path:
    """The smoke parameters less what plays at inference, a study of two seeds on them, and what the report needs."""
    for name in ("params", "results"):
        (folder / name).mkdir(parents=True)
    shutil.copytree(ROOT / "docs/study", folder / "docs/study", ignore=shutil.ignore_patterns("seeds", "figures"))
    shutil.copy(ROOT / "dvc.yaml", folder)
    shutil.copy(ROOT / "results/grid.csv", folder / "results")
    (folder / "src").symlink_to(ROOT / "src")
    values = overlays.merged(ROOT / "params/smoke.yaml").values
    values["inference"] = {}
    values["report"]["resamples"] = 200
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    (folder / "params/study.yaml").write_text("base: ../params.yaml\nset: {seeds: [0, 1]}\n")
    return folder


def play(folder: Path, seeds: Sequence[int]) -> Path:
    """What all stages before the report leave in a folder, for some seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(folder):
        shared()
        for seed in seeds:
            explored(seed)
            trained(seed)
    return folder


def shared() -> None:
    """What no seed changes."""
    Task.write(layout.tasks(NAME), task_table(tasks=12))
    expert = [replace(trajectory(WAYS[number][0], task=f"t{number}"), policy="expert") for number in (0, 4)]
    write_trajectories(layout.experts(NAME), expert)
    write_trajectories(layout.explored_experts(NAME), expert[:1])
    write_trajectories(layout.play(NAME), [replace(trajectory(DRAWER, score=0.0), policy="play")])


def explored(seed: int) -> None:
    """Trajectories, trees, pairs and paths; the ways are other ones for each seed."""
    ways = [*WAYS[seed % 3 :], *WAYS[: seed % 3]][:4]
    grown = {task: tree(task=task, ways=ways) for task in ("t0", "t1")}
    samples = [sample for each in grown.values() for sample in each.trajectories]
    for role in ("weak", "strong"):
        write_trajectories(
            layout.explore(NAME, seed, role), [replace(sample, policy=f"sft_{role}") for sample in samples]
        )
    dump(layout.trees(NAME, seed), grown)
    figures = [quality.tree_quality(each, minimum_gap=0.1, aggregate="mean") for each in grown.values()]
    summary = {"summary": quality.summarize(figures), "by_policy": {}, "tasks": [asdict(each) for each in figures]}
    files.write_json(layout.tree_quality(NAME, seed), summary)
    rows = [{"similarity": xi, **dict.fromkeys(COUNTS, 10 + seed)} for xi in (None, 0.9, 0.0)]
    files.write_json(layout.merging(NAME, seed), {"merge_key": "observation", "rows": rows})
    found = tree_pairs(grown.values(), minimum_gap=0.1, aggregate="mean")
    Pair.write(layout.pairs(NAME, seed, "w2s_dpo"), found)
    Pair.write(layout.pairs(NAME, seed, "ceiling"), [replace(pair, kind="ceiling") for pair in found])
    best = [max(each.trajectories, key=lambda sample: sample.score) for each in grown.values()]
    DemonstrationPath.write(layout.paths(NAME, seed, "w2s_mcts"), [path_of(sample) for sample in best])
    measured = Quantities(
        NAME, seed, "w2s_dpo", "ceiling", "sft_weak", 0.05, len(found), 2, 60.0 + seed, 9.0, 10, 10.5,
        {"ceiling": 0.7, "w2s_dpo": 0.8}, 0.4, 0.4, len(samples),
    )  # fmt: skip
    files.write_json(layout.theorem(NAME, seed), measured.as_json())


def trained(seed: int) -> None:
    """Logs and episodes."""
    run = layout.run_name(NAME, seed)
    for role in ("weak", "strong"):
        files.write_json(layout.log("pretrain", f"{seed}-{role}"), curve(f"base_{role}", seed=seed).rows)
        files.write_json(layout.log("sft", f"{run}-{role}"), curve(f"sft_{role}", seed=seed).rows)
    for stage in ("preference", "imitation"):
        for method in MODELS[stage]:
            files.write_json(layout.log(stage, f"{run}-{method}"), curve(method, seed=seed).rows)
    files.write_json(layout.log("diversify", run), [])
    episodes = [each for each in evaluation(tasks=12, seeds=SEEDS) if each.seed == seed]
    for group, models in MODELS.items():
        write_episodes(layout.episodes(NAME, seed, group), [each for each in episodes if each.model in models])


def made_up(cell: Cell, seed: int, score: float, **known: str) -> Played:
    """SFT strong's row of a cell, on a single task."""
    figures = {"steps": 9.0, "mean": 0.25, "solved": 0.5, "complement": 0.1, "paths": 3, "pairs": 2}
    known = {"settings": "same", "bases": "these", "code": "this", "commit": "abc"} | known
    return Played(seed, **asdict(cell), model="sft_strong", passes=0, updates=0, tasks=["a"], scores=[score],
                  **figures, **known)  # type: ignore[arg-type]  # fmt: skip
