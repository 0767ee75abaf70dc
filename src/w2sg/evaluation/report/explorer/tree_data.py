"""Trajectory trees as plain values for the explorer; its script says how they are read (`readTree`)."""

from collections.abc import Mapping
from typing import Any

from w2sg.contracts.pairs import Pair
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Step, Trajectory
from w2sg.contracts.turns import format_response
from w2sg.evaluation.measures import behaviour
from w2sg.evaluation.measures.tree_marks import deciding, experts_way, explained, first_samples, parting, ucb
from w2sg.evaluation.report.explorer.forests import Forest
from w2sg.evaluation.report.explorer.packing import Texts, rounded
from w2sg.evaluation.report.viewer import path_nodes
from w2sg.trees.merging import action_key
from w2sg.trees.pairs import Divergence, informative
from w2sg.trees.quality import tree_quality
from w2sg.trees.tree import ROOT, TrajectoryTree


def summaries(forest: Forest, *, tasks: Mapping[str, Task]) -> dict[str, Any]:
    """What the list of trees shows of a forest.

    Args:
        tasks: the environment's, by id; a tree's task may be missing.
    """
    paths = [path for method in forest.paths.values() for path in method if path.kind == "mcts"]
    recombined = {path.task_id for path in paths if path.source_sample < 0}
    solved = {path.task_id for path in paths}
    trees = []
    for task_id, tree in forest.trees.items():
        found = tree_quality(tree, minimum_gap=forest.minimum_gap, aggregate=forest.aggregate)
        task = tasks.get(task_id)
        trees.append(
            {
                "task": task_id,
                "type": task.task_type if task else "",
                "goal": task.instruction if task else "",
                "scores": [rounded(sample.score) for sample in tree.trajectories],
                "nodes": found.nodes,
                "ends": found.terminals,
                "branchings": found.branchings,
                "informative": found.informative,
                "merged": rounded(found.merge_rate),
                "path": "recombined" if task_id in recombined else "found" if task_id in solved else "",
                "decided": _decided(tree, forest),
            }
        )
    return {
        "name": forest.name,
        "environment": forest.environment,
        "seed": forest.seed,
        "role": forest.role,
        "rule": forest.merged,
        "gap": forest.minimum_gap,
        "gamma": forest.gamma,
        "trees": trees,
    }


def _decided(tree: TrajectoryTree, forest: Forest) -> dict[str, Any] | None:
    """The divergence that decided a task, in words."""
    found = deciding(tree, minimum_gap=forest.minimum_gap, aggregate=forest.aggregate)
    if found is None:
        return None
    sides = {
        name: {
            "action": action_key(tree.step(child))[1],
            "score": rounded(score),
            "samples": tree.nodes[child].visits,
        }
        for name, child, score in (("best", found.best, found.best_score), ("worst", found.worst, found.worst_score))
    }
    place = {"node": found.parent, "step": tree.nodes[found.parent].depth + 1}
    return {**place, "gap": rounded(found.gap), "explained": rounded(explained(tree, found)), **sides}


def forest_data(forest: Forest) -> dict[str, Any]:
    """All trees of a forest: texts, and trees by task id that name them by number."""
    texts = Texts()
    paths: dict[str, list[tuple[str, DemonstrationPath]]] = {}
    for method, of_method in forest.paths.items():
        for path in of_method:
            if path.kind == "mcts":
                paths.setdefault(path.task_id, []).append((method, path))
    pairs: dict[str, list[tuple[str, Pair]]] = {}
    for method, of_pairs in forest.pairs.items():
        for pair in of_pairs:
            pairs.setdefault(pair.task_id, []).append((method, pair))
    trees = {}
    for task_id, tree in forest.trees.items():
        trees[task_id] = {
            "samples": [_sample(sample, texts) for sample in tree.trajectories],
            "nodes": [[node.parent, node.depth, list(node.members), int(node.stop)] for node in tree.nodes],
            "search": _search(tree, forest),
            "paths": [_path(tree, method, path) for method, path in paths.get(task_id, ())],
            "pairs": [place for method, pair in pairs.get(task_id, ()) if (place := _pair(tree, method, pair))],
            # By number of samples: of M, and of the first 2, 3, ... of them.
            "divergences": {
                count: _divergences(first_samples(tree, count), forest)
                for count in range(2, len(tree.trajectories) + 1)
            },
            "expert": _expert(tree, forest.experts.get(task_id), texts),
        }
    return {"texts": texts.all, "trees": trees}


def steps_data(trajectory: Trajectory, texts: Texts) -> list[list[float]]:
    """Steps as [observation, thought, action, next observation, score, sign, response].

    The sign is 0 for a step as it should be, 1 where the environment refused it, 2 where its response held no action.
    The response is left out where thought and action say it.
    """
    return [_step(step, trajectory.environment, texts) for step in trajectory.steps]


def _step(step: Step, environment: str, texts: Texts) -> list[float]:
    sign = 2 if not step.valid else int(behaviour.refused(step, environment))
    said = [texts(text) for text in (step.observation, step.thought, step.action, step.next_observation)]
    plain = step.valid and step.response == format_response(step.thought, step.action)
    return [*said, rounded(step.score), sign] + ([] if plain else [texts(step.response)])


def _sample(sample: Trajectory, texts: Texts) -> dict[str, Any]:
    return {
        "policy": sample.policy,
        "number": sample.sample,
        "temperature": sample.temperature,
        "top_p": sample.top_p,
        "completed": sample.completed,
        "score": rounded(sample.score),
        "steps": steps_data(sample, texts),
    }


def _search(tree: TrajectoryTree, forest: Forest) -> list[list[float | None]] | None:
    """c_M, r_M/c_M and UCB of every node."""
    if (statistics := forest.statistics.get(tree.task_id)) is None:
        return None
    known = ucb(tree, statistics, gamma=forest.gamma)
    return [
        [
            visits,
            rounded(statistics.reward[number] / visits) if visits else None,
            rounded(known[number]) if number in known else None,
        ]
        for number, visits in enumerate(statistics.visits)
    ]


def _path(tree: TrajectoryTree, method: str, path: DemonstrationPath) -> dict[str, Any]:
    return {
        "method": method,
        "nodes": sorted(path_nodes(tree, path) - {ROOT}),
        "value": rounded(path.tree_value),
        "replay": rounded(path.replay_score),
        "source": path.source_sample,
        "certified": path.certified,
    }


def _pair(tree: TrajectoryTree, method: str, pair: Pair) -> dict[str, Any] | None:
    if (place := parting(tree, pair)) is None:
        return None
    parent, chosen, rejected = place
    scores = {"chosenScore": rounded(pair.chosen_score), "rejectedScore": rounded(pair.rejected_score)}
    return {"method": method, "parent": parent, "chosen": chosen, "rejected": rejected, **scores}


def _divergences(tree: TrajectoryTree, forest: Forest) -> dict[str, Any]:
    """The informative divergences of a tree, and the node of the one that decided it."""

    def plain(found: Divergence) -> list[float]:
        scores = [rounded(score) for score in (found.gap, found.best_score, found.worst_score)]
        return [found.parent, found.best, found.worst, *scores]

    gap, aggregate = forest.minimum_gap, forest.aggregate
    decided = deciding(tree, minimum_gap=gap, aggregate=aggregate)
    return {
        "informative": [plain(found) for found in informative(tree, minimum_gap=gap, aggregate=aggregate)],
        "decided": decided.parent if decided else None,
    }


def _expert(tree: TrajectoryTree, expert: Trajectory | None, texts: Texts) -> dict[str, Any] | None:
    if expert is None:
        return None
    return {
        "nodes": list(experts_way(tree, expert)),
        "score": rounded(expert.score),
        "steps": steps_data(expert, texts),
    }
