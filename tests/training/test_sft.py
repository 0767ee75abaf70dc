import random

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTTrainer

from w2sg.config.training import Lora, Optimization
from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message
from w2sg.training import precision, sft, trainer_setup
from w2sg.training.batches import GroupedSampler
from w2sg.training.encoding import encode
from w2sg.training.sft import given_and_likeliest, train_sft

from .conftest import same, weights

# PEFT 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

LORA = Lora(r=4, alpha=8, dropout=0.1, targets=("q_proj", "v_proj"))


def train(model, tokenizer, conversations, optimization, *, lora=None, assistant_only=True, seed=0):
    return train_sft(
        model,
        tokenizer,
        conversations,
        optimization=optimization,
        lora=lora,
        assistant_only=assistant_only,
        seed=seed,
    )


@pytest.mark.parametrize("lora", [None, LORA], ids=["all weights", "lora"])
def test_the_same_seed_gives_the_same_weights_and_log(model, tokenizer, conversations, optimization, lora) -> None:
    twin = LlamaForCausalLM(model.config)
    twin.load_state_dict(weights(model))
    before = weights(model)
    one, log = train(model, tokenizer, conversations, optimization, lora=lora)
    torch.rand(5), random.random()
    two, log_again = train(twin, tokenizer, conversations, optimization, lora=lora)
    assert same(weights(one), weights(two))
    assert log == log_again
    assert not same(weights(one), before)


def test_another_seed_takes_another_order(model, tokenizer, conversations, optimization) -> None:
    twin = LlamaForCausalLM(model.config)
    twin.load_state_dict(weights(model))
    one, _ = train(model, tokenizer, conversations, optimization, seed=0)
    two, _ = train(twin, tokenizer, conversations, optimization, seed=1)
    assert not same(weights(one), weights(two))


def test_the_log_has_a_row_per_update_and_the_loss_falls(model, tokenizer, conversations, optimization) -> None:
    _, log = train(model, tokenizer, conversations, optimization)
    assert [row["step"] for row in log] == list(range(1, 7))  # 24 conversations, batch 8, 2 epochs
    assert set(log[0]) == {"step", "epoch", "loss", "learning_rate"}
    assert log[-1]["epoch"] == 2.0
    assert log[-1]["loss"] < log[0]["loss"]
    # One warm-up step of six, then a cosine.
    rates = [row["learning_rate"] for row in log]
    assert rates[0] == 0.0 and rates[1] == pytest.approx(optimization.learning_rate)
    assert rates[1:] == sorted(rates[1:], reverse=True)


@pytest.mark.parametrize("lora", [None, LORA], ids=["all weights", "lora"])
def test_a_last_update_that_diverges_is_no_model(model, tokenizer, conversations, optimization, lora) -> None:
    """The loss before it is a number, and there is none after it."""
    wild = optimization.model_copy(update={"epochs": 1, "warmup": 0.0, "weight_decay": 1e300})
    with pytest.raises(UserError, match=r"^the last update left weights that are no numbers; lower learning_rate$"):
        train(model, tokenizer, conversations[:8], wild, lora=lora)


@pytest.mark.parametrize("assistant_only", [True, False])
def test_the_first_loss_is_the_mean_over_learned_tokens(
    model, tokenizer, conversations, optimization, assistant_only
) -> None:
    one_batch = conversations[:8]
    losses = []
    for messages in one_batch:
        ids, mask = encode(tokenizer, messages, name="a test")
        learned = torch.tensor(mask if assistant_only else [1] * len(ids))[1:].bool()
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
        losses.append(torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")[learned])
    _, log = train(model, tokenizer, one_batch, optimization, assistant_only=assistant_only)
    assert log[0]["loss"] == pytest.approx(float(torch.cat(losses).mean()), abs=1e-5)


def test_the_compact_head_trains_like_the_one_of_trl(
    model, tokenizer, conversations, optimization, monkeypatch
) -> None:
    twin = LlamaForCausalLM(model.config)
    twin.load_state_dict(weights(model))
    ours, log = train(model, tokenizer, conversations, optimization)

    class Plain(trainer_setup.OwnBatches, SFTTrainer):
        pass

    def run_as_trl_does(trainer):
        trainer.train()
        return trainer.model

    monkeypatch.setattr(sft, "_Trainer", Plain)
    monkeypatch.setattr(sft, "run", run_as_trl_does)
    theirs, log_of_trl = train(twin, tokenizer, conversations, optimization)
    assert [row["loss"] for row in log] == pytest.approx([row["loss"] for row in log_of_trl], abs=1e-5)
    for name, value in weights(ours).items():
        torch.testing.assert_close(value, weights(theirs)[name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("lora", [None, LORA], ids=["all weights", "lora"])
def test_the_model_comes_back_plain(model, tokenizer, conversations, optimization, lora) -> None:
    names, attributes = set(model.state_dict()), set(model.__dict__)
    half = optimization.model_copy(update={"precision": "bf16"})
    trained, _ = train(model, tokenizer, conversations, half, lora=lora)
    assert not trained.training
    if lora:  # adapters stay in sight
        assert "forward" not in vars(trained)
        trained = trained.unload()
    assert type(trained) is LlamaForCausalLM
    assert set(trained.__dict__) - attributes <= {"model_tags", "_is_accelerate_prepared"}
    assert trained.config.use_cache
    assert set(trained.state_dict()) == names


def test_lora_touches_its_targets_only(model, tokenizer, conversations, optimization) -> None:
    before = weights(model)
    trained, _ = train(model, tokenizer, conversations, optimization, lora=LORA)
    changed = {name for name, value in weights(trained.unload()).items() if not torch.equal(value, before[name])}
    assert changed == {f"model.layers.0.self_attn.{name}.weight" for name in LORA.targets}


def test_mixed_precision_stays_near_single_precision(model, tokenizer, conversations, optimization) -> None:
    twin = LlamaForCausalLM(model.config)
    twin.load_state_dict(weights(model))
    _, log = train(model, tokenizer, conversations, optimization)
    half = optimization.model_copy(update={"precision": "bf16"})
    trained, log_of_half = train(twin, tokenizer, conversations, half)
    assert trained.dtype is torch.float32
    assert [row["loss"] for row in log_of_half] == pytest.approx([row["loss"] for row in log], abs=0.05)
    assert log_of_half != log


def test_auto_follows_the_machine(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    conversations: list[list[Message]],
    optimization: Optimization,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = optimization.model_copy(update={"precision": "auto"})
    for native in (True, False):
        monkeypatch.setattr(precision, "native_bf16", lambda native=native: native)
        assert trainer_setup.trainer_arguments(settings, rows=4, folder="x", seed=0)["bf16"] is native


def test_nothing_to_learn_from_is_refused(model, tokenizer, optimization) -> None:
    with pytest.raises(UserError, match="sft: there is not one conversation"):
        train(model, tokenizer, [], optimization)


def test_too_long_is_refused_by_name(model, tokenizer, conversations, optimization) -> None:
    endless = conversations[0] * 60
    with pytest.raises(
        UserError, match=r"sft: conversation 1 \('.*you see a .*'\): .* tokens, the model's context is 512"
    ):
        train(model, tokenizer, [conversations[1], endless], optimization)


def test_a_diverging_loss_is_an_error(model, tokenizer, conversations, optimization) -> None:
    with torch.no_grad():
        model.model.embed_tokens.weight[:] = float("nan")
    with pytest.raises(UserError, match=r"sft: the loss is nan at step 1; lower learning_rate"):
        train(model, tokenizer, conversations, optimization)


def test_training_does_not_call_home(model, tokenizer, conversations, optimization, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("training sent something")

    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", fail)
    train(model, tokenizer, conversations[:4], optimization)


def test_nothing_is_left_behind(model, tokenizer, conversations, optimization, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    train(model, tokenizer, conversations[:4], optimization)
    assert list(tmp_path.iterdir()) == []


def test_batches_are_of_like_length(model, tokenizer, conversations, optimization, monkeypatch) -> None:
    seen: list[int] = []

    class Watched(GroupedSampler):
        def __iter__(self):
            order = list(super().__iter__())
            seen.extend(order)
            return iter(order)

    monkeypatch.setattr(trainer_setup, "GroupedSampler", Watched)
    train(model, tokenizer, conversations, optimization)
    assert sorted(seen) == sorted([*range(24), *range(24)])  # two epochs


def test_the_confidence_loss_gains_its_weight_in_a_fifth_of_the_updates(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    conversations: list[list[Message]],
    optimization: Optimization,
) -> None:
    """By hand, on one batch whose weights do not move: 10 updates, of which the first two have less than the whole."""
    still = optimization.model_copy(update={"epochs": 10.0, "learning_rate": 1e-12})
    given, own = [], []
    for messages in conversations[:8]:
        ids, mask = encode(tokenizer, messages, name="a test")
        with torch.no_grad():
            log_p = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0, :-1], dim=-1)
        learned = torch.tensor(mask)[1:].bool()
        given.append(log_p.gather(-1, torch.tensor(ids[1:])[:, None])[learned, 0])
        own.append(log_p.max(dim=-1).values[learned])
    teacher, self_taught = (-float(torch.cat(values).mean()) for values in (given, own))
    assert teacher > self_taught + 0.1
    for micro_tokens in (None, 128):
        twin = LlamaForCausalLM(model.config)
        twin.load_state_dict(weights(model))
        _, log = train_sft(
            twin,
            tokenizer,
            conversations[:8],
            optimization=still.model_copy(update={"micro_tokens": micro_tokens}),
            lora=None,
            assistant_only=True,
            seed=0,
            confidence=0.5,
        )
        weights_by_hand = [0.0, 0.25] + [0.5] * 8
        by_hand = [(1 - weight) * teacher + weight * self_taught for weight in weights_by_hand]
        assert [row["loss"] for row in log] == pytest.approx(by_hand, abs=1e-4)


def test_the_likeliest_token_is_learned_as_a_label_would_be() -> None:
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0), requires_grad=True)
    _, own = given_and_likeliest(logits, torch.zeros(5, dtype=torch.long))
    (found,) = torch.autograd.grad(own.sum(), logits)
    (wanted,) = torch.autograd.grad(
        -torch.nn.functional.cross_entropy(logits, logits.argmax(-1), reduction="sum"), logits
    )
    torch.testing.assert_close(found, wanted)
