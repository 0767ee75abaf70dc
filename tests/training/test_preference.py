import dataclasses
import math

import pytest
import torch
from datasets import Dataset
from transformers import LlamaForCausalLM, PreTrainedModel, Trainer, TrainerCallback
from trl import DPOConfig, DPOTrainer

from w2sg.config.rosters import PreferenceMethod
from w2sg.config.training import Dpo, Lora, Optimization
from w2sg.contracts.errors import UserError
from w2sg.contracts.pairs import Pair
from w2sg.training import preference as stage
from w2sg.training import trainer_setup
from w2sg.training.encoding import Encoded
from w2sg.training.preference import train_dpo
from w2sg.training.preference_card import card
from w2sg.training.reference import EncodedPair, side_logprobs, turn_logprobs
from w2sg.training.trainer_log import TrainingLog

from .conftest import same, weights

# PEFT 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

RPO = 0.7

LORA = Lora(r=4, alpha=8, dropout=0.0, targets=("q_proj", "v_proj"))


@pytest.fixture
def dpo(optimization: Optimization) -> Dpo:
    """One batch holds all six pairs."""
    return Dpo(beta=0.1, eq6="dpo", likelihood=0.0, optimization=optimization, lora=None)


@pytest.fixture
def reference(other_model, other_tokenizer, pairs):
    """Log-probabilities under a model of another size and vocabulary."""
    return turn_logprobs(other_model, other_tokenizer, pairs, batch=4)


def twin_of(model: LlamaForCausalLM) -> LlamaForCausalLM:
    twin = LlamaForCausalLM(model.config)
    twin.load_state_dict(weights(model))
    return twin


def margins(policy, reference, *, beta: float) -> torch.Tensor:
    policy, reference = side_logprobs(policy), side_logprobs(reference)
    ratio = {key: policy[key] - reference[key] for key in policy}
    ids = sorted({pair_id for pair_id, _ in ratio})
    return beta * torch.tensor([ratio[number, "chosen"] - ratio[number, "rejected"] for number in ids])


def test_the_first_step_has_the_margin_of_the_stored_reference(model, tokenizer, pairs, reference, dpo) -> None:
    expected = margins(turn_logprobs(model, tokenizer, pairs, batch=4), reference, beta=dpo.beta)
    assert expected.abs().min() > 1e-3
    _, log = train_dpo(model, tokenizer, pairs, reference, dpo=dpo, seed=0)
    for row in log[:2]:  # before training, and the first update, whose batch holds all pairs
        assert row["margin"] == pytest.approx(float(expected.mean()), abs=1e-4)
        assert row["loss"] == pytest.approx(float(-torch.nn.functional.logsigmoid(expected).mean()), abs=1e-4)
        assert row["accuracy"] == pytest.approx(float((expected > 0).float().mean()))


def test_the_log_starts_before_the_first_update(model, tokenizer, pairs, reference, dpo) -> None:
    _, log = train_dpo(model, tokenizer, pairs, reference, dpo=dpo, seed=0)
    assert [row["step"] for row in log] == [0, 1, 2]
    assert all(set(row) == {"step", "epoch", "loss", "learning_rate", "margin", "accuracy"} for row in log)


def test_against_itself_the_first_margin_is_zero(model, tokenizer, pairs, dpo) -> None:
    own = turn_logprobs(model, tokenizer, pairs, batch=4)
    _, log = train_dpo(model, tokenizer, pairs, own, dpo=dpo, seed=0)
    assert log[0]["margin"] == pytest.approx(0.0, abs=1e-6)
    assert log[1]["loss"] == pytest.approx(0.693147, abs=1e-4)


def test_training_raises_the_margin(model, tokenizer, pairs, reference, dpo) -> None:
    longer = dpo.model_copy(update={"optimization": dpo.optimization.model_copy(update={"epochs": 8})})
    trained, log = train_dpo(model, tokenizer, pairs, reference, dpo=longer, seed=0)
    after = margins(turn_logprobs(trained, tokenizer, pairs, batch=4), reference, beta=dpo.beta)
    assert float(after.mean()) > log[0]["margin"] + 0.1
    assert log[-1]["loss"] < log[0]["loss"]


@pytest.mark.parametrize("lora", [None, LORA], ids=["all weights", "lora"])
def test_the_same_seed_gives_the_same_weights_and_log(model, tokenizer, pairs, reference, dpo, lora) -> None:
    dpo = dpo.model_copy(update={"lora": lora})
    twin, before = twin_of(model), weights(model)
    one, log = train_dpo(model, tokenizer, pairs, reference, dpo=dpo, seed=0)
    torch.rand(5)
    two, log_again = train_dpo(twin, tokenizer, pairs, reference, dpo=dpo, seed=0)
    assert same(weights(one), weights(two))
    assert log == log_again
    assert not one.training
    one = one.unload() if lora else one
    assert type(one) is LlamaForCausalLM
    assert not same(weights(one), before)


def test_observations_of_the_sides_are_not_scored(model, tokenizer, pairs, dpo) -> None:
    """The log-probability that TRL sums in its first step is the turns' own."""
    turns = turn_logprobs(model, tokenizer, pairs, batch=4)
    zero = [dataclasses.replace(turn, logprob=0.0) for turn in turns]
    _, log = train_dpo(model, tokenizer, pairs, zero, dpo=dpo, seed=0)
    own = side_logprobs(turns)
    mean = sum(value if side == "chosen" else -value for (_, side), value in own.items()) / len(pairs)
    assert log[1]["margin"] == pytest.approx(dpo.beta * mean, abs=1e-4)


class Gradients(TrainerCallback):
    """The gradients of every update."""

    def __init__(self) -> None:
        self.updates: list[dict[str, torch.Tensor]] = []

    def on_pre_optimizer_step(self, args, state, control, model, **_) -> None:
        learned = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.updates.append({name: weight.grad.clone() for name, weight in learned.items()})


@pytest.mark.parametrize("likelihood", [0.0, RPO], ids=["dpo", "rpo"])
def test_plain_pairs_train_as_with_trl_alone(
    model, tokenizer, pairs: list[Pair], dpo: Dpo, tmp_path, monkeypatch, likelihood: float
) -> None:
    """Single turns against the starting model: TRL's own data path, reference and head give the same updates.

    With a likelihood term all chosen turns are the same, so that TRL's mean over tokens is ours over sides.
    """
    dpo = dpo.model_copy(update={"likelihood": likelihood})
    ours_gradients, trl_gradients = Gradients(), Gradients()
    monkeypatch.setattr(
        TrainingLog,
        "on_pre_optimizer_step",
        lambda _, *values, **named: ours_gradients.on_pre_optimizer_step(*values, **named),
    )
    plain = [
        dataclasses.replace(pair, chosen=(pairs[0] if likelihood else pair).chosen[:1], rejected=pair.rejected[:1])
        for pair in pairs
    ]
    twin = twin_of(model)
    own = turn_logprobs(model, tokenizer, plain, batch=4)
    ours, log = train_dpo(model, tokenizer, plain, own, dpo=dpo, seed=0)

    class Plain(DPOTrainer):
        def _send_telemetry(self) -> None:
            pass

        def _get_train_sampler(self, train_dataset=None):
            return torch.utils.data.SequentialSampler(self.train_dataset)

    rows = [{"prompt": pair.history, "chosen": pair.chosen, "rejected": pair.rejected} for pair in plain]
    settings = trainer_setup.trainer_arguments(dpo.optimization, rows=len(rows), folder=str(tmp_path), seed=0)
    trainer = Plain(
        model=twin,
        ref_model=twin_of(twin),
        args=DPOConfig(**settings, beta=dpo.beta, loss_type=["sigmoid", "sft"], loss_weights=[1.0, likelihood]),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[trl_gradients],
    )
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert [row["loss"] for row in log[1:]] == pytest.approx(losses, abs=1e-5)
    assert len(ours_gradients.updates) == len(trl_gradients.updates) == 2
    for one, other in zip(ours_gradients.updates, trl_gradients.updates, strict=True):
        assert one.keys() == other.keys()
        assert max(float(gradient.abs().max()) for gradient in one.values()) > 0.01
        for name, gradient in one.items():
            torch.testing.assert_close(gradient, other[name], atol=1e-5, rtol=0.0)
    # Adam divides a gradient by its own size: where that size is rounding noise, so is the update.
    steady = {name: gradient.abs() > 1e-4 for name, gradient in ours_gradients.updates[0].items()}
    assert sum(int(kept.sum()) for kept in steady.values()) > 1000
    theirs = weights(trainer.model)
    for name, kept in steady.items():
        torch.testing.assert_close(weights(ours)[name][kept], theirs[name][kept], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_adapters_drop_what_they_are_told_to(model, tokenizer, pairs, reference, dpo, dropout, monkeypatch) -> None:
    """TRL turns dropout off unless it is told otherwise."""
    found: list[set[float]] = []

    def look(trainer: Trainer) -> PreTrainedModel:
        found.append({each.p for each in trainer.model.modules() if isinstance(each, torch.nn.Dropout)})
        return trainer.model

    monkeypatch.setattr(stage, "run", look)
    settings = dpo.model_copy(update={"lora": LORA.model_copy(update={"dropout": dropout})})
    train_dpo(model, tokenizer, pairs, reference, dpo=settings, seed=0)
    assert found == [{dropout} if dropout else set()]


@pytest.mark.parametrize("lora", [None, LORA], ids=["all weights", "lora"])
def test_the_likelihood_of_the_chosen_side_is_added(model, tokenizer, pairs, reference, dpo, lora) -> None:
    """RPO: the chosen turns' negative log-likelihood, per token of a side, averaged over the pairs."""
    turns = turn_logprobs(model, tokenizer, pairs, batch=4)
    each = []
    for pair in pairs:
        chosen = [turn for turn in turns if turn.pair_id == pair.pair_id and turn.side == "chosen"]
        each.append(-sum(turn.logprob for turn in chosen) / sum(turn.tokens for turn in chosen))
    expected = sum(each) / len(each)
    assert len({round(value, 3) for value in each}) > 1 and expected > 1.0
    sigmoid = float(-torch.nn.functional.logsigmoid(margins(turns, reference, beta=dpo.beta)).mean())
    settings = dpo.model_copy(update={"likelihood": RPO, "lora": lora})
    _, log = train_dpo(model, tokenizer, pairs, reference, dpo=settings, seed=0)
    for row in log[:2]:  # before training, and the first update, whose batch holds all pairs
        assert row["nll"] == pytest.approx(expected, abs=1e-4)
        assert row["loss"] == pytest.approx(sigmoid + RPO * expected, abs=1e-4)


def test_a_beta_of_0_learns_from_the_chosen_sides_alone(model, tokenizer, pairs, reference, dpo) -> None:
    """The rejected sides, changed beyond recognition, change no weight; the chosen ones become likelier."""
    settings = dpo.model_copy(update={"beta": 0.0, "likelihood": 1.0})
    start, twin = twin_of(model), twin_of(model)
    one, log = train_dpo(model, tokenizer, pairs, reference, dpo=settings, seed=0)
    assert log[0]["loss"] == pytest.approx(math.log(2) + log[0]["nll"], abs=1e-5)
    before, after = (side_logprobs(turn_logprobs(each, tokenizer, pairs, batch=4)) for each in (start, one))
    assert sum(value - before[key] for key, value in after.items() if key[1] == "chosen") > 1.0
    told = [{"role": "assistant", "content": "Thought: none\nAction: wait"}]
    changed = [dataclasses.replace(pair, rejected=told) for pair in pairs]
    turns = turn_logprobs(twin, tokenizer, changed, batch=4)
    other, _ = train_dpo(twin, tokenizer, changed, turns, dpo=settings, seed=0)
    for name, value in weights(one).items():
        torch.testing.assert_close(weights(other)[name], value, atol=1e-4, rtol=1e-3)


def test_without_it_nothing_of_it_is_logged(model, tokenizer, pairs, reference, dpo) -> None:
    _, log = train_dpo(model, tokenizer, pairs, reference, dpo=dpo, seed=0)
    assert all("nll" not in row for row in log)


def test_an_extreme_start_is_told_in_one_line(model, tokenizer, pairs, reference, dpo, capsys) -> None:
    far = [dataclasses.replace(turn, logprob=turn.logprob * 50) for turn in reference]
    train_dpo(model, tokenizer, pairs, far, dpo=dpo, seed=0)
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(lines) == 1
    assert "the mean absolute margin is" in lines[0] and "lower dpo.beta" in lines[0]
    train_dpo(model, tokenizer, pairs, turn_logprobs(model, tokenizer, pairs, batch=4), dpo=dpo, seed=0)
    assert "warning" not in capsys.readouterr().err


def test_no_pairs_are_refused(model, tokenizer, dpo) -> None:
    with pytest.raises(UserError, match="dpo: there is not one pair"):
        train_dpo(model, tokenizer, [], [], dpo=dpo, seed=0)


def test_the_reference_of_other_pairs_is_refused(model, tokenizer, pairs, reference, dpo) -> None:
    with pytest.raises(UserError, match="run the stage reference again"):
        train_dpo(model, tokenizer, pairs, reference[:-1], dpo=dpo, seed=0)


@pytest.mark.parametrize("lora", [None, LORA], ids=["all weights", "lora"])
def test_the_card_says_what_was_done(pairs, dpo, lora) -> None:
    log = [
        {"step": 0, "epoch": 0.0, "loss": 0.8, "learning_rate": 0.0, "margin": -0.25, "accuracy": 0.5},
        {"step": 9, "epoch": 2.0, "loss": 0.4, "learning_rate": 0.0, "margin": 1.5, "accuracy": 1.0},
    ]
    entry = PreferenceMethod(init="sft_strong", data="tree", reference="sft_weak", pairs=None, dpo=None)
    text = card(
        method="w2s_dpo",
        environment="alfworld",
        seed=7,
        entry=entry,
        dpo=dpo.model_copy(update={"lora": lora}),
        pairs=pairs,
        log=log,
    )
    assert text.startswith("# w2s_dpo, alfworld, seed 7\n")
    for part in (
        "of sft_strong, with sft_weak as",
        "6 of kind tree, from 6 tasks",
        "| beta | 0.1 |",
        "mean margin -0.2500",
    ):
        assert part in text
    assert ("| LoRA r=4, alpha=8 |" if lora else "all weights") in text


def before(*margins: float) -> dict[str, float]:
    """What is logged before the first update, of pairs with these margins."""
    nothing = Encoded([], [])
    encoded = [EncodedPair(number, nothing, nothing, 1, 1) for number in range(len(margins))]
    policy = {
        (n, side): own if side == "chosen" else 0.0 for n, own in enumerate(margins) for side in ("chosen", "rejected")
    }
    return stage._state_before(encoded, policy, dict.fromkeys(policy, 0.0), beta=1.0)


def test_margins_that_cancel_are_extreme_all_the_same(capsys):
    assert before(50.0, -50.0)["margin"] == 0.0
    assert "the mean absolute margin is 50.0" in capsys.readouterr().err


def test_a_margin_of_0_is_no_hit():
    assert before(0.0, 1.0, -1.0, 2.0)["accuracy"] == 0.5
