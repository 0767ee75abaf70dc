"""The KL term of eq. 6 as it is written: its value, its gradient, and what it does to training."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Categorical, kl_divergence
from transformers import LlamaForCausalLM

from w2sg.config.training import Dpo, Lora
from w2sg.contracts.errors import UserError
from w2sg.training import bases
from w2sg.training.encoding import encode, turn_spans
from w2sg.training.literal import check_one_vocabulary, side_kl
from w2sg.training.preference import train_dpo
from w2sg.training.reference import encode_pairs, turn_logprobs
from w2sg.training.tokenizer import train_tokenizer

from .conftest import BIGGER
from .test_preference import margins, twin_of

# PEFT 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

LORA = Lora(r=4, alpha=8, dropout=0.0, targets=("q_proj", "v_proj"))


@pytest.fixture
def weak(tokenizer) -> LlamaForCausalLM:
    """A reference of another size, with weights that say something."""
    model = bases.create(BIGGER, tokenizer=tokenizer, context=512, seed=9)
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 3.0
    return model


@pytest.fixture
def dpo(optimization) -> Dpo:
    """One batch holds all six pairs."""
    return Dpo(beta=0.1, eq6="literal", likelihood=0.0, optimization=optimization, lora=None)


@torch.no_grad()
def kl_of(policy: LlamaForCausalLM, reference: LlamaForCausalLM, tokenizer, pairs) -> float:
    """The same, one side and one token at a time, from unpadded conversations."""
    sides = [(pair.history, side) for pair in pairs for side in (pair.chosen, pair.rejected)]
    total = 0.0
    for history, messages in sides:
        ids, mask = encode(tokenizer, [*history, *messages], name="a side")
        turns = sum(message["role"] == "assistant" for message in messages)
        p, q = (model(input_ids=torch.tensor([ids])).logits[0].double() for model in (policy, reference))
        for begin, end in turn_spans(mask)[-turns:]:
            for position in range(begin, end):
                at = position - 1
                total += float(kl_divergence(Categorical(logits=p[at]), Categorical(logits=q[at])))
    return total / len(sides)


@pytest.mark.parametrize("lora", [None, LORA], ids=["all weights", "lora"])
def test_the_loss_is_that_of_eq_6(model, weak, tokenizer, pairs, dpo, lora) -> None:
    turns = turn_logprobs(weak, tokenizer, pairs, batch=4)
    scores = margins(turn_logprobs(model, tokenizer, pairs, batch=4), turns, beta=dpo.beta)
    kl = kl_of(model, weak, tokenizer, pairs)
    expected = float(-torch.nn.functional.logsigmoid(scores).mean()) + dpo.beta * kl
    assert dpo.beta * kl > 0.05
    settings = dpo.model_copy(update={"lora": lora})
    trained, log = train_dpo(model, tokenizer, pairs, turns, dpo=settings, seed=0, reference=(weak, tokenizer))
    for row in log[:2]:  # before training, and the first update, whose batch holds all pairs
        assert row["kl"] == pytest.approx(kl, rel=1e-4)
        assert row["loss"] == pytest.approx(expected, rel=1e-4)
        assert row["margin"] == pytest.approx(float(scores.mean()), abs=1e-4)
    assert type(trained.unload() if lora else trained) is LlamaForCausalLM


def test_it_holds_the_policy_near_the_reference(model, weak, tokenizer, pairs, dpo) -> None:
    turns = turn_logprobs(weak, tokenizer, pairs, batch=4)
    longer = dpo.model_copy(update={"optimization": dpo.optimization.model_copy(update={"epochs": 6})})
    twin = twin_of(model)
    trained, log = train_dpo(model, tokenizer, pairs, turns, dpo=longer, seed=0, reference=(weak, tokenizer))
    plain, _ = train_dpo(twin, tokenizer, pairs, turns, dpo=longer.model_copy(update={"eq6": "dpo"}), seed=0)
    assert log[-1]["kl"] < log[0]["kl"]
    assert kl_of(trained, weak, tokenizer, pairs) < 0.95 * kl_of(plain, weak, tokenizer, pairs)


def test_the_gradient_of_the_kl_term() -> None:
    """d KL(p || q) / d logits of p is p (log p - log q - KL), for scored tokens alone."""
    torch.manual_seed(0)
    logits, other = torch.randn(2, 6, 5, requires_grad=True), torch.randn(2, 6, 5, requires_grad=True)
    batch = {
        "input_ids": torch.zeros(2, 6, dtype=torch.long),
        "attention_mask": torch.ones(2, 6, dtype=torch.long),
        "completion_mask": torch.tensor([[0, 0, 1, 1, 0, 1], [0, 0, 0, 1, 0, 0]]),
    }

    class Speaking(torch.nn.Module):
        """A model with neither backbone nor head, whose logits are given."""

        def __init__(self, values: torch.Tensor) -> None:
            super().__init__()
            self.values = values
            self.config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(vocab_size=5, model_type="speaking"))

        def get_output_embeddings(self) -> None:
            return None

        def forward(self, **_):
            return SimpleNamespace(logits=self.values)

    value = side_kl(Speaking(logits), Speaking(other), batch)
    value.backward()
    p, log_p, log_q = logits.detach().softmax(-1), logits.detach().log_softmax(-1), other.detach().log_softmax(-1)
    each = (p * (log_p - log_q)).sum(-1, keepdim=True)
    predicts = torch.zeros(2, 6, 1)
    predicts[0, [1, 2, 4]] = predicts[1, [2]] = 1.0
    assert value.item() == pytest.approx(float((each * predicts).sum() / 2), rel=1e-6)
    torch.testing.assert_close(logits.grad, predicts * p * (log_p - log_q - each) / 2)
    assert other.grad is None


def test_against_itself_it_starts_as_plain_dpo(model, tokenizer, pairs, dpo) -> None:
    own = turn_logprobs(model, tokenizer, pairs, batch=4)
    _, log = train_dpo(model, tokenizer, pairs, own, dpo=dpo, seed=0, reference=(twin_of(model), tokenizer))
    assert log[0]["kl"] == pytest.approx(0.0, abs=1e-6)
    assert log[1]["loss"] == pytest.approx(0.693147, abs=1e-4)


def test_plain_dpo_has_no_such_column(model, weak, tokenizer, pairs, dpo) -> None:
    turns = turn_logprobs(weak, tokenizer, pairs, batch=4)
    _, log = train_dpo(model, tokenizer, pairs, turns, dpo=dpo.model_copy(update={"eq6": "dpo"}), seed=0)
    assert all("kl" not in row for row in log)


def test_two_vocabularies_are_refused(model, other_model, tokenizer, other_tokenizer, pairs, dpo) -> None:
    turns = turn_logprobs(other_model, other_tokenizer, pairs, batch=4)
    line = r"^dpo\.eq6: literal needs one vocabulary and chat template; .* has \d+ tokens, .*; use dpo\.eq6: dpo$"
    with pytest.raises(UserError, match=line):
        train_dpo(model, tokenizer, pairs, turns, dpo=dpo, seed=0, reference=(other_model, other_tokenizer))


def test_vocabularies_of_one_size_are_told_apart(model, tokenizer, pairs) -> None:
    texts = ["Thought: done.\nAction: open drawer 1 and the fridge, then look at the mug"] * 3
    other = train_tokenizer(texts, vocabulary=len(tokenizer), context=512)
    encoded = encode_pairs(tokenizer, pairs)
    check_one_vocabulary(encoded, pairs, policy=(model, tokenizer), reference=(model, tokenizer))
    with pytest.raises(UserError, match="cut otherwise"):
        check_one_vocabulary(encoded, pairs, policy=(model, tokenizer), reference=(model, other))


def test_templates_are_told_apart(model, tokenizer, pairs):
    other = copy.deepcopy(tokenizer)
    other.chat_template = "mug" + tokenizer.chat_template
    with pytest.raises(UserError, match="one vocabulary and chat template"):
        check_one_vocabulary(encode_pairs(tokenizer, pairs), pairs, policy=(model, tokenizer), reference=(model, other))


def test_tokens_that_the_pairs_do_not_have_count_too(model, tokenizer, pairs, monkeypatch):
    encoded = encode_pairs(tokenizer, pairs)
    used = {token for pair in encoded for _, side, _ in pair.sides() for token in side.input_ids}
    one, two = tokenizer.convert_ids_to_tokens([n for n in range(len(tokenizer)) if n not in used][:2])
    other, vocabulary = copy.deepcopy(tokenizer), tokenizer.get_vocab()
    swapped = vocabulary | {one: vocabulary[two], two: vocabulary[one]}
    monkeypatch.setattr(type(other), "get_vocab", lambda self: swapped if self is other else vocabulary)
    with pytest.raises(UserError, match="one vocabulary"):
        check_one_vocabulary(encoded, pairs, policy=(model, tokenizer), reference=(model, other))
