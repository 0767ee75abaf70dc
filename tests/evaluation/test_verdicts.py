"""The rules by which the paper's sentences are judged."""

from dataclasses import replace

import pytest

from w2sg.evaluation.measures.comparisons import Comparison, Recovered
from w2sg.evaluation.measures.statistics import Interval, PairedDifference, Ratio
from w2sg.evaluation.paper import claims, paper, verdicts
from w2sg.evaluation.paper.verdicts import Direction, Measured, Verdict

from .builders import grid


def comparison(
    low: float, high: float, *, confirmed: bool = True, environment: str = "webshop", pair: str = "w2s_mcts sft_strong"
) -> Comparison:
    model, baseline = pair.split()
    result = PairedDifference(50, Interval((low + high) / 2, low, high), wins=9, losses=1, p_value=0.02, detectable=0.1)
    return Comparison(environment, "unseen", "average_reward", model, baseline, result, confirmed)


@pytest.mark.parametrize(
    ("directions", "everywhere", "somewhere"),
    [
        ([], "not measured here", "not measured here"),
        (["missing", "missing"], "not measured here", "not measured here"),
        (["for", "for"], "supported", "supported"),
        (["for", "missing"], "supported", "supported"),
        (["for", "undecided"], "not decidable at this size", "supported"),
        (["for", "against"], "not supported", "supported"),
        (["against", "undecided"], "not supported", "not decidable at this size"),
        (["against", "against"], "not supported", "not supported"),
        (["undecided"], "not decidable at this size", "not decidable at this size"),
    ],
)
def test_rules_over_environments(directions: list[Direction], everywhere: Verdict, somewhere: Verdict) -> None:
    assert verdicts.verdict(directions, everywhere=True) == everywhere
    assert verdicts.verdict(directions, everywhere=False) == somewhere


@pytest.mark.parametrize(
    ("low", "high", "confirmed", "direction"),
    [
        (0.1, 0.3, True, "for"),
        (0.1, 0.3, False, "undecided"),
        (-0.1, 0.3, True, "undecided"),
        (0.0, 0.3, True, "undecided"),
        (-0.3, -0.1, True, "against"),
        (-0.3, -0.1, False, "undecided"),
    ],
)
def test_one_difference(low: float, high: float, confirmed: bool, direction: Direction) -> None:
    opposite: dict[Direction, Direction] = {"for": "against", "against": "for"}
    found = comparison(low, high, confirmed=confirmed)
    assert verdicts.direction(found) == direction
    assert verdicts.direction(found, higher=False) == opposite.get(direction, direction)


def test_a_comparison_is_taken_from_its_own_environment_model_and_measure() -> None:
    other = [
        comparison(0.1, 0.2, environment="alfworld"),
        comparison(0.1, 0.2, pair="w2s_dpo sft_strong"),
        replace(comparison(0.1, 0.2), measure="success_rate"),
    ]
    test = verdicts.better(("w2s_mcts", "sft_strong"), environments=("webshop",))
    assert [e.direction for e in test(Measured(compared=other))] == ["missing"]
    (found,) = test(Measured(compared=[*other, comparison(-0.2, -0.1)]))
    assert found.direction == "against"
    assert found.text == "webshop: W2S MCTS against SFT strong −15.0 [−20.0, −10.0] on 50 unseen tasks, lower"


@pytest.mark.parametrize(
    ("value", "direction"),
    [
        (Interval(0.4, 0.1, 0.8), "for"),
        (Interval(0.4, -0.1, 0.8), "undecided"),
        (Interval(-0.4, -0.8, -0.1), "against"),
        (None, "undecided"),
    ],
)
def test_recovered_share(value: Interval | None, direction: Direction) -> None:
    share = Recovered(
        "webshop", "unseen", "w2s_dpo", "recovered ceiling", "sft_strong", 50, Ratio(value, Interval(0.1, 0.05, 0.2))
    )
    found = verdicts.recovers("w2s_dpo")(Measured(recovered=[share]))
    assert [e.direction for e in found] == [direction, "missing", "missing"]
    assert "Ceiling − SFT strong = +10.0 [+5.0, +20.0]".lower() in found[0].text.lower()
    assert ("undefined" in found[0].text) == (value is None)


@pytest.mark.parametrize(
    ("rewards", "direction"),
    [
        ({3: 0.4, 6: 0.6, 9: 0.5}, "for"),
        ({3: 0.4, 6: 0.6, 9: 0.58}, "undecided"),
        ({3: 0.59, 6: 0.6, 9: 0.5}, "undecided"),
        ({3: 0.4, 6: 0.5, 9: 0.6}, "against"),
        ({3: 0.6, 6: 0.5, 9: 0.4}, "against"),
        ({3: 0.6, 6: 0.59, 9: 0.58}, "undecided"),
        ({3: 0.4, 6: 0.6}, "missing"),
        ({}, "missing"),
    ],
)
def test_rise_and_fall(rewards: dict[int, float], direction: Direction) -> None:
    (found,) = verdicts.rises_then_falls(("scienceworld",))(Measured(grid=grid(rewards)))
    assert found.direction == direction


@pytest.mark.parametrize(
    ("difference", "p_value", "direction"),
    [((-0.1, -0.02), 0.01, "for"), ((0.02, 0.1), 0.01, "against"), ((-0.1, 0.1), 0.5, "undecided"),
     ((-0.1, -0.02), 0.2, "undecided")],
)  # fmt: skip
def test_higher_beta(difference: tuple[float, float], p_value: float, direction: Direction) -> None:
    (own,) = grid({6: 0.5}, model="w2s_dpo")
    low, high = difference
    top = replace(own, beta=0.5, difference=(low + high) / 2, difference_low=low, difference_high=high, p_value=p_value)
    other = replace(own, breadth=3)
    assert [e.direction for e in verdicts.higher_beta_is_worse(Measured(grid=[other, own, top]))] == [direction]
    assert [e.direction for e in verdicts.higher_beta_is_worse(Measured(grid=[other, own]))] == ["missing"]


def test_fewer_repeats_speak_for_less_repetition() -> None:
    fewer = replace(comparison(-0.2, -0.1), measure="repeated")
    (found,) = verdicts.repeats_less("w2s_mcts", "sft_strong", environment="webshop")(Measured(repeats=[fewer]))
    assert found.direction == "for"


def test_counts_are_the_papers_only_when_all_are() -> None:
    official = {environment: dict(counts) for environment, counts in paper.TABLE4.items()}
    assert {e.direction for e in verdicts.counts(Measured(tasks=official))} == {"for"}
    official["alfworld"]["seen"] = 100
    assert [e.direction for e in verdicts.counts(Measured(tasks=official))] == ["for", "for", "missing"]


def test_with_nothing_measured_no_claim_has_a_verdict() -> None:
    judged = claims.judge(Measured())
    assert {judged_claim.verdict for judged_claim in judged} == {"not measured here"}
    assert all(judged_claim.evidence for judged_claim in judged)


def test_every_claim_can_be_supported_and_not_supported_by_its_comparisons() -> None:
    models = [*paper.TABLE1, "random_dpo", "best_of_m"]
    for claim in claims.CLAIMS:
        for low, high, wanted in ((0.1, 0.2, "supported"), (-0.2, -0.1, "not supported")):
            everything = [
                comparison(low, high, environment=environment, pair=f"{one} {other}")
                for environment in paper.ENVIRONMENTS
                for one in models
                for other in models
            ]
            (judged_claim,) = claims.judge(Measured(compared=everything), claims=[claim])
            if judged_claim.verdict != "not measured here":
                assert judged_claim.verdict == wanted, claim.quote


def test_the_papers_39_percent_is_table_3s() -> None:
    assert paper.recovered(paper.TABLE3_BETA[0.1], environment="scienceworld") == pytest.approx(0.394, abs=5e-4)
    assert paper.recovered(paper.TABLE1["w2s_mcts"]["scienceworld"], environment="scienceworld") > 1
