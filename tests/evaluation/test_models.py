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


def test_a_method_of_beta_0_learns_from_the_chosen_sides_alone() -> None:
    entry = {"init": "sft_strong", "data": "tree", "dpo": {"beta": 0.1}}
    found = models.origins(
        {"preference": {"both": entry, "one": entry | {"dpo": {"beta": 0.0}}, "plain": entry | {"dpo": None}}}
    )
    assert {name: origin.data for name, origin in found.items()} == {
        "both": "tree",
        "one": "tree_chosen",
        "plain": "tree",
    }
