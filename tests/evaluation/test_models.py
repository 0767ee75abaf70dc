"""Names and order of the models."""

from w2sg.evaluation.measures import models


def test_methods_of_other_names_stand_between_the_papers_and_the_controls() -> None:
    assert models.in_table_order(["random_dpo", "ceiling", "mine", "sft_strong", "yours", "w2s_mcts", "mine"]) == [
        "w2s_mcts",
        "sft_strong",
        "ceiling",
        "mine",
        "yours",
        "random_dpo",
    ]
    assert models.label("mine") == "mine"
    assert models.label("w2s_dpo") == "W2S TreeDPO"
