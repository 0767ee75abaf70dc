"""Rewards, success and completion."""

from dataclasses import replace

import pytest

from w2sg.contracts.episodes import Episode
from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures import metrics
from w2sg.evaluation.measures.episodes import GroupedEpisodes

from .builders import episode, evaluation, step, trajectory


def test_table1_by_hand() -> None:
    bought = trajectory(["buy"], score=0.5, task="b", environment="webshop")
    episodes = [
        episode("sft_weak", task="a", score=1.0, environment="webshop"),
        Episode("sft_weak", 0, "unseen", replace(bought, completed=True)),
        episode("sft_weak", task="c", score=0.0, environment="webshop"),
        episode("sft_weak", task="d", score=0.0, environment="webshop"),
    ]
    (row,) = metrics.table1(GroupedEpisodes(episodes))
    assert (row.environment, row.model, row.seed, row.split, row.tasks) == ("webshop", "sft_weak", 0, "unseen", 4)
    assert (row.average_reward, row.success_rate, row.completion_rate) == (0.375, 0.25, 0.5)


def test_table1_is_in_the_papers_order_with_seen_first() -> None:
    rows = metrics.table1(GroupedEpisodes(reversed(evaluation(tasks=2, seeds=(1, 0)))))
    assert [row.model for row in rows[::4]] == [
        "sft_weak",
        "w2s_dpo",
        "w2s_mcts",
        "sft_strong",
        "ceiling",
        "random_dpo",
        "base_weak",
        "base_strong",
    ]
    assert [(row.seed, row.split) for row in rows[:4]] == [(0, "seen"), (0, "unseen"), (1, "seen"), (1, "unseen")]


@pytest.mark.parametrize(
    ("episodes", "message"),
    [
        ([], "none found"),
        ([episode("sft_weak", task="a"), episode("sft_weak", task="a")], "task a occurs more than once"),
        ([episode("sft_weak", task="a"), episode("sft_strong", task="b")], "sft_strong.*other tasks"),
        (
            [
                episode(model, seed=seed)
                for model, seeds in (("sft_weak", "01"), ("sft_strong", "02"))
                for seed in map(int, seeds)
            ],
            r"sft_strong on alfworld unseen: seeds \[0, 2\], sft_weak has \[0, 1\]",
        ),
    ],
)
def test_unfit_episodes_are_refused(episodes: list[Episode], message: str) -> None:
    with pytest.raises(UserError, match=message):
        metrics.table1(GroupedEpisodes(episodes))


def test_score_by_step_holds_the_last_score() -> None:
    graded = replace(trajectory(["look"]), steps=(step("look", score=0.25), step("look", score=0.75)))
    reached = metrics.score_by_step([graded, trajectory(["look"], score=1.0)], steps=3)
    assert reached.tolist() == [0.0, 0.625, 0.875, 0.875]
    assert metrics.score_by_step([replace(graded, steps=())], steps=1).tolist() == [0.0, 0.0]
