"""A batch in parts is the batch: the same order, the same loss, the same weights."""

import random

import pytest
import torch
from transformers import LlamaForCausalLM

from w2sg.config.data import Diversity
from w2sg.config.training import Dpo, Lora
from w2sg.training import trainer_setup
from w2sg.training.batches import GroupedSampler
from w2sg.training.exploration import train_diverse
from w2sg.training.micro_batches import lengths_of, parts, pick
from w2sg.training.preference import train_dpo
from w2sg.training.reference import turn_logprobs
from w2sg.training.sft import train_sft

from .conftest import weights
from .test_preference import twin_of

# PEFT 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

LORA = Lora(r=4, alpha=8, dropout=0.0, targets=("q_proj", "v_proj"))


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
@pytest.mark.parametrize("tokens", [None, 1, 60, 100, 10_000])
def test_every_example_is_in_one_part_of_one_process(tokens: int | None, processes: int) -> None:
    rng = random.Random(0)
    lengths = [rng.randint(1, 80) for _ in range(17)]
    dealt = parts(lengths, tokens=tokens, processes=processes)
    assert len(dealt) == processes
    assert sorted(number for own in dealt for part in own for number in part) == list(range(17))
    assert len({len(own) for own in dealt}) == 1, "processes that wait for each other take as many steps"
    for own in dealt:
        assert own == sorted(own, key=lambda part: not part), "stand-ins come last"
        for part in filter(None, own):
            padded = len(part) * max(lengths[number] for number in part)
            assert tokens is None or len(part) == 1 or padded <= tokens
    work = [sum(lengths[number] for part in own for number in part) for own in dealt]
    assert max(work) - min(work) <= max(lengths)


def test_a_batch_without_a_bound_is_taken_as_it_is() -> None:
    assert parts([3, 9, 5], tokens=None) == [[[0, 1, 2]]]
    assert parts([3, 9], tokens=None, processes=3) == [[[1]], [[0]], [[]]]


def test_examples_of_two_sides_are_picked_with_both() -> None:
    batch = {
        "input_ids": torch.tensor([[1, 1, 0], [2, 2, 2], [3, 0, 0], [4, 4, 0], [5, 5, 5], [6, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 0], [1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 0]]),
        "ref": torch.tensor([0.1, 0.2, 0.3]),
    }
    assert lengths_of(batch, sides=2) == [4, 6, 2]
    part = pick(batch, [2, 0], sides=2)
    assert part["input_ids"].tolist() == [[3, 0], [1, 1], [6, 0], [4, 4]]
    assert part["ref"].tolist() == pytest.approx([0.3, 0.1])


@pytest.fixture
def fine(optimization):
    """Three updates, the last of them of fewer sequences."""
    return optimization.model_copy(update={"epochs": 1, "batch": 9, "learning_rate": 1e-3})


@pytest.fixture
def forwards(monkeypatch) -> list[int]:
    """Rows of every part that is trained on."""
    seen: list[int] = []
    step = trainer_setup.Trainer.training_step

    def watched(self, model, inputs, *values):
        seen.append(len(inputs["packed"].scored if "packed" in inputs else inputs["input_ids"]))
        return step(self, model, inputs, *values)

    monkeypatch.setattr(trainer_setup.Trainer, "training_step", watched)
    return seen


def train(method: str, model, tokenizer, conversations, pairs, optimization, *, lora):
    """Three updates by one of the five losses."""
    if method == "sft":
        return train_sft(
            model, tokenizer, conversations, optimization=optimization, lora=lora, assistant_only=True, seed=0
        )
    if method == "eq. 5":
        diversity = Diversity(weight=0.7, clamp=1.0, optimization=optimization)
        return train_diverse(model, tokenizer, conversations, diversity=diversity, lora=lora, seed=0)
    weak = LlamaForCausalLM(model.config).eval()
    with torch.no_grad():
        for number, weight in enumerate(weak.parameters()):
            weight.copy_(torch.sin(torch.arange(weight.numel()) * (1.0 + number)).reshape(weight.shape) * 0.1)
    three = optimization.model_copy(update={"batch": 2})
    dpo = Dpo(
        beta=0.5,
        eq6="literal" if method == "literal" else "dpo",
        likelihood=0.7 * (method == "rpo"),
        optimization=three,
        lora=lora,
    )
    turns = turn_logprobs(weak, tokenizer, pairs, batch=4)
    return train_dpo(model, tokenizer, pairs, turns, dpo=dpo, seed=0, reference=(weak, tokenizer))


@pytest.mark.parametrize("lora", [None, LORA], ids=["all weights", "lora"])
@pytest.mark.parametrize("method", ["sft", "dpo", "literal", "rpo", "eq. 5"])
def test_parts_give_the_weights_of_the_whole(
    method, lora, model, tokenizer, conversations, pairs, fine, forwards
) -> None:
    twin, before = twin_of(model), weights(model)
    whole, log = train(method, model, tokenizer, conversations, pairs, fine, lora=lora)
    assert len(forwards) == 3
    forwards.clear()
    bounded = fine.model_copy(update={"micro_tokens": 200})
    in_parts, log_of_parts = train(method, twin, tokenizer, conversations, pairs, bounded, lora=lora)
    assert len(forwards) >= 6, forwards
    if lora:
        whole, in_parts = whole.unload(), in_parts.unload()
    moved = 0.0
    for name, value in weights(in_parts).items():
        torch.testing.assert_close(value, weights(whole)[name], atol=1e-5, rtol=0.0)
        moved = max(moved, float((value - before[name]).abs().max()))
    assert moved > 1e-4
    for one, other in zip(log, log_of_parts, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_parts_leave_the_order_of_the_data_alone(model, tokenizer, conversations, pairs, fine, monkeypatch) -> None:
    orders: list[list[int]] = []

    class Watched(GroupedSampler):
        def __iter__(self):
            order = list(super().__iter__())
            orders.append(order)
            return iter(order)

    monkeypatch.setattr(trainer_setup, "GroupedSampler", Watched)
    for bound in (None, 100):
        settings = fine.model_copy(update={"micro_tokens": bound, "epochs": 2})
        train("sft", twin_of(model), tokenizer, conversations, pairs, settings, lora=None)
    assert orders[:2] == orders[2:]
