"""Models and environments of an evaluation: names that a reader knows, the models' order in tables, their origins."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

OF_THE_PAPER = {  # in the order of Table 1
    "sft_weak": "SFT weak",
    "w2s_dpo": "W2S TreeDPO",
    "w2s_mcts": "W2S MCTS",
    "sft_strong": "SFT strong",
    "eto": "ETO",
    "best_of_n": "Best of N (reward known)",
    "ceiling": "Ceiling",
}
CONTROLS = {  # that the paper does not have; below Table 1, in this order
    "paper_dpo": "TreeDPO to the letter",
    "paper_mcts": "MCTS to the letter",
    "shuffled_dpo": "TreeDPO, shuffled labels",
    "expert_dpo": "TreeDPO, expert's labels",
    "random_dpo": "DPO on random pairs",
    "chosen_only": "Chosen sides alone",
    "best_of_m": "SFT on best of M",
    "own_best": "SFT on its own best of M",
    "both_best": "SFT on the best of both",
    "expert_paths": "SFT on expert paths",
    "more_sft": "SFT strong, trained on",
    "naive": "Base strong, weak samples alone",
    "confident": "Base strong, confidence loss",
    "alone": "Base strong, best of M alone",
    "all_wins": "Base strong, all wins alone",
    "base_weak": "Base weak",
    "base_strong": "Base strong",
}
LABELS = OF_THE_PAPER | CONTROLS

CHOSEN = "_chosen"  # ends the kind of data that is another's without the rejected sides
ENVIRONMENTS = {"webshop": "WebShop", "scienceworld": "ScienceWorld", "alfworld": "ALFWorld"}


def environment_label(environment: str) -> str:
    """The name a reader knows an environment by; one of unknown name keeps its own."""
    return ENVIRONMENTS.get(environment, environment)


def label(model: str) -> str:
    """The name a reader knows a model by; a method of unknown name keeps its own."""
    return LABELS.get(model, model)


def in_table_order(models: Iterable[str]) -> list[str]:
    """Distinct models in the order of Table 1; below it methods of other names as they come, then the controls."""
    given = list(dict.fromkeys(models))
    of_the_paper = [model for model in OF_THE_PAPER if model in given]
    others = [model for model in given if model not in LABELS]
    controls = [model for model in CONTROLS if model in given]
    return [*of_the_paper, *others, *controls]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a method comes from; a student that learns nothing scores what its start scores.

    Attributes:
        start: the model that it starts from.
        data: the kind of data that it learns from, ended by CHOSEN where a beta of 0 leaves the rejected sides out;
            empty for a method that trains nothing.
        settings: all else that its entry says, as text: methods of equal settings differ in their data alone.
        pairs: how its pairs are made, as text.
    """

    start: str
    data: str = ""
    settings: str = ""
    pairs: str = ""


def origins(params: Mapping[str, Any]) -> dict[str, Origin]:
    """Every method of the rosters, by name."""
    trained = {**params.get("preference", {}), **params.get("imitation", {})}
    found = {}
    for name, entry in trained.items():
        rest = {key: value for key, value in entry.items() if key not in ("init", "data")}
        winners = CHOSEN if (entry.get("dpo") or {}).get("beta") == 0 else ""
        pairs = entry["pairs"] or params.get("pairs") if "pairs" in entry else None
        found[name] = Origin(
            entry["init"],
            entry["data"] + winners,
            settings=json.dumps(rest, sort_keys=True),
            pairs=json.dumps(pairs, sort_keys=True) if pairs else "",
        )
    return found | {name: Origin(entry["model"]) for name, entry in params.get("inference", {}).items()}
