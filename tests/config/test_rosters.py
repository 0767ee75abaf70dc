"""The rosters: names of their own, from sources that are there."""

import pytest
import yaml

from w2sg.config import params


def test_rosters(values, problems):
    preference, imitation = values["preference"]["w2s_dpo"], values["imitation"]["w2s_mcts"]
    values["preference"] = {"sft_weak": preference, "both": preference | {"data": "mcts"}, "Two words": preference}
    values["imitation"] = {"both": imitation | {"init": "base"}}
    values["inference"] = {"best_of_n": values["inference"]["best_of_n"] | {"model": "w2s_dpo"}}
    values["theorem"] |= {"method": "both", "superior": "sft_weak"}
    values["inference"]["both"] = values["inference"]["best_of_n"] | {"model": "sft_weak"}
    assert problems(values) == [
        "preference.Two words: 'Two words' is no name; "
        "allowed are small letters, digits and _, a letter first, 64 at most",
        "preference.both.data: "
        "input should be 'tree', 'shuffled', 'expert', 'random', 'eto' or 'ceiling' (found 'mcts')",
        "imitation.both.init: input should be 'sft_weak', 'sft_strong', 'base_weak' or 'base_strong' (found 'base')",
        "inference.best_of_n.model: input should be 'sft_weak' or 'sft_strong' (found 'w2s_dpo')",
        "preference.sft_weak: another model has this name; choose one of its own",
        "imitation.both: another model has this name; choose one of its own",
        "inference.both: another model has this name; choose one of its own",
    ]


def test_what_nobody_explores(values, problems):
    values["explore"]["roles"] = ["weak"]
    sources = "is made from the strong model's exploration; add strong to explore.roles"
    assert problems(values) == [
        f"preference.ceiling.data: ceiling {sources}",
        f"preference.eto.data: eto {sources}",
    ]
    values["explore"]["roles"] = ["strong"]
    assert problems(values) == [
        "explore.roles: weak is missing; the trees, and what follows, are made from its exploration"
    ]


def test_without_the_strong_models_exploration(values, tmp_path):
    """The strong model need not explore where no method learns from it."""
    values["explore"]["roles"] = ["weak"]
    del values["preference"]["eto"], values["preference"]["ceiling"]
    values["preference"]["random_dpo"] = values["preference"]["w2s_dpo"] | {"data": "random"}
    values |= {"inference": {}, "theorem": values["theorem"] | {"superior": "random_dpo"}}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values))
    assert params.load(path).inference == {}


@pytest.mark.parametrize("roster", ["preference", "imitation"])
def test_a_roster_without_methods(values, problems, roster):
    """Its evaluation would wait for models that nobody trains."""
    values[roster] = {}
    assert f"{roster}: is empty; give at least one" in problems(values)
