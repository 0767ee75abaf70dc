"""Two tiny models with different vocabularies, and conversations between an agent and a small house."""

import random
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from w2sg.config.models import FromScratch
from w2sg.config.training import Optimization
from w2sg.contracts.messages import Message
from w2sg.contracts.pairs import Pair
from w2sg.training import bases
from w2sg.training.tokenizer import train_tokenizer

OBJECTS = ("mug", "apple", "knife", "lamp", "book", "towel")
PLACES = ("drawer 1", "shelf 2", "fridge 1", "desk 3")


def episode(rng: random.Random, *, turns: int) -> list[Message]:
    """Alternating observations and responses."""
    messages: list[Message] = []
    for _ in range(turns):
        thing, place = rng.choice(OBJECTS), rng.choice(PLACES)
        messages.append(Message(role="user", content=f"On the {place}, you see a {thing} and a {rng.choice(OBJECTS)}."))
        messages.append(
            Message(role="assistant", content=f"Thought: I need the {thing}.\nAction: take {thing} from {place}")
        )
    return messages


@pytest.fixture(scope="session")
def conversations() -> list[list[Message]]:
    rng = random.Random(0)
    return [episode(rng, turns=rng.randint(1, 5)) for _ in range(24)]


@pytest.fixture(scope="session")
def pairs() -> list[Pair]:
    """Pairs of one to three turns a side, whose histories have none to two assistant turns."""
    rng = random.Random(1)
    made = []
    for number in range(6):
        before, chosen, rejected = (episode(rng, turns=rng.randint(1, 3)) for _ in range(3))
        chosen[1] = Message(role="assistant", content=f"Thought: done.\nAction: open drawer {number}")
        made.append(
            Pair(
                environment="house",
                task_id=f"task-{number}",
                kind="tree",
                pair_id=10 + number,
                divergence=len(before) // 2 - 1,
                history=before[:-1],
                chosen=chosen[1:],
                rejected=rejected[1:],
                chosen_score=1.0,
                rejected_score=0.0,
            )
        )
    return made


@pytest.fixture(scope="session")
def tokenizer(conversations: list[list[Message]]) -> PreTrainedTokenizerFast:
    texts = [message["content"] for messages in conversations for message in messages]
    return train_tokenizer(texts, vocabulary=400, context=512)


@pytest.fixture(scope="session")
def other_tokenizer() -> PreTrainedTokenizerFast:
    """A vocabulary that cuts the same text into more tokens."""
    return train_tokenizer(["you see a mug on the shelf"], vocabulary=300, context=1024)


ARCHITECTURE = FromScratch(hidden=16, layers=1, heads=2, feedforward=32)
BIGGER = FromScratch(hidden=32, layers=2, heads=4, feedforward=48)


@pytest.fixture
def model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    return bases.create(ARCHITECTURE, tokenizer=tokenizer, context=512, seed=3)


@pytest.fixture
def other_model(other_tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Another size, another vocabulary."""
    return bases.create(BIGGER, tokenizer=other_tokenizer, context=1024, seed=4)


@pytest.fixture(scope="session")
def optimization() -> Optimization:
    return Optimization(
        epochs=2,
        batch=8,
        micro_tokens=None,
        learning_rate=1e-2,
        schedule="cosine",
        warmup=0.1,
        weight_decay=0.01,
        adam_beta2=0.999,
        precision="fp32",
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    """Equal to the last bit."""
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
