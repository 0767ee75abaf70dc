"""Rewards, success and completion, roster order, conduct."""

from dataclasses import replace

import pytest

from w2sg.contracts.errors import UserError
from w2sg.contracts.records import Episode
from w2sg.evaluation.measures import metrics

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


def test_methods_of_other_names_stand_between_the_papers_and_the_controls() -> None:
    assert metrics.roster(["random_dpo", "ceiling", "mine", "sft_strong", "yours", "w2s_mcts", "mine"]) == [
        "w2s_mcts",
        "sft_strong",
        "ceiling",
        "mine",
        "yours",
        "random_dpo",
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


def test_per_task_and_seed_keeps_the_order_of_the_seeds() -> None:
    episodes = [
        episode("sft_weak", task="a", score=1.0, seed=1),
        episode("sft_weak", task="a", score=0.0, seed=0),
        episode("eto", task="b", score=1.0),
    ]
    where = {"environment": "alfworld", "model": "sft_weak", "split": "unseen"}
    assert metrics.per_task_and_seed(episodes, measure=lambda t: t.score, **where) == {"a": [0.0, 1.0]}


def test_repeated_steps_are_those_that_say_again_what_the_step_before_said() -> None:
    assert metrics.repeated(trajectory(["look", "look", "look", "go"])) == 0.5
    assert metrics.repeated(trajectory(["look"])) == 0.0


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
