"""Small made-up episodes, trees and logs that look like the real ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from w2sg.config.data import Pairs
from w2sg.contracts.episodes import Episode
from w2sg.contracts.pairs import Pair
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Step, Trajectory, conversation
from w2sg.evaluation.measures.complement import attempts
from w2sg.evaluation.measures.explorations import Exploration
from w2sg.evaluation.measures.grid import GridRow
from w2sg.evaluation.measures.statistics import Resampling
from w2sg.evaluation.measures.supervision import Supervision
from w2sg.evaluation.report.explorer.forests import Forest
from w2sg.evaluation.report.figures.training import LearningCurve
from w2sg.evaluation.report.inputs import ReportInputs
from w2sg.trees import merging, pairs, quality
from w2sg.trees.mcts import searches
from w2sg.trees.tree import TrajectoryTree

SKILL = {
    "base_weak": 0.05,
    "sft_weak": 0.4,
    "w2s_dpo": 0.6,
    "w2s_mcts": 0.62,
    "random_dpo": 0.5,
    "base_strong": 0.07,
    "sft_strong": 0.5,
    "ceiling": 0.95,
}
ROOMS = "You are in the middle of a room. Looking quickly around you, you see a cabinet 1, a drawer 1 and a fridge 1."
GOAL = "Your task is to: put a clean mug in the cabinet 1."


def step(action: str, *, observation: str = "o", answer: str = "o'", score: float = 0.0, valid: bool = True) -> Step:
    """A step with a thought that follows from its action; an invalid one has a response without an action."""
    response = f"Thought: I will {action}.\nAction: {action}" if valid else action
    return Step(
        observation, f"I will {action}." if valid else "", action if valid else "", response, answer, score, valid
    )


def trajectory(
    actions: Sequence[str], *, score: float = 1.0, task: str = "t1", environment: str = "alfworld", sample: int = 0
) -> Trajectory:
    """A deterministic episode: what is seen depends on the actions so far. `score` is reached with the last action."""
    steps = []
    seen = f"{ROOMS} {GOAL}"
    for number, action in enumerate(actions):
        known = action.split()[0] in {"go", "open", "take", "move", "clean", "look"}
        answer = f"You {action}. Step {number + 1}." if known else "Nothing happens."
        last = number == len(actions) - 1
        steps.append(step(action, observation=seen, answer=answer, score=score if last else 0.0))
        seen = answer
    return Trajectory(environment, task, "sft_weak", sample, 1.0, 0.9, score >= 1.0, tuple(steps))


def _clean(mug: str) -> tuple[str, ...]:
    """The end of a way that wins, once the mug is found."""
    return "go to sinkbasin 1", f"clean {mug} with sinkbasin 1", "go to cabinet 1", f"move {mug} to cabinet 1"


DRAWER = ("go to drawer 1", "open drawer 1", "take mug 1 from drawer 1")
WAYS: tuple[tuple[tuple[str, ...], float], ...] = (
    ((*DRAWER, *_clean("mug 1")), 1.0),
    ((*DRAWER, *_clean("mug 1")), 1.0),
    ((*DRAWER, "go to cabinet 1", "move mug 1 to cabinet 1", "look", "look", "fly to cabinet 1"), 0.0),
    (("go to drawer 1", "take mug 1 from drawer 1", "look", "look"), 0.0),
    (("go to fridge 1", "open fridge 1", "take mug 2 from fridge 1", *_clean("mug 2")), 1.0),
    (("go to fridge 1", "open fridge 1", "look", "go to drawer 1"), 0.0),
)


def tree(
    *, task: str = "t1", environment: str = "alfworld", ways: Sequence[tuple[Sequence[str], float]] = WAYS
) -> TrajectoryTree:
    """The merged tree of some ways through a task, six by default."""
    samples = [
        trajectory(actions, score=score, task=task, environment=environment, sample=number)
        for number, (actions, score) in enumerate(ways)
    ]
    return merging.build(samples, merge_key="exact", xi=0.9, embeddings={})


def path_of(source: Trajectory, *, prompt: str = "", certified: bool = True) -> DemonstrationPath:
    """e* with the words of one sample."""
    return DemonstrationPath(
        environment=source.environment,
        task_id=source.task_id,
        kind="mcts",
        messages=conversation(source.steps, prompt=prompt),
        tree_value=source.score,
        replay_score=source.score,
        source_sample=source.sample,
        certified=certified,
    )


def episode(
    model: str, *, task: str = "t1", score: float = 1.0, steps: int = 2, seed: int = 0, split: str = "unseen",
    environment: str = "alfworld",
) -> Episode:  # fmt: skip
    """An evaluation episode that ends with `score` after `steps` steps."""
    actions = (
        [*WAYS[0][0], *["fly away"] * steps][-steps:] if score < 1.0 else [*["look"] * steps, *WAYS[0][0]][-steps:]
    )
    return Episode(model, seed, split, trajectory(actions, score=score, task=task, environment=environment))


def evaluation(*, tasks: int = 40, seeds: Sequence[int] = (0,), environment: str = "alfworld") -> list[Episode]:
    """Every model of SKILL on `tasks` seen and unseen tasks; a task is as hard for one model as for the next."""
    rng = np.random.default_rng(7)
    episodes = []
    for split, harder in (("seen", 0.0), ("unseen", 0.08)):
        ease = rng.uniform(size=tasks)
        for model, skill in SKILL.items():
            for seed in seeds:
                won = rng.uniform(size=tasks) < 1 / (1 + np.exp(-9 * (skill - harder + ease - 1.0)))
                lengths = rng.integers(4, 13, size=tasks)
                for number, (score, length) in enumerate(zip(won.astype(float), lengths, strict=True)):
                    place = {"task": f"{split}-{number:03d}", "split": split, "environment": environment}
                    steps = int(length) if score else 20
                    episodes.append(episode(model, score=float(score), steps=steps, seed=seed, **place))
    return episodes


def task_table(*, tasks: int, environment: str = "alfworld") -> list[Task]:
    """The tasks of `evaluation`, of two types by turns."""
    return [
        Task(environment, f"{split}-{number:03d}", split, f"type {number % 2}", "Do it.", "{}", 20)
        for split in ("seen", "unseen")
        for number in range(tasks)
    ]


def grid(
    rewards: Mapping[int, float],
    *,
    environment: str = "scienceworld",
    model: str = "w2s_mcts",
    reach: float = 0.02,
    p: float = 0.001,
) -> list[GridRow]:
    """A grid over breadth with these rewards, intervals of `reach` to both sides.

    Paired with the best, a breadth is as far below as its reward, within `reach`, at `p` where that excludes 0.
    """
    best = max(rewards.values(), default=0.0)
    return [
        GridRow(
            "0123456789", environment, model, breadth, 0.1, "unseen", 50, 1, value, value - reach, value + reach,
            value - 0.5, value - 0.5 - reach, value - 0.5 + reach, 0.01, 9.0, 6.5, 5.0, 0.7, 0.8,
            value - best, value - best - reach, value - best + reach, p if value - best + reach < 0 else 0.5,
        )
        for breadth, value in rewards.items()
    ]  # fmt: skip


def curve(model: str, *, seed: int = 0, updates: int = 40) -> LearningCurve:
    """A falling loss; preference methods have a margin and an accuracy too."""
    rng = np.random.default_rng([seed, len(model)])
    rows = []
    for number in range(1, updates + 1):
        row = {
            "step": number,
            "epoch": number / updates,
            "loss": 2.0 * np.exp(-number / 15) + 0.05 * rng.random(),
            "learning_rate": 1e-3,
        }
        if model.endswith("dpo"):
            row |= {"margin": 0.1 * number, "accuracy": min(1.0, 0.5 + number / 60)}
        rows.append({name: float(value) for name, value in row.items()})
    return LearningCurve("alfworld", model, seed, rows)


def forests(
    trees: Mapping[str, TrajectoryTree], found: Sequence[Pair] = (), paths: Sequence[DemonstrationPath] = ()
) -> list[Forest]:
    """The trees of the weak model as they are, and of a strong one that has gone the first two ways alone."""
    statistics = dict(searches(trees, gamma=1.41, iterations=50, seed=0))
    expert = trajectory((*WAYS[4][0][:-1], "look", "move mug 2 to cabinet 1"))
    own = Forest(
        "alfworld", 0, "weak", "equal texts", trees, 0.0, "mean", 1.41, statistics, {"w2s_mcts": paths},
        {"w2s_dpo": found}, {task: replace(expert, task_id=task, policy="expert") for task in trees},
    )  # fmt: skip
    strong = {task: tree(task=task, ways=[WAYS[0], WAYS[2]]) for task in trees}
    return [own, Forest("alfworld", 0, "strong", "equal texts", strong, 0.0, "mean", experts=own.experts)]


def inputs(*, tasks: int = 40, seeds: Sequence[int] = (0,), resamples: int = 500) -> ReportInputs:
    """A whole run of one environment."""
    trees = {task: tree(task=task) for task in ("t1", "t2")}
    trees["t3"] = tree(task="t3", ways=[(("look",), 0.0), (("go to drawer 1",), 0.0)])
    found: list[Pair] = pairs.tree_pairs(trees.values(), minimum_gap=0.0, aggregate="mean")
    paths = [path_of(trees[task].trajectories[0]) for task in ("t1", "t2")]
    summary = quality.summarize(quality.tree_quality(t, minimum_gap=0.0, aggregate="mean") for t in trees.values())
    return ReportInputs(
        params={
            "seeds": list(seeds),
            "explore": {"backend": None},
            "tree": {"breadth": 6, "similarity": 0.9},
            "dpo": {"beta": 0.1},
            "evaluate": {"backend": None},
            "preference": {
                "w2s_dpo": {"init": "sft_strong", "data": "tree", "reference": "sft_weak"},
                "random_dpo": {"init": "sft_strong", "data": "random", "reference": "sft_weak"},
                "ceiling": {"init": "sft_strong", "data": "ceiling", "reference": "sft_strong"},
            },
            "imitation": {"w2s_mcts": {"init": "sft_strong", "data": "mcts", "expert_share": 0.5}},
            "inference": {},
        },
        resampling=Resampling(resamples=resamples, confidence=0.95, seed=0),
        pairs=Pairs(minimum_gap=0.0, whole_path=False, turns=None, aggregate="mean"),
        episodes=evaluation(tasks=tasks, seeds=seeds),
        explorations=[Exploration.count("alfworld", seed=0, quality=summary, pairs=found, paths=paths)],
        trees={"alfworld": trees},
        mcts_paths=paths,
        curves=[curve(m) for m in ("base_weak", "sft_weak", "sft_strong", "w2s_mcts", "w2s_dpo", "random_dpo")],
        tasks=task_table(tasks=tasks),
        experts={"alfworld": 0.9},
        spreads={"alfworld": [1.0, 1.0, 0.0]},
        forests=forests(trees, found, paths),
        supervision=[Supervision("alfworld", seed, "w2s_mcts", "sft_strong", 9000, 270, 850, 48) for seed in seeds],
        attempts=[
            each
            for role in ("weak", "strong")
            for each in attempts(
                [sample for one in trees.values() for sample in one.trajectories],
                environment="alfworld",
                seed=0,
                role=role,
                samples=6,
            )
        ],
    )
