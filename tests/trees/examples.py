"""A toy world whose actions are letters, small enough to solve by hand, and random sets of trajectories in it."""

from collections.abc import Sequence
from zlib import crc32

from hypothesis import strategies as st

from w2sg.contracts.trajectories import Step, Trajectory
from w2sg.trees.merging import build
from w2sg.trees.tree import TrajectoryTree


def trajectory(actions: str, *, sample: int = 0, score: float | None = None, thought: str = "so") -> Trajectory:
    """A sample of the deterministic world: the observation tells all actions so far, and so settles the score."""
    final = crc32(actions.encode()) % 5 / 4 if score is None else score
    steps = tuple(
        Step(
            observation=f"saw {actions[:number]!r}",
            thought=thought,
            action=action,
            response=f"Thought: {thought}\nAction: {action}",
            next_observation=f"saw {actions[: number + 1]!r}",
            score=final if number == len(actions) - 1 else 0.0,
        )
        for number, action in enumerate(actions)
    )
    return Trajectory("letters", "task", "sft_weak", sample, 1.0, 0.9, True, steps)


def samples(*outcomes: tuple[str, float]) -> list[Trajectory]:
    """Samples 0, 1, ... from (actions, score)."""
    return [trajectory(actions, sample=number, score=score) for number, (actions, score) in enumerate(outcomes)]


def exact_tree(trajectories: Sequence[Trajectory]) -> TrajectoryTree:
    """The tree by exact merging."""
    return build(trajectories, merge_key="exact", xi=1.0, embeddings={})


def solved_tree() -> TrajectoryTree:
    """The tree that tests work out by hand; its nodes, c_D in brackets:

    0 root(4) ── 1 a(4) ── 2 b(3) ── 3 c(1) ── 4 stop(1) G 1.0
                      │         ├── 5 d(1) ── 6 stop(1) G 0.0
                      │         └── 7 stop(1) G 0.5
                      └── 8 e(1) ── 9 stop(1) G 0.25
    """
    return exact_tree(samples(("abc", 1.0), ("abd", 0.0), ("ab", 0.5), ("ae", 0.25)))


words = st.lists(st.text(alphabet="abc", min_size=1, max_size=5), min_size=1, max_size=7)
sample_sets = words.map(lambda drawn: [trajectory(word, sample=number) for number, word in enumerate(drawn)])
