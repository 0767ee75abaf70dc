"""What a cell of the regime map plays, and what it has come to (regime_map.py)."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import derived
from w2sg.contracts import layout
from w2sg.contracts.episodes import read_episodes
from w2sg.contracts.pairs import Pair
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.trajectories import read_trajectories
from w2sg.evaluation.measures.complement import attempts
from w2sg.evaluation.measures.regime_map import STRONG, Cell, Played

ENVIRONMENT = "alfworld"
PLACE = Path(".map")
GROUPS = ("sft", "preference", "imitation")
TREE_DPO = {"init": "sft_strong", "data": "tree", "reference": "sft_weak", "pairs": None, "dpo": None}
CONTROLS = {"best": "best_of_m", "own": "strong", "again": "demonstrations", "expert": "expert"}


def agent(places: int, demonstrations: int, role: str, seed: int) -> Path:
    """Where a tuned model lies, from which cells start."""
    return PLACE / "agents" / f"{seed}-{places}-{demonstrations}-{role}"


def left(values: dict[str, Any]) -> int:
    """How many training tasks are there to demonstrate: those that are not explored."""
    return int(values["environments"][ENVIRONMENT]["tasks"]["train"] - values["explore"]["tasks"])


def demonstrated(values: dict[str, Any]) -> int:
    """How many demonstrations the run's models, and the strong one of every cell, are tuned on."""
    return min(int(values["experts"]["tasks"]), left(values))


def students(values: dict[str, Any], options: argparse.Namespace, cell: Cell, seed: int) -> dict[str, Any]:
    """The parameters of a cell."""
    folder, own = PLACE / "cells", demonstrated(values)
    models = {
        "weak": agent(cell.places, cell.demonstrations, "weak", seed),
        "strong": agent(cell.places, own, "strong", seed),
    }
    made = world(values, options, cell.places, seed, folder, models)
    wanted = [name for name in CONTROLS if name != "expert" or _has_room(options, cell, own)]
    method = values["imitation"]["w2s_mcts"]
    training = method["imitate"] or values["imitate"]
    middle = sorted(options.passes)[len(options.passes) // 2]
    students = {f"mcts_{passes}": ("mcts", passes) for passes in sorted(set(options.passes))}
    students |= {f"{name}_{middle}": (CONTROLS[name], middle) for name in wanted}
    return made | {
        "sft": {**values["sft"], "optimization": None},
        "explore": {
            **made["explore"],
            "roles": ["weak", "strong"],
            "samples": max(options.samples),
            "diversity": None,
        },
        "tree": {**values["tree"], "breadth": cell.samples},
        "preference": {"dpo_1": TREE_DPO},
        "imitation": {
            name: {
                **method,
                "init": "sft_strong",
                "data": data,
                **({"expert_share": 0.0} if data == "demonstrations" else {}),
                "imitate": {**training, "optimization": {**training["optimization"], "epochs": passes}},
            }
            for name, (data, passes) in students.items()
        },
        "inference": {},
        "theorem": {**values["theorem"], "method": "dpo_1", "superior": "dpo_1"},
    }


def _has_room(options: argparse.Namespace, cell: Cell, own: int) -> bool:
    """Whether the expert's paths are imitated, which no other cell of the same games would do otherwise."""
    return cell.demonstrations == own and cell.samples == max(options.samples)


def world(
    values: dict[str, Any],
    options: argparse.Namespace,
    places: int,
    seed: int,
    folder: Path,
    models: dict[str, Path],
) -> dict[str, Any]:
    """The parameters that all projects of a map share."""
    made = derived.alone(values, run=options.run, workspace=folder, environment=ENVIRONMENT, seed=seed, models=models)
    made["environments"][ENVIRONMENT]["max_receptacles"] = places
    made["evaluate"] = {**made["evaluate"], "seen": 1}
    return made


def collected(made: dict[str, Any], cell: Cell, seed: int, now: str) -> Iterator[Played]:
    """What the project in this folder has played."""
    explored = {role: read_trajectories(layout.explore(ENVIRONMENT, seed, role)) for role in derived.ROLES}
    tries = {
        role: attempts(own, environment=ENVIRONMENT, seed=seed, role=role, samples=cell.samples)
        for role, own in explored.items()
    }
    alone = {each.task_id: not each.once for each in tries["strong"]}
    kept = [sample.score for sample in explored["weak"] if sample.sample < cell.samples]
    experts = read_trajectories(layout.experts(ENVIRONMENT))
    mcts = next(name for name in made["imitation"] if name.startswith("mcts_"))
    steps, mean = _mean([len(each.steps) for each in experts]), _mean(kept)
    solved = _mean([each.ever for each in tries["weak"]])
    complement = _mean([each.ever and alone[each.task_id] for each in tries["weak"]])
    paths = len(DemonstrationPath.read(layout.paths(ENVIRONMENT, seed, mcts)))
    pairs = len(Pair.read(layout.pairs(ENVIRONMENT, seed, "dpo_1")))
    found: dict[str, dict[str, float]] = {}
    for group in GROUPS:
        for episode in read_episodes(layout.episodes(ENVIRONMENT, seed, group)):
            if episode.split == "unseen":
                found.setdefault(episode.model, {})[episode.trajectory.task_id] = episode.trajectory.score
    for model, scores in found.items():
        name, _, passes = model.rpartition("_")
        trained = passes.isdecimal()
        yield Played(
            seed=seed,
            **asdict(cell),
            model=name if trained else model,
            passes=int(passes) if trained else 0,
            tasks=sorted(scores),
            scores=[scores[task] for task in sorted(scores)],
            steps=steps,
            mean=mean,
            solved=solved,
            complement=complement,
            paths=paths,
            pairs=pairs,
            commit=now,
        )
    assert STRONG in found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
