"""Preference pairs (h, sigma+), (h, sigma-) at the divergence points of a tree (paper, section 3.2; A11)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import permutations
from statistics import fmean
from typing import NamedTuple

import numpy as np

from w2sg.config.data import Aggregate
from w2sg.contracts.pairs import Pair
from w2sg.contracts.samples import best_sample, worst_sample
from w2sg.contracts.trajectories import Trajectory
from w2sg.trees.merging import action_key
from w2sg.trees.tree import Node, TrajectoryTree

ROUNDING = 1e-9  # means of equal scores, and gaps like 0.6 - 0.5, are off in their last bits


class Divergence(NamedTuple):
    """A decision point: the same observation after the same path, answered by different actions.

    Attributes:
        parent: number of the node after which the ways part.
        best, worst: the children of different action whose aggregated G lie farthest apart.
        best_score, worst_score: their aggregated G, in [0, 1].
    """

    parent: int
    best: int
    worst: int
    best_score: float
    worst_score: float

    @property
    def gap(self) -> float:
        """Aggregated G of the best child over that of the worst, at least 0."""
        return self.best_score - self.worst_score


def clears(gap: float, *, minimum_gap: float) -> bool:
    """Whether a difference in G is a preference: at least `minimum_gap` (delta), and above 0 in any case."""
    return gap >= max(minimum_gap - ROUNDING, ROUNDING)


def divergences(tree: TrajectoryTree, *, aggregate: Aggregate) -> list[Divergence]:
    """Every decision point of the tree, parents first, whether its outcomes differ or not.

    Children are options of one decision when they hold the same observation text; stop leaves are no actions. G(v) is
    aggregated over the samples that pass through v. Ties go to the oldest children.
    """
    found = []
    for parent, node in enumerate(tree.nodes):
        for options in _decisions(tree, node):
            score = {child: _aggregated(tree.scores(child), aggregate=aggregate) for child in options}
            action = {child: action_key(tree.step(child)) for child in options}
            contrasts = [(a, b) for a, b in permutations(options, 2) if action[a] != action[b]]
            if contrasts:
                best, worst = max(contrasts, key=lambda sides: score[sides[0]] - score[sides[1]])
                found.append(Divergence(parent, best, worst, score[best], score[worst]))
    return found


def informative(tree: TrajectoryTree, *, minimum_gap: float, aggregate: Aggregate) -> list[Divergence]:
    """The decision points whose outcomes differ by `minimum_gap` (delta) or more: where pairs are made."""
    return [found for found in divergences(tree, aggregate=aggregate) if clears(found.gap, minimum_gap=minimum_gap)]


def _aggregated(scores: Sequence[float], *, aggregate: Aggregate) -> float:
    return fmean(scores) if aggregate == "mean" else max(scores)


def _decisions(tree: TrajectoryTree, node: Node) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for child in node.children:
        if not tree.nodes[child].stop:
            groups.setdefault(tree.step(child).observation, []).append(child)
    return list(groups.values())


def tree_pairs(
    trees: Iterable[TrajectoryTree],
    *,
    minimum_gap: float,
    aggregate: Aggregate,
    whole_path: bool = False,
    turns: int | None = None,
    prompt: str = "",
) -> list[Pair]:
    """One pair per divergence whose gap clears `minimum_gap`, numbered from 0 in the order of the trees.

    sigma+ follows the best child along its highest-scored sample (then the shorter, then the first), sigma- the worst
    child along its lowest-scored one. h is the recorded prefix of sigma+'s sample: (h, sigma+) did happen as it stands.

    Args:
        minimum_gap: delta, in [0, 1].
        whole_path: one pair per tree instead, its best trajectory against its worst from the first action on (the
            authors' set); the gap is that of the two scores.
        turns: sigma+ and sigma- end after this many turns of the agent's, the diverging one being the first; None keeps
            them to their ends. What follows the first turns tells good from bad all too easily: it is where the worse
            one has gone astray already. Whole paths are not cut.
        prompt: opens the first user turn (appendix F).
    """
    pairs = []
    for tree in trees:
        if whole_path:
            chosen, rejected = best_sample(tree.trajectories), worst_sample(tree.trajectories)
            if _contrasts(chosen, rejected, minimum_gap=minimum_gap):
                pairs.append(whole_pair(chosen, rejected, kind="tree", prompt=prompt))
            continue
        for divergence in informative(tree, minimum_gap=minimum_gap, aggregate=aggregate):
            pairs.append(_pair_at(tree, divergence, turns=turns, prompt=prompt))
    return numbered(pairs)


def random_pairs(
    trajectories: Iterable[Trajectory], *, rng: np.random.Generator, count: int, minimum_gap: float, prompt: str = ""
) -> list[Pair]:
    """The contrast without a tree: `count` random pairs of a better and a worse whole trajectory of the same task.

    Drawn without replacement from all such pairs whose gap clears `minimum_gap`; all of them where there are fewer than
    `count`. Numbered from 0, tasks in the order of their first trajectory.
    """
    candidates = [
        (better, worse)
        for samples in _by_task(trajectories).values()
        for better, worse in permutations(samples, 2)
        if _contrasts(better, worse, minimum_gap=minimum_gap)
    ]
    drawn = sorted(rng.permutation(len(candidates))[:count])
    return numbered(whole_pair(*candidates[number], kind="random", prompt=prompt) for number in drawn)


def eto_pairs(trajectories: Iterable[Trajectory], *, minimum_gap: float, prompt: str = "") -> list[Pair]:
    """One pair per task whose gap clears `minimum_gap`: the best against the worst whole trajectory (ETO, section 4.1).

    Of equally good ones the shorter, then the first. Numbered from 0, tasks in the order of their first trajectory.

    Args:
        trajectories: the policy's own exploration.
    """
    contrasts = ((best_sample(samples), worst_sample(samples)) for samples in _by_task(trajectories).values())
    return numbered(
        whole_pair(best, worst, kind="eto", prompt=prompt)
        for best, worst in contrasts
        if _contrasts(best, worst, minimum_gap=minimum_gap)
    )


def ceiling_pairs(
    trajectories: Iterable[Trajectory], *, experts: Iterable[Trajectory], minimum_gap: float, prompt: str = ""
) -> list[Pair]:
    """One pair per explored task: the expert's whole trajectory against the policy's own worst (ceiling, section 4.1).

    A task without an expert, or whose worst trajectory is not below the expert's by `minimum_gap`, gives none. Numbered
    from 0, tasks in the order of their first trajectory.

    Args:
        trajectories: the policy's own exploration.
        experts: at most one per task counts, the first.
    """
    shown = {task: samples[0] for task, samples in _by_task(experts).items()}
    contrasts = (
        (shown[task], worst_sample(samples)) for task, samples in _by_task(trajectories).items() if task in shown
    )
    return numbered(
        whole_pair(expert, worst, kind="ceiling", prompt=prompt)
        for expert, worst in contrasts
        if _contrasts(expert, worst, minimum_gap=minimum_gap)
    )


def shuffled(pairs: Iterable[Pair], *, rng: np.random.Generator) -> list[Pair]:
    """The same pairs with labels by a fair coin: whether what is learned comes from the labels or from the texts.

    The scores stay with the labels, as what they claim.
    """
    return [
        replace(pair, kind="shuffled", chosen=pair.rejected, rejected=pair.chosen)
        if rng.random() < 0.5
        else replace(pair, kind="shuffled")
        for pair in pairs
    ]


def expert_pairs(
    trajectories: Iterable[Trajectory],
    *,
    experts: Iterable[Trajectory],
    minimum_gap: float,
    turns: int | None = None,
    prompt: str = "",
) -> list[Pair]:
    """Divergences from the expert: its turn against every other action that a sample took at the same point.

    A positive control: what pairs of right labels and the same shape as the tree's would do. A sample parts from the
    expert at its first other action, after equal actions and observations. Numbered from 0.

    Args:
        trajectories: explored samples; one within `minimum_gap` of the expert's score gives no pair.
        experts: at most one per task counts, the first.
        turns: as in `tree_pairs`.
    """
    shown = {task: samples[0] for task, samples in _by_task(experts).items()}
    pairs = []
    for task, samples in _by_task(trajectories).items():
        seen: set[tuple[int, object]] = set()
        for sample in samples:
            if task not in shown or not clears(shown[task].score - sample.score, minimum_gap=minimum_gap):
                continue
            parting = _parting(shown[task], sample)
            if parting is None or (option := (parting, action_key(sample.steps[parting]))) in seen:
                continue
            seen.add(option)
            scores = shown[task].score, sample.score
            pair = _pair(shown[task], sample, kind="expert", divergence=parting, scores=scores, prompt=prompt)
            pairs.append(_cut(pair, turns=turns))
    return numbered(pairs)


def _parting(expert: Trajectory, sample: Trajectory) -> int | None:
    """Number of the step at which a sample first acts otherwise than the expert; None where they see other things."""
    for number, (shown, own) in enumerate(zip(expert.steps, sample.steps, strict=False)):
        if shown.observation != own.observation:
            return None
        if action_key(shown) != action_key(own):
            return number
    return None


def _by_task(trajectories: Iterable[Trajectory]) -> dict[tuple[str, str], list[Trajectory]]:
    tasks: dict[tuple[str, str], list[Trajectory]] = {}
    for trajectory in trajectories:
        tasks.setdefault((trajectory.environment, trajectory.task_id), []).append(trajectory)
    return tasks


def whole_pair(chosen: Trajectory, rejected: Trajectory, *, kind: str, prompt: str = "") -> Pair:
    """Two whole trajectories of a task as a pair: h is the first observation alone, the scores are their own G."""
    return _pair(chosen, rejected, kind=kind, divergence=0, scores=(chosen.score, rejected.score), prompt=prompt)


def numbered(pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs with `pair_id` counting from 0."""
    return [replace(pair, pair_id=number) for number, pair in enumerate(pairs)]


def _pair_at(tree: TrajectoryTree, divergence: Divergence, *, turns: int | None, prompt: str) -> Pair:
    chosen = best_sample([tree.trajectories[member] for member in tree.nodes[divergence.best].members])
    rejected = worst_sample([tree.trajectories[member] for member in tree.nodes[divergence.worst].members])
    pair = _pair(
        chosen,
        rejected,
        kind="tree",
        divergence=tree.nodes[divergence.parent].depth,
        scores=(divergence.best_score, divergence.worst_score),
        prompt=prompt,
    )
    return _cut(pair, turns=turns)


def _cut(pair: Pair, *, turns: int | None) -> Pair:
    """Both sides after `turns` turns of the agent's."""
    if turns is None:
        return pair
    kept = 2 * turns - 1  # the observations in between, not the one after the last
    return replace(pair, chosen=pair.chosen[:kept], rejected=pair.rejected[:kept])


def _pair(
    chosen: Trajectory, rejected: Trajectory, *, kind: str, divergence: int, scores: tuple[float, float], prompt: str
) -> Pair:
    good, bad = chosen.messages(prompt=prompt), rejected.messages()
    parting = 2 * divergence + 1  # h: one turn of each side per shared step, and the observation that both answer
    return Pair(
        environment=chosen.environment,
        task_id=chosen.task_id,
        kind=kind,
        pair_id=0,
        divergence=divergence,
        history=good[:parting],
        chosen=good[parting:],
        rejected=bad[parting:],
        chosen_score=scores[0],
        rejected_score=scores[1],
    )


def _contrasts(better: Trajectory, worse: Trajectory, *, minimum_gap: float) -> bool:
    """Whether two whole trajectories make a pair: they answer one observation, and not with the same words.

    Chance alone may have scored the same responses differently.
    """
    said, answered = ([step.response for step in trajectory.steps] for trajectory in (better, worse))
    same_start = better.steps[0].observation == worse.steps[0].observation
    return same_start and said != answered and clears(better.score - worse.score, minimum_gap=minimum_gap)
