"""Stage merging: what the threshold xi of the merge rule does (section 3.2; A1), and which e* it costs (A6).

The recorded samples of every tree are merged again at each threshold, exact merging included; each tree is searched,
and each e* that is good enough to imitate is replayed in its environment.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.environment import Environment
from w2sg.contracts.files import write_json
from w2sg.contracts.tasks import Task
from w2sg.environments.certification import act_out, expected
from w2sg.environments.opener import opener
from w2sg.trees.embeddings import read_embeddings
from w2sg.trees.mcts import extract, search
from w2sg.trees.merging import Embeddings, build, count_merges
from w2sg.trees.tree import TrajectoryTree, load

# Columns of a row beside its threshold: see `_audit`.
COUNTS = ("trees", "steps", "merged", "differing", "paths", "recombined", "other_observation", "other_score")


def main(params: Params, *, environment: str, seed: int) -> None:
    """Read trees, embeddings and tasks; write one row of counts per threshold, `similarity: null` being exact."""
    trees = load(layout.trees(environment, seed))
    embeddings = read_embeddings(layout.embeddings(environment, seed))
    tasks = {task.task_id: task for task in Task.read(layout.tasks(environment))}
    world = opener(environment, params)()
    thresholds = (None, *params.merging.similarities)
    totals: dict[float | None, Counter[str]] = {xi: Counter() for xi in thresholds}
    for number, (task_id, tree) in enumerate(trees.items()):
        known: list[tuple[TrajectoryTree, Mapping[str, int]]] = []
        for xi in thresholds:
            again = _rebuilt(tree, params, xi=xi, embeddings=embeddings)
            found = next((counts for other, counts in known if other.nodes == again.nodes), None)
            if found is None:  # most thresholds give the same tree
                rng = np.random.default_rng([seed, number])
                found = _audit(again, params, world=world, task=tasks[task_id], seed=seed, rng=rng)
                known.append((again, found))
            totals[xi].update(found)
    world.close()
    rows = [{"similarity": xi, **{name: totals[xi][name] for name in COUNTS}} for xi in thresholds]
    write_json(layout.merging(environment, seed), {"merge_key": params.tree.merge_key, "rows": rows})


def _rebuilt(tree: TrajectoryTree, params: Params, *, xi: float | None, embeddings: Embeddings) -> TrajectoryTree:
    """The tree of the same samples at threshold xi; None merges only equal observations."""
    if xi is None:
        return build(tree.trajectories, merge_key="exact", xi=1.0, embeddings={})
    key = "observation" if params.tree.merge_key == "exact" else params.tree.merge_key
    return build(tree.trajectories, merge_key=key, xi=xi, embeddings=embeddings)


def _audit(
    tree: TrajectoryTree, params: Params, *, world: Environment, task: Task, seed: int, rng: np.random.Generator
) -> Mapping[str, int]:
    """Counts of one tree: its merges, and whether its e* is one that is imitated, a recombination, and what it says.

    `other_observation` and `other_score`: the replay saw a text, or ended with a score, that the tree did not promise.
    """
    merges = count_merges(tree)
    counts = dict.fromkeys(COUNTS, 0) | {
        "trees": 1,
        "steps": merges.steps,
        "merged": merges.merged,
        "differing": merges.differing,
    }
    statistics = search(tree, gamma=params.mcts.gamma, iterations=params.mcts.iterations, rng=rng)
    path = extract(tree, statistics=statistics, ties=params.mcts.ties, words=params.mcts.words)
    if path.value >= params.mcts.minimum_score:
        score, same = act_out(world, task, path.steps, seed=seed)
        counts |= {
            "paths": 1,
            "recombined": int(path.source_sample < 0),
            "other_observation": int(not same),
            "other_score": int(not expected(score, path.value)),
        }
    return counts
