"""The other readings of the paper that `sensitivity.py` measures, each a change to params.yaml."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GROUPS = {"w2s_dpo": "preference", "w2s_mcts": "imitation"}
BOTH = tuple(GROUPS)


@dataclass(frozen=True, slots=True)
class Reading:
    """An alternative to the default: which question it answers otherwise, how, and whom it concerns."""

    question: str
    text: str
    changes: Mapping[str, Any]
    methods: tuple[str, ...]

    @property
    def recorded(self) -> str:
        """The changes as the table keeps them."""
        return json.dumps(dict(self.changes))


SIX_RUNS = [
    {"temperature": 0.0, "top_p": 1.0, "model": "sft"},
    {"temperature": 0.7, "top_p": 0.9, "model": "sft"},
    {"temperature": 1.0, "top_p": 0.8, "model": "sft"},
    {"temperature": 1.0, "top_p": 0.8, "model": "sft"},
    {"temperature": 1.0, "top_p": 0.9, "model": "sft"},
    {"temperature": 0.7, "top_p": 0.9, "model": "base"},
]
NARROW = [{"temperature": temperature, "top_p": 1.0, "model": "sft"} for temperature in (0.0, 0.2, 0.3, 0.4, 0.5, 0.6)]
PAPERS_LORA = {"r": 64, "alpha": 128, "dropout": 0.05, "targets": ["q_proj", "k_proj", "v_proj", "o_proj"]}
HALF_DIVERSE = [
    {"temperature": temperature, "top_p": top_p, "model": model}
    for temperature, top_p in ((0.5, 1.0), (0.7, 0.95), (0.8, 1.0))
    for model in ("sft", "diverse")
]
EQ5 = {
    "weight": 0.3,
    "clamp": 0.5,
    "optimization": {
        "epochs": 1,
        "batch": 8,
        "micro_tokens": None,
        "learning_rate": 1.0e-3,
        "schedule": "cosine",
        "warmup": 0.03,
        "weight_decay": 0.0,
        "adam_beta2": 0.999,
        "precision": "auto",
    },
}

READINGS = (
    Reading("A1", "merge equal observations alone", {"tree.merge_key": "exact"}, BOTH),
    Reading("A1", "compare observation and thought, as the authors", {"tree.merge_key": "observation+thought"}, BOTH),
    Reading("A1", "xi 0.5", {"tree.similarity": 0.5}, BOTH),
    Reading("A2", "gamma 0.2", {"mcts.gamma": 0.2}, ("w2s_mcts",)),
    Reading("A2", "100 iterations", {"mcts.iterations": 100}, ("w2s_mcts",)),
    Reading("A2", "ties by visits, whatever the length", {"mcts.ties": "visits"}, ("w2s_mcts",)),
    Reading("A6", "e* in the words of the first sample at each node", {"mcts.words": "first"}, ("w2s_mcts",)),
    Reading("A6", "imitate every e*, whatever its score", {"mcts.minimum_score": 0.0}, ("w2s_mcts",)),
    Reading("A6", "keep e* whose replay differs", {"mcts.uncertified": "keep"}, ("w2s_mcts",)),
    Reading("A8", "eq. 6 to the letter", {"dpo.eq6": "literal"}, ("w2s_dpo",)),
    Reading("eq. 6", "beta 0.5", {"dpo.beta": 0.5}, ("w2s_dpo",)),
    Reading("A9", "the starting point as the reference", {"preference.w2s_dpo.reference": "sft_strong"}, ("w2s_dpo",)),
    Reading("A11", "best against worst whole trajectory, as the authors", {"pairs.whole_path": True}, ("w2s_dpo",)),
    Reading("A11", "both sides to their ends", {"pairs.turns": None}, ("w2s_dpo",)),
    Reading("A11", "G of a branch is its maximum", {"pairs.aggregate": "max"}, ("w2s_dpo",)),
    Reading("A11", "gap of at least 0.1", {"pairs.minimum_gap": 0.1}, ("w2s_dpo",)),
    Reading(
        "A12",
        "three of six runs by a policy of eq. 5",
        {"explore.diversity": EQ5, "explore.schedule": HALF_DIVERSE},
        BOTH,
    ),
    Reading("A13", "the authors' six runs, one by the base", {"explore.schedule": SIX_RUNS}, BOTH),
    Reading("A13", "a narrow spread near greedy", {"explore.schedule": NARROW}, BOTH),
    Reading("A14", "LoRA of the paper's size", {"dpo.lora": PAPERS_LORA, "imitate.lora": PAPERS_LORA}, BOTH),
    Reading("A15", "cosine for DPO", {"dpo.optimization.schedule": "cosine"}, ("w2s_dpo",)),
    Reading("A23", "imitation from the base", {"imitation.w2s_mcts.init": "base_strong"}, ("w2s_mcts",)),
    Reading("A23", "no demonstrations mixed in", {"imitation.w2s_mcts.expert_share": 0.0}, ("w2s_mcts",)),
)
