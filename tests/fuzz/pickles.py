"""Files of trees: damaged, of foreign objects, and of trees that no merging makes."""

import pickle
import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from w2sg.commands import show
from w2sg.contracts.trajectories import Step, Trajectory
from w2sg.trees import mcts, merging, quality
from w2sg.trees import tree as trees
from w2sg.trees.tree import TrajectoryTree

from . import hostile
from .outcomes import Case


class _Foreign:
    """What another program might have pickled."""

    def __reduce__(self) -> Any:
        return print, ("it ran",)


class Kind:
    """See the package."""

    weight = 6

    def __init__(self, folder: Path) -> None:
        self._path = folder / "trees.pkl"

    def case(self, rng: random.Random) -> Case:
        tree = grown(rng)
        action = rng.choice(["sound", "record", "record", "record", "bytes", "stream", "foreign", "format"])
        what = action
        if action == "record":
            tree, what = self._changed(rng, tree)
        content = pickle.dumps((trees.FORMAT, {"task": tree}), protocol=rng.choice([2, 4, 4, 5, 5]))
        if action == "stream":  # a pickle that was made by hand, digest and all
            content = hostile.damaged(rng, pickle.dumps((trees.FORMAT, {"task": tree}), protocol=0)[:4000])
        elif action == "foreign":
            odd = rng.choice([_Foreign(), {"task": _Foreign()}, {"task": 1}, {1: tree}, {"other": tree}, {}, [tree], 3])
            content = pickle.dumps(odd if rng.random() < 0.3 else (trees.FORMAT, odd))
        elif action == "format":
            odd = hostile.changed(rng, {name: list(names) for name, names in trees.FORMAT.items()})
            content = pickle.dumps((odd, {"task": tree}))
        content = trees.sealed(content)
        self._path.write_bytes(hostile.damaged(rng, content) if action == "bytes" else content)
        return Case(what, self._read, str(self._path))

    def _read(self) -> None:
        """A tree that was read can be searched, judged, shown and written."""
        found = trees.load(self._path)
        for tree in found.values():
            statistics = mcts.search(tree, gamma=1.0, iterations=8, rng=np.random.default_rng(0))
            mcts.extract(tree, statistics=statistics, ties="shortest")
            quality.tree_quality(tree, minimum_gap=0.1, aggregate="mean")
            show.tree_lines(tree)
        trees.dump(self._path, found)

    def _changed(self, rng: random.Random, tree: TrajectoryTree) -> tuple[TrajectoryTree, str]:
        """A tree with another value in one field of one of its records."""
        kind = rng.choice(["node", "node", "trajectory", "step", "tree"])
        if kind == "tree":
            name = rng.choice([f.name for f in fields(tree)])
            new = rng.choice([(), None, 3, getattr(tree, name)[:1], getattr(tree, name)[::-1], getattr(tree, name) * 2])
            return replace(tree, **{name: new}), f"tree.{name}"
        where = "nodes" if kind == "node" else "trajectories"
        records = list(getattr(tree, where))
        number = rng.randrange(len(records))
        if kind == "step":
            steps = list(records[number].steps)
            place = rng.randrange(len(steps))
            steps[place], what = _other(rng, steps[place])
            records[number] = replace(records[number], steps=tuple(steps))
        else:
            records[number], what = _other(rng, records[number])
        return replace(tree, **{where: tuple(records)}), f"{where} {number}: {what}"


def _other(rng: random.Random, record: Any) -> tuple[Any, str]:
    name = rng.choice([f.name for f in fields(record)])
    old = getattr(record, name)
    near = [old[::-1], old[1:], (*old, 99), (*old, old[0]) if old else (0,)] if isinstance(old, tuple) else []
    near += [old + 1, old - 1, -old] if type(old) in (int, float) else []
    new = rng.choice(near) if near and rng.random() < 0.7 else hostile.value(rng)
    return replace(record, **{name: new}), f"{type(record).__name__}.{name} = {new!r}"


def grown(rng: random.Random) -> TrajectoryTree:
    """A tree of a few samples in a world of letters, some of them hostile texts."""
    samples = []
    for sample in range(rng.choice([1, 2, 4, 6])):
        actions = [rng.choice("abc") for _ in range(rng.choice([1, 2, 5]))]
        steps = tuple(
            Step(
                observation="".join(actions[:number]),
                thought=rng.choice(["", "so", "[SEP]"]),
                action=action,
                response=f"Thought: so\nAction: {action}",
                next_observation="".join(actions[: number + 1]),
                score=rng.choice([0.0, 0.5, 1.0]),
                valid=rng.random() < 0.9,
            )
            for number, action in enumerate(actions)
        )
        samples.append(Trajectory("letters", "task", "sft_weak", sample, 1.0, 1.0, True, steps))
    return merging.build(samples, merge_key="exact", xi=1.0, embeddings={})
