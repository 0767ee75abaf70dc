"""Episodes grouped by environment, split and model."""

from w2sg.contracts.trajectories import Trajectory
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.scores import average_reward

from .builders import episode, evaluation


def test_every_episode_is_in_its_own_cell_in_the_order_given() -> None:
    episodes = evaluation(tasks=3, seeds=(0, 1)) + evaluation(tasks=2, environment="webshop")
    grouped = GroupedEpisodes(episodes)
    found = 0
    for environment in grouped.environments:
        for split in grouped.splits_of(environment):
            for model, own in grouped.by_model(environment, split).items():
                place = (environment, split, model)
                assert own == [e for e in episodes if (e.trajectory.environment, e.split, e.model) == place]
                found += len(own)
    assert found == len(episodes)


def test_environments_are_sorted_splits_and_models_in_the_order_of_the_tables() -> None:
    grouped = GroupedEpisodes(
        [
            episode("base_weak", environment="webshop", split="unseen"),
            episode("mine", environment="webshop", split="unseen"),
            episode("sft_strong", environment="alfworld", split="seen"),
            episode("sft_weak", environment="webshop", split="unseen"),
        ]
    )
    assert grouped.environments == ["alfworld", "webshop"]
    assert grouped.models == ["sft_weak", "sft_strong", "mine", "base_weak"]
    assert list(grouped.by_model("webshop", "unseen")) == ["sft_weak", "mine", "base_weak"]
    assert (grouped.splits_of("webshop"), grouped.splits_of("alfworld")) == (["unseen"], ["seen"])
    assert grouped.by_model("webshop", "seen") == grouped.values("webshop", "seen", average_reward) == {}


def test_values_are_by_task_in_the_order_of_the_seeds() -> None:
    episodes = [
        episode("sft_weak", task="b", score=0.5, seed=0),
        episode("sft_weak", task="a", score=1.0, seed=1),
        episode("sft_weak", task="a", score=0.0, seed=0),
        episode("sft_weak", task="c", score=1.0, split="seen"),
        episode("eto", task="b", score=1.0),
    ]
    values = GroupedEpisodes(episodes).values("alfworld", "unseen", average_reward)
    assert values == {"sft_weak": {"a": [0.0, 1.0], "b": [0.5]}, "eto": {"b": [1.0]}}
    assert [list(by_task) for by_task in values.values()] == [["a", "b"], ["b"]]


def test_a_measure_reads_each_episode_once() -> None:
    read: list[str] = []

    def measure(trajectory: Trajectory) -> float:
        read.append(trajectory.task_id)
        return 0.0

    grouped = GroupedEpisodes(evaluation(tasks=4))
    assert grouped.values("alfworld", "seen", measure) == grouped.values("alfworld", "seen", measure)
    assert len(read) == 4 * len(grouped.models)


def test_rewards_of_0_and_1_alone_are_binary() -> None:
    grouped = GroupedEpisodes([episode("eto", score=1.0), episode("eto", score=0.5, environment="webshop")])
    assert (grouped.binary("alfworld"), grouped.binary("webshop")) == (True, False)
