"""The rules by which the paper's sentences are judged."""

from dataclasses import replace

import pytest

from w2sg.evaluation.paper import claims, paper, verdicts
from w2sg.evaluation.paper.verdicts import Direction, Evidence, Measured, Verdict

from .test_evidence import comparison


def evidence(*directions: Direction, p: float = 0.001, excluded: float = 1.0) -> list[Evidence]:
    return [
        Evidence("", each, p if each in ("for", "against") else 1.0, False, excluded if each == "undecided" else 1.0)
        for each in directions
    ]


def both(found: list[Evidence]) -> tuple[Verdict, Verdict]:
    return verdicts.verdict(found, everywhere=True), verdicts.verdict(found, everywhere=False)


@pytest.mark.parametrize(
    ("directions", "everywhere", "somewhere"),
    [
        ([], "not measured here", "not measured here"),
        (["missing", "missing"], "not measured here", "not measured here"),
        (["missing", "untestable"], "not testable", "not testable"),
        (["for", "untestable"], "supported", "supported"),
        (["for", "for"], "supported", "supported"),
        (["for", "missing"], "not measured here", "supported"),
        (["undecided", "missing"], "not measured here", "not measured here"),
        (["against", "missing"], "not supported", "not measured here"),
        (["for", "undecided"], "not decidable at this size", "supported"),
        (["for", "against"], "not supported", "supported"),
        (["against", "undecided"], "not supported", "not decidable at this size"),
        (["against", "against"], "not supported", "not supported"),
        (["undecided"], "not decidable at this size", "not decidable at this size"),
    ],
)
def test_rules_over_environments(directions: list[Direction], everywhere: Verdict, somewhere: Verdict) -> None:
    assert both(evidence(*directions)) == (everywhere, somewhere)


@pytest.mark.parametrize(
    ("p", "others", "wanted"),
    [
        (0.02, 1, "not supported"),  # 2 * 0.02 = 0.04
        (0.02, 2, "not decidable at this size"),  # 3 * 0.02 = 0.06
        (0.008, 5, "not supported"),  # 6 * 0.008 = 0.048
        (0.009, 5, "not decidable at this size"),  # 6 * 0.009 = 0.054
    ],
)
def test_one_of_many_comparisons_is_corrected_for_all(p: float, others: int, wanted: Verdict) -> None:
    found = evidence("against", *["undecided"] * others, p=p)
    assert verdicts.verdict(found, everywhere=True) == wanted
    mirrored: dict[Verdict, Verdict] = {"not supported": "supported"}
    found = evidence("for", *["undecided"] * others, p=p)
    assert verdicts.verdict(found, everywhere=False) == mirrored.get(wanted, wanted)


def test_where_all_must_hold_none_is_corrected() -> None:
    """Each at p = 0.04: to find all of three so when one is not is less likely than to find that one so."""
    assert verdicts.verdict(evidence("for", "for", "for", p=0.04), everywhere=True) == "supported"
    assert verdicts.verdict(evidence("against", "against", "against", p=0.04), everywhere=False) == "not supported"
    # To find one of them so is not: 3 * 0.04.
    assert verdicts.verdict(evidence("against", "against", "against", p=0.04), everywhere=True) == (
        "not decidable at this size"
    )
    assert verdicts.verdict(evidence("for", "for", "for", p=0.04), everywhere=False) == "not decidable at this size"


def test_by_chance_few_sentences_are_contradicted() -> None:
    """Six true nulls a sentence, 400 sentences: uncorrected 26 % would have one at 0.05, half of them against."""
    import numpy as np

    rng = np.random.default_rng(0)
    found = 0
    for _ in range(400):
        pieces = [
            Evidence("", ("for" if rng.random() < 0.5 else "against") if p <= 0.05 else "undecided", p)
            for p in rng.random(6)
        ]
        found += verdicts.verdict(pieces, everywhere=True) != "not decidable at this size"
    assert found / 400 <= 0.05


def test_what_the_start_passes_too_follows_from_it() -> None:
    fresh = evidence("for")
    implied = [replace(fresh[0], follows="the start")]
    assert both(implied * 2) == ("follows from the start", "follows from the start")
    assert both(fresh + implied) == ("follows from the start", "supported")
    assert both(implied + evidence("undecided")) == ("not decidable at this size", "follows from the start")
    assert both(implied + evidence("against")) == ("not supported", "follows from the start")


def test_what_further_training_passes_too_follows_from_it() -> None:
    (fresh,) = evidence("for")
    start, trained = (replace(fresh, follows=name) for name in ("the start", "further training"))
    assert both([trained, trained]) == ("follows from further training",) * 2
    assert both([trained, start]) == ("follows from further training",) * 2
    assert both([fresh, trained]) == ("follows from further training", "supported")


def test_excluded_at_the_papers_size() -> None:
    """One gain of three is enough against a sentence about all, after correction: 3 * 0.01, 3 * 0.02."""
    everywhere = {p: evidence("undecided", excluded=p) + evidence("undecided", "undecided") for p in (0.01, 0.02)}
    assert both(everywhere[0.01]) == ("excluded at the paper's size", "not decidable at this size")
    assert both(everywhere[0.02]) == ("not decidable at this size", "not decidable at this size")
    assert both(evidence("undecided", "undecided", excluded=0.04)) == (
        "not decidable at this size",
        "excluded at the paper's size",
    ), "of a sentence about some, all gains must be excluded, each by itself"
    assert both(evidence("for", "undecided", excluded=0.001)) == ("excluded at the paper's size", "supported")


def test_a_remark_of_the_evidence_is_part_of_the_words() -> None:
    (claim, *_) = claims.CLAIMS
    found = verdicts.JudgedClaim(claim, [replace(evidence("for")[0], remark="of old")] * 2, "supported")
    assert found.words == "supported (of old)"
    assert verdicts.tally([found, found]) == [("supported", 2)]


def test_the_rules_name_every_verdict() -> None:
    rules = " ".join(verdicts.RULES.split())
    for name in verdicts.VERDICTS:
        assert name in rules, name


def test_with_nothing_measured_no_claim_has_a_verdict() -> None:
    judged = claims.judge(Measured())
    assert {judged_claim.verdict for judged_claim in judged} == {"not measured here", "not testable"}
    untestable = [each.claim.where for each in judged if each.verdict == "not testable"]
    assert untestable == ["Section 1", "Section 4.2, case study"]
    assert all(judged_claim.evidence for judged_claim in judged)


def test_every_claim_can_be_supported_and_not_supported_by_its_comparisons() -> None:
    models = [*paper.TABLE1, "random_dpo", "best_of_m"]
    judged = 0
    for claim in claims.CLAIMS:
        for low, high, wanted in ((0.1, 0.2, "supported"), (-0.2, -0.1, "not supported")):
            everything = [
                comparison(low, high, p=1e-4, environment=environment, pair=f"{one} {other}")
                for environment in paper.ENVIRONMENTS
                for one in models
                for other in models
            ]
            (judged_claim,) = claims.judge(Measured(compared=everything), claims=[claim])
            if judged_claim.verdict not in ("not measured here", "not testable"):
                assert judged_claim.verdict == wanted, claim.quote
                judged += 1
    assert judged == 2 * 14


def test_the_papers_39_percent_is_table_3s() -> None:
    assert paper.recovered(paper.TABLE3_BETA[0.1], environment="scienceworld") == pytest.approx(0.394, abs=5e-4)
    assert paper.recovered(paper.TABLE1["w2s_mcts"]["scienceworld"], environment="scienceworld") > 1


def test_what_is_refuted_is_not_called_excluded() -> None:
    """Rule 2 comes before rule 4."""
    assert both(evidence("against", "undecided", excluded=0.001))[0] == "not supported"


def test_one_gain_that_is_excluded_is_enough_where_another_is_missing() -> None:
    assert both(evidence("undecided", "missing", excluded=0.001))[0] == "excluded at the paper's size"
