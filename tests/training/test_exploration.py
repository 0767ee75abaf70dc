import pytest
import torch
from transformers import LlamaForCausalLM

from w2sg.config.data import Diversity
from w2sg.config.training import Lora
from w2sg.contracts.errors import UserError
from w2sg.training.encoding import encode
from w2sg.training.exploration import ExplorationLoss, exploration_loss, train_diverse
from w2sg.training.sft import train_sft

from .conftest import same, weights

# PEFT 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

LORA = Lora(r=4, alpha=8, dropout=0.1, targets=("q_proj", "v_proj"))


def logits(*probabilities: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).log()


def twin(model: LlamaForCausalLM) -> LlamaForCausalLM:
    other = LlamaForCausalLM(model.config)
    other.load_state_dict(weights(model))
    return other


def train(model, tokenizer, conversations, optimization, *, weight, clamp=1.0, lora=None):
    diversity = Diversity(weight=weight, clamp=clamp, optimization=optimization)
    return train_diverse(model, tokenizer, conversations, diversity=diversity, lora=lora, seed=0)


def means(*values: torch.Tensor, **settings: float) -> ExplorationLoss:
    """Eq. 5 and its parts over all tokens."""
    return ExplorationLoss(*(each.mean() for each in exploration_loss(*values, **settings)))


def test_the_value_worked_out_by_hand() -> None:
    policy, earlier = logits((0.5, 0.5), (0.9, 0.1)), logits((0.25, 0.75), (0.9, 0.1))
    value = means(policy, earlier, torch.tensor([0, 1]), weight=0.3, clamp=9.0)
    # -(ln 0.5 + ln 0.1) / 2, and (0.5 ln 2 + 0.5 ln (2/3) + 0) / 2.
    assert float(value.sft) == pytest.approx(1.4978661, abs=1e-6)
    assert float(value.kl) == pytest.approx(0.0719205, abs=1e-6)
    assert float(value.loss) == pytest.approx(1.4978661 - 0.3 * 0.0719205, abs=1e-6)


def test_the_clamp_is_of_each_token() -> None:
    policy, earlier = logits((0.5, 0.5), (0.9, 0.1)), logits((0.25, 0.75), (0.1, 0.9))
    targets = torch.tensor([0, 0])
    value = means(policy, earlier, targets, weight=1.0, clamp=0.2)
    assert float(value.sft - value.loss) == pytest.approx((0.143841 + 0.2) / 2, abs=1e-6)
    assert float(value.kl) > 0.9, "the figure for the log is not clamped"


@pytest.mark.parametrize(("clamp", "away"), [(9.0, True), (0.01, False)])
def test_a_step_downhill_raises_the_kl_until_the_clamp(clamp: float, away: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    earlier = torch.randn(5, 7, generator=generator)
    policy = (earlier + 0.5 * torch.randn(5, 7, generator=generator)).requires_grad_()
    targets = torch.randint(7, (5,), generator=generator)
    bonus, plain = (
        torch.autograd.grad(means(policy, earlier, targets, weight=weight, clamp=clamp).loss, policy)[0]
        for weight in (1.0, 0.0)
    )
    kl_gradient = torch.autograd.grad(means(policy, earlier, targets, weight=0.0, clamp=clamp).kl, policy)[0]
    if away:
        torch.testing.assert_close(bonus - plain, -kl_gradient)
    else:
        torch.testing.assert_close(bonus, plain)


def test_the_bonus_has_no_gradient_at_the_start() -> None:
    policy = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    kl = means(policy, policy.detach(), torch.tensor([0, 1, 2]), weight=1.0, clamp=1.0).kl
    assert float(torch.autograd.grad(kl, policy)[0].abs().max()) < 1e-7


@pytest.mark.parametrize("lora", [None, LORA.model_copy(update={"dropout": 0.0})], ids=["all weights", "lora"])
def test_without_weight_it_is_plain_fine_tuning(model, tokenizer, conversations, optimization, lora) -> None:
    other = twin(model)
    _, log = train(model, tokenizer, conversations, optimization, weight=0.0, lora=lora)
    _, plain = train_sft(
        other, tokenizer, conversations, optimization=optimization, lora=lora, assistant_only=True, seed=0
    )
    first = 2 if lora else len(log)  # adapters start from other random numbers, and from zero
    assert [row["loss"] for row in log[:first]] == pytest.approx([row["loss"] for row in plain[:first]], abs=1e-5)
    assert [row["learning_rate"] for row in log] == [row["learning_rate"] for row in plain]
    assert all(row["loss"] == pytest.approx(row["sft"], abs=1e-6) for row in log)


def test_a_larger_weight_moves_further_away(model, tokenizer, conversations, optimization) -> None:
    ends = []
    longer = optimization.model_copy(update={"epochs": 6})
    for weight in (0.0, 2.0, 8.0):
        _, log = train(twin(model), tokenizer, conversations, longer, weight=weight, clamp=5.0)
        assert log[0]["kl"] == pytest.approx(0.0, abs=1e-6), "at first both are the same policy"
        assert set(log[0]) == {"step", "epoch", "loss", "learning_rate", "sft", "kl"}
        ends.append(log[-1]["kl"])
    assert ends == sorted(ends) and ends[1] > 1.2 * ends[0], ends


def test_the_first_loss_is_over_assistant_tokens(model, tokenizer, conversations, optimization) -> None:
    losses = []
    for messages in conversations[:8]:
        ids, mask = encode(tokenizer, messages, name="a test")
        with torch.no_grad():
            scores = model(input_ids=torch.tensor([ids])).logits[0, :-1]
        values = torch.nn.functional.cross_entropy(scores, torch.tensor(ids[1:]), reduction="none")
        losses.append(values[torch.tensor(mask)[1:].bool()])
    _, log = train(model, tokenizer, conversations[:8], optimization, weight=0.7)
    assert log[0]["sft"] == pytest.approx(float(torch.cat(losses).mean()), abs=1e-5)


@pytest.mark.parametrize("lora", [None, LORA], ids=["all weights", "lora"])
def test_the_same_seed_gives_the_same_weights_of_a_plain_model(
    model, tokenizer, conversations, optimization, lora
) -> None:
    other, names = twin(model), set(model.state_dict())
    one, log = train(model, tokenizer, conversations, optimization, weight=0.5, lora=lora)
    torch.rand(5)
    two, again = train(other, tokenizer, conversations, optimization, weight=0.5, lora=lora)
    assert same(weights(one), weights(two))
    assert log == again
    assert not one.training and "forward" not in vars(one)
    one = one.unload() if lora else one
    assert type(one) is LlamaForCausalLM
    assert set(one.state_dict()) == names and "forward" not in vars(one)


def test_refusals(model, tokenizer, conversations, optimization) -> None:
    with pytest.raises(UserError, match="diversify: there is not one demonstration"):
        train(model, tokenizer, [], optimization, weight=0.1)
    with pytest.raises(UserError, match=r"diversify: conversation 0: .* tokens, the model's context is 512"):
        train(model, tokenizer, [conversations[0] * 60], optimization, weight=0.1)
    with torch.no_grad():
        model.model.embed_tokens.weight[:] = float("nan")
    with pytest.raises(UserError, match=r"diversify: the loss is nan at step 1; lower learning_rate"):
        train(model, tokenizer, conversations, optimization, weight=0.1)
