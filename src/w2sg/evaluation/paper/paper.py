"""What the paper reports: its tables as data, to stand beside ours. Its models are LLaMA2-7B (weak) and LLaMA2-13B."""

from collections.abc import Iterable

ENVIRONMENTS = ("webshop", "scienceworld", "alfworld")  # in the order of its tables

TABLE1: dict[str, dict[str, float]] = {  # average reward, times 100
    "sft_weak": {"webshop": 47.1, "scienceworld": 41.2, "alfworld": 44.8},
    "w2s_dpo": {"webshop": 53.2, "scienceworld": 55.4, "alfworld": 56.0},
    "w2s_mcts": {"webshop": 56.9, "scienceworld": 58.2, "alfworld": 57.5},
    "sft_strong": {"webshop": 51.0, "scienceworld": 53.6, "alfworld": 51.5},
    "eto": {"webshop": 52.0, "scienceworld": 54.9, "alfworld": 53.7},
    "best_of_n": {"webshop": 52.3, "scienceworld": 55.3, "alfworld": 55.2},
    "ceiling": {"webshop": 58.3, "scienceworld": 56.9, "alfworld": 59.0},
}
TABLE2: dict[str, dict[str, float]] = {  # LLaMA3-8B, supervised by LLaMA2-13B
    "sft_strong": {"webshop": 60.8, "scienceworld": 59.5, "alfworld": 59.7},
    "w2s_dpo": {"webshop": 62.0, "scienceworld": 62.7, "alfworld": 61.9},
    "w2s_mcts": {"webshop": 65.3, "scienceworld": 67.9, "alfworld": 65.7},
}
TABLE3_SFT = 53.6  # ScienceWorld
TABLE3_BETA = {0.1: 54.9, 0.5: 49.2}  # of w2s_dpo; Table 1 has 55.4 for beta 0.1
TABLE3_BREADTH = {5: 57.6, 6: 58.2, 7: 54.9}  # of w2s_mcts
TABLE4: dict[
    str, dict[str, int]
] = {  # WebShop's one set of test tasks, listed as seen, is what is reported: unseen here
    "webshop": {"train": 1824, "unseen": 200},
    "scienceworld": {"train": 1483, "seen": 194, "unseen": 211},
    "alfworld": {"train": 3119, "seen": 140, "unseen": 134},
}


def in_order(environments: Iterable[str]) -> list[str]:
    """Distinct environments: the paper's in its order, then others by name."""
    given = set(environments)
    return [*(name for name in ENVIRONMENTS if name in given), *sorted(given.difference(ENVIRONMENTS))]


def recovered(value: float, *, environment: str) -> float:
    """(value - SFT strong) / (ceiling - SFT strong) with the paper's own figures of Table 1."""
    strong, ceiling = TABLE1["sft_strong"][environment], TABLE1["ceiling"][environment]
    return (value - strong) / (ceiling - strong)


def gain(model: str, baseline: str, *, environment: str) -> float | None:
    """How far a model is above another in Table 1, as a fraction; None where it does not have both."""
    if not {model, baseline} <= TABLE1.keys():
        return None
    return (TABLE1[model][environment] - TABLE1[baseline][environment]) / 100
