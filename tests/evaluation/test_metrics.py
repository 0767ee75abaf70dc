"""Rewards, success and completion, roster order, conduct."""

from dataclasses import replace

import pytest

from w2sg.errors import UserError
from w2sg.evaluation import metrics
from w2sg.records import Episode

from .builders import episode, evaluation, step, trajectory


def test_table1_by_hand() -> None:
    bought = trajectory(["buy"], score=0.5, task="b", environment="webshop")
    episodes = [
        episode("sft_weak", task="a", score=1.0, environment="webshop"),
        Episode("sft_weak", 0, "unseen", replace(bought, completed=True)),
        episode("sft_weak", task="c", score=0.0, environment="webshop"),
        episode("sft_weak", task="d", score=0.0, environment="webshop"),
    ]
    (row,) = metrics.table1(episodes)
    assert (row.environment, row.model, row.seed, row.split, row.tasks) == ("webshop", "sft_weak", 0, "unseen", 4)
    assert (row.average_reward, row.success_rate, row.completion_rate) == (0.375, 0.25, 0.5)


def test_table1_is_in_roster_order_with_seen_first() -> None:
    rows = metrics.table1(list(reversed(evaluation(tasks=2, seeds=(1, 0)))))
    assert [row.model for row in rows[::4]] == [
        "base_weak",
        "sft_weak",
        "w2s_dpo",
        "w2s_mcts",
        "random_dpo",
        "base_strong",
        "sft_strong",
    ]
    assert [(row.seed, row.split) for row in rows[:4]] == [(0, "seen"), (0, "unseen"), (1, "seen"), (1, "unseen")]


def test_unknown_methods_stand_between_the_methods_and_the_strong_models() -> None:
    assert metrics.roster(["ceiling", "mine", "sft_strong", "yours", "w2s_mcts", "mine"]) == [
        "w2s_mcts",
        "mine",
        "yours",
        "sft_strong",
        "ceiling",
    ]
    assert metrics.label("mine") == "mine"
    assert metrics.label("w2s_dpo") == "W2S TreeDPO"


@pytest.mark.parametrize(
    ("episodes", "message"),
    [
        ([], "none found"),
        ([episode("sft_weak", task="a"), episode("sft_weak", task="a")], "task a occurs more than once"),
        ([episode("sft_weak", task="a"), episode("sft_strong", task="b")], "sft_strong.*other tasks"),
    ],
)
def test_unfit_episodes_are_refused(episodes: list[Episode], message: str) -> None:
    with pytest.raises(UserError, match=message):
        metrics.table1(episodes)


def test_per_task_averages_the_seeds() -> None:
    episodes = [
        episode("sft_weak", task="a", score=1.0, seed=0),
        episode("sft_weak", task="a", score=0.0, seed=1),
        episode("sft_weak", task="b", score=1.0, seed=0),
        episode("sft_weak", task="b", score=1.0, seed=1),
        episode("sft_weak", task="c", score=1.0, split="seen"),
    ]
    values = metrics.per_task(
        episodes, environment="alfworld", model="sft_weak", split="unseen", measure="success_rate"
    )
    assert values == {"a": 0.5, "b": 1.0}


def test_conduct_counts_what_went_wrong() -> None:
    steps = (
        step("look"),
        step("fly", answer="Nothing happens."),
        step("fly", answer="Nothing happens."),
        step("mumble", answer="Nothing happens.", valid=False),
    )
    (row,) = metrics.conduct([Episode("sft_weak", 0, "seen", replace(trajectory(["look"]), steps=steps))])
    assert (row.episodes, row.steps) == (1, 4.0)
    assert (row.unparsed, row.refused, row.repeated) == (0.25, 0.5, 0.25)


def test_score_by_step_holds_the_last_score() -> None:
    graded = replace(trajectory(["look"]), steps=(step("look", score=0.25), step("look", score=0.75)))
    reached = metrics.score_by_step([graded, trajectory(["look"], score=1.0)], steps=3)
    assert reached.tolist() == [0.0, 0.625, 0.875, 0.875]
    assert metrics.score_by_step([replace(graded, steps=())], steps=1).tolist() == [0.0, 0.0]
