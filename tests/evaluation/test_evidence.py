"""What speaks for a sentence of the paper: comparisons, shares, the grid, counts."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from w2sg.evaluation.measures import mixed, statistics
from w2sg.evaluation.measures.comparisons import MARGIN, Comparison
from w2sg.evaluation.measures.models import Origin, label
from w2sg.evaluation.measures.shares import Recovered
from w2sg.evaluation.measures.statistics import Interval, PairedDifference, Ratio, Resampling
from w2sg.evaluation.paper import claims, evidence, grid_evidence, paper, verdicts
from w2sg.evaluation.paper.verdicts import Direction, Evidence, Measured

from .builders import grid

STUDENTS = {"w2s_dpo": Origin("sft_strong", "tree"), "w2s_mcts": Origin("sft_strong", "mcts")}


def comparison(
    low: float, high: float, *, p: float = 0.02, environment: str = "webshop", pair: str = "w2s_mcts sft_strong"
) -> Comparison:
    model, baseline = pair.split()
    mean = round((low + high) / 2, 12)
    wins, losses = (1, 9) if mean < 0 else (9, 1)
    result = PairedDifference(50, Interval(mean, low, high), wins=wins, losses=losses, p_value=p, detectable=0.1)
    return Comparison(environment, "unseen", "average_reward", model, baseline, result)


def played(differences: Sequence[float], *, pair: str, environment: str = "webshop") -> Comparison:
    """A comparison of task by task differences, with all that is worked out from them."""
    model, baseline = pair.split()
    tasks = [str(n) for n in range(len(differences))]
    result = statistics.paired_difference(
        dict(zip(tasks, differences, strict=True)), dict.fromkeys(tasks, 0.0),
        resampling=Resampling(2000, 0.95, seed=0),
    )  # fmt: skip
    return Comparison(environment, "unseen", "average_reward", model, baseline, result)


@pytest.mark.parametrize(
    ("low", "high", "p", "direction"),
    [
        (0.1, 0.3, 0.05, "for"),
        (0.1, 0.3, 0.051, "undecided"),
        (-0.1, 0.3, 0.01, "undecided"),
        (0.0, 0.3, 0.01, "undecided"),
        (-0.3, -0.1, 0.05, "against"),
        (-0.3, -0.1, 0.051, "undecided"),
    ],
)
def test_one_difference(low: float, high: float, p: float, direction: Direction) -> None:
    opposite: dict[Direction, Direction] = {"for": "against", "against": "for"}
    found = comparison(low, high, p=p)
    assert evidence.direction(found) == direction
    assert evidence.direction(found, higher=False) == opposite.get(direction, direction)


def test_a_comparison_is_taken_from_its_own_environment_model_and_measure() -> None:
    other = [
        comparison(0.1, 0.2, environment="alfworld"),
        comparison(0.1, 0.2, pair="w2s_dpo sft_strong"),
        replace(comparison(0.1, 0.2), measure="success_rate"),
    ]
    test = evidence.better(("w2s_mcts", "sft_strong"), environments=("webshop",))
    assert [e.direction for e in test(Measured(compared=other))] == ["missing"]
    (found,) = test(Measured(compared=[*other, comparison(-0.2, -0.1)]))
    assert (found.direction, found.p_value) == ("against", 0.02)
    assert found.text == "webshop: W2S MCTS against SFT strong −15.0 [−20.0, −10.0] on 50 unseen tasks, lower"


def test_with_several_seeds_the_mixed_interval_is_said_too() -> None:
    differences = {f"t{n}": [0.1 + 0.05 * (n % 3), 0.2, 0.15] for n in range(30)}
    result = statistics.paired_difference(
        differences, dict.fromkeys(differences, [0.0] * 3), resampling=Resampling(200, 0.95, seed=0)
    )
    found = Comparison("webshop", "unseen", "average_reward", "w2s_mcts", "sft_strong", result)
    assert result.mixed is not None
    low, high = result.mixed.bounds(0.95)
    (piece,) = evidence.better(("w2s_mcts", "sft_strong"), environments=("webshop",))(Measured(compared=[found]))
    assert f", mixed model [{100 * low:+.1f}, {100 * high:+.1f}], higher" in piece.text
    assert (piece.p_value, piece.direction) == (result.strict_p, "for")


def test_the_row_to_the_letter_is_judged_where_there_is_one() -> None:
    both = [comparison(0.1, 0.2), comparison(-0.2, -0.1, pair="paper_mcts sft_strong")]
    (found,) = evidence.better(("w2s_mcts", "sft_strong"), environments=("webshop",))(Measured(compared=both))
    assert found.direction == "against" and f"{label('paper_mcts')} against SFT strong" in found.text


def from_start(*compared: Comparison, contrast: tuple[str, str] = ("w2s_mcts", "sft_weak")) -> Evidence:
    measured = Measured(compared=compared, origins=STUDENTS)
    (found,) = evidence.better(contrast, environments=("webshop",))(measured)
    assert found.direction == "for"
    return found


def test_a_student_that_keeps_the_level_of_its_start() -> None:
    student, start = comparison(0.3, 0.4, pair="w2s_mcts sft_weak"), comparison(0.3, 0.36, pair="sft_strong sft_weak")
    level = comparison(-0.1, 0.1, p=0.9)
    found = from_start(student, start, level)
    assert found.follows
    assert found.text.endswith(
        "; SFT strong, where it starts, is +33.0 by itself, and it is not shown to be above that"
    )
    (claim,) = [each for each in claims.CLAIMS if each.where == "Section 5"]
    measured = Measured(compared=[student, start, level], origins=STUDENTS)
    assert claims.judge(measured, claims=[claim])[0].verdict == "follows from the start"


def test_a_student_that_is_shown_above_its_start_or_whose_start_does_not_pass() -> None:
    student, start = comparison(0.3, 0.4, pair="w2s_mcts sft_weak"), comparison(0.3, 0.36, pair="sft_strong sft_weak")
    assert not from_start(student, start, comparison(0.01, 0.1)).follows
    assert not from_start(student, comparison(-0.1, 0.2, pair="sft_strong sft_weak"), comparison(-0.1, 0.1)).follows
    assert not from_start(student, comparison(0.3, 0.36, p=0.2, pair="sft_strong sft_weak")).follows


def test_a_rival_that_was_made_worse_than_the_start() -> None:
    """best_of_m lies below SFT strong: to be above it takes no learning. The comparison is stored the other way."""
    student = comparison(0.02, 0.12, pair="w2s_dpo best_of_m")
    worse = comparison(-0.12, -0.02, pair="best_of_m sft_strong")
    found = from_start(student, worse, contrast=("w2s_dpo", "best_of_m"))
    assert found.follows and "SFT strong, where it starts, is +7.0 by itself" in found.text


def test_a_gain_over_the_start_that_demonstrations_alone_bring_too() -> None:
    """Entry 19 of the log: MCTS 29 above an SFT strong that was not trained to its end, and the control 42."""
    student, control = comparison(0.2, 0.38), comparison(0.33, 0.51, pair="more_sft sft_strong")
    level = comparison(-0.2, 0.05, p=0.2, pair="w2s_mcts more_sft")
    measured = Measured(
        compared=[student, control, level], origins=STUDENTS | {"more_sft": Origin("sft_strong", "demonstrations")}
    )
    test = evidence.better(("w2s_mcts", "sft_strong"), environments=("webshop",))
    (found,) = test(measured)
    assert (found.direction, found.follows) == ("for", "further training")
    assert found.text.endswith(
        "; SFT strong, trained on, which has demonstrations alone, is +42.0, and it is not shown to be above that"
    )
    above = replace(measured, compared=[student, control, comparison(0.01, 0.2, pair="w2s_mcts more_sft")])
    without = replace(measured, origins=STUDENTS)
    worse = replace(measured, compared=[student, comparison(-0.1, 0.1, pair="more_sft sft_strong"), level])
    assert [test(each)[0].follows for each in (above, without, worse)] == ["", "", ""]


def test_against_its_own_start_nothing_follows_from_it() -> None:
    assert not from_start(comparison(0.1, 0.2), contrast=("w2s_mcts", "sft_strong")).follows


def test_a_gain_of_the_papers_size_is_excluded_by_interval_and_test() -> None:
    """The paper's MCTS gains 5.9 points in WebShop. 98 tasks level, one won, one lost: an error of 1.4 points."""
    level = played([1.0, -1.0, *[0.0] * 98], pair="w2s_mcts sft_strong")
    test = evidence.better(("w2s_mcts", "sft_strong"), environments=("webshop",))
    (found,) = test(Measured(compared=[level]))
    fitted = mixed.fit([1.0, -1.0, *[0.0] * 98])
    assert fitted is not None
    assert paper.gain("w2s_mcts", "sft_strong", environment="webshop") == pytest.approx(0.059)
    assert (found.direction, found.excluded) == ("undecided", pytest.approx(fitted.p_of(0.059)))
    assert found.excluded < 0.001
    assert found.text.endswith("; excludes the paper's +5.9")
    (dpo,) = evidence.better(("w2s_dpo", "sft_strong"), environments=("webshop",))(
        Measured(compared=[replace(level, model="w2s_dpo")])
    )
    assert dpo.excluded > 0.05 and "excludes" not in dpo.text, "2.2 points are within 1.6 errors"
    (few,) = test(Measured(compared=[played([0.0] * 4, pair="w2s_mcts sft_strong")]))
    assert few.excluded > 0.05, "four tasks that do not differ exclude nothing"
    wide = played([1.0, -1.0] * 20, pair="w2s_mcts sft_strong")
    assert test(Measured(compared=[wide]))[0].excluded == 1.0, "the interval does"
    (unknown,) = evidence.better(("w2s_mcts", "best_of_m"), environments=("webshop",))(
        Measured(compared=[replace(level, baseline="best_of_m")])
    )
    assert unknown.excluded == 1.0, "the paper has no such row"


def test_the_margin_of_equivalence_is_half_the_papers_gain() -> None:
    gains = [paper.gain("w2s_mcts", "sft_strong", environment=e) or 0.0 for e in paper.ENVIRONMENTS]
    assert pytest.approx(sum(gains) / 3 / 2, abs=0.005) == MARGIN


def share(value: Interval | None) -> Recovered:
    return Recovered("webshop", "unseen", "w2s_dpo", "recovered ceiling", 50, Ratio(value, Interval(0.1, 0.05, 0.2)))


@pytest.mark.parametrize(
    ("value", "p", "direction", "excluded"),
    [
        (Interval(0.4, 0.1, 0.8), 0.02, "for", False),
        (Interval(0.4, 0.1, 0.8), 0.06, "undecided", False),
        (Interval(0.4, -0.1, 0.8), 0.02, "undecided", False),
        (Interval(0.05, -0.1, 0.2), 0.5, "undecided", True),  # the paper's on WebShop: 2.2 / 7.3 = 30 %
        (Interval(-0.4, -0.8, -0.1), 0.02, "against", True),
        (None, 0.02, "undecided", False),
    ],
)
def test_recovered_share(value: Interval | None, p: float, direction: Direction, excluded: bool) -> None:
    parts = [comparison(0.1, 0.2, p=p, pair="w2s_dpo sft_strong"), comparison(0.1, 0.2, pair="ceiling sft_strong")]
    found = evidence.recovers("w2s_dpo")(Measured(recovered=[share(value)], compared=parts))
    assert [e.direction for e in found] == [direction, "missing", "missing"]
    assert (found[0].excluded <= 0.05) == excluded
    assert "Ceiling − SFT strong = +10.0 [+5.0, +20.0]" in found[0].text
    assert ("undefined" in found[0].text) == (value is None)


def test_failures_are_judged_by_the_chosen_sides_alone_at_the_same_dose() -> None:
    test = evidence.failures_matter("w2s_dpo")
    (found,) = test(Measured(compared=[comparison(0.1, 0.2, pair="w2s_dpo best_of_m")], origins=STUDENTS))
    assert found.direction == "untestable" and "no row of this roster" in found.text
    twin = STUDENTS | {"winners": Origin("sft_strong", "tree_chosen"), "other": Origin("base_strong", "tree_chosen")}
    measured = Measured(
        compared=[comparison(0.1, 0.2, pair="w2s_dpo winners"), comparison(-0.2, -0.1, pair="w2s_dpo other")],
        origins=twin,
        updates={("webshop", "w2s_dpo"): 100, ("webshop", "winners"): 96},
    )
    assert [e.direction for e in test(measured)] == ["for", "missing", "missing"]
    longer = replace(measured, updates={("webshop", "w2s_dpo"): 100, ("webshop", "winners"): 150})
    (first, *_) = test(longer)
    assert first.direction == "missing" and first.text.endswith("; not judged: 100 updates against 150")
    # The row to the letter learns from other pairs: the twin is the recommended row's, and so is the verdict.
    to_the_letter = replace(
        measured,
        compared=[*measured.compared, comparison(-0.2, -0.1, pair="paper_dpo winners")],
        origins=twin | {"paper_dpo": Origin("sft_strong", "tree", pairs="whole suffixes")},
    )
    (first, *_) = test(to_the_letter)
    assert first.direction == "for" and "W2S TreeDPO against winners" in first.text


def test_one_episode_cannot_be_tested_and_the_repeats_stand_beside() -> None:
    fewer = replace(comparison(-0.2, -0.1), measure="repeated")
    test = evidence.one_episode(("w2s_mcts", "sft_strong"), environment="webshop")
    found = test(Measured(repeats=[fewer]))
    assert [e.direction for e in found] == ["untestable", "untestable"]
    assert found[1].text.endswith("W2S MCTS against SFT strong −15.0 [−20.0, −10.0]")
    assert verdicts.verdict(found, everywhere=True) == "not testable"


@pytest.mark.parametrize(
    ("rewards", "p", "direction"),
    [
        ({3: 0.4, 6: 0.6, 9: 0.5}, 0.01, "for"),  # three pairs: 3 * 0.01, 2 * 0.01
        ({3: 0.4, 6: 0.6, 9: 0.5}, 0.02, "undecided"),  # 3 * 0.02
        ({3: 0.4, 6: 0.6, 9: 0.59}, 0.01, "undecided"),
        ({3: 0.59, 6: 0.6, 9: 0.5}, 0.01, "undecided"),
        ({3: 0.4, 6: 0.5, 9: 0.6}, 0.01, "against"),
        ({3: 0.6, 6: 0.5, 9: 0.4}, 0.01, "against"),
        ({3: 0.6, 6: 0.59, 9: 0.59}, 0.01, "undecided"),
        ({3: 0.4, 5: 0.59, 6: 0.6, 8: 0.4, 9: 0.59}, 0.004, "for"),  # ten pairs, not the ends alone
        ({3: 0.4, 5: 0.59, 6: 0.6, 8: 0.4, 9: 0.59}, 0.006, "undecided"),
        ({3: 0.4, 6: 0.6}, 0.01, "missing"),
        ({}, 0.01, "missing"),
    ],
)
def test_rise_and_fall(rewards: dict[int, float], p: float, direction: Direction) -> None:
    (found,) = grid_evidence.rises_then_falls(("scienceworld",))(Measured(grid=grid(rewards, p=p)))
    assert found.direction == direction


def test_pairing_decides_where_separate_intervals_overlap() -> None:
    """Intervals of 9 points to both sides overlap; task by task the difference is known to 2."""
    rows = [
        replace(row, low=row.average_reward - 0.09, high=row.average_reward + 0.09)
        for row in grid({3: 0.62, 6: 0.7, 9: 0.64})
    ]
    (found,) = grid_evidence.rises_then_falls(("scienceworld",))(Measured(grid=rows))
    assert found.direction == "for"
    assert "best at 6; below it, corrected: 3 −8.0 [−10.0, −6.0], p 0.003; 9 −6.0" in found.text


@pytest.mark.parametrize(
    ("rewards", "direction"),
    [
        ({5: 0.59, 7: 0.6, 8: 0.5}, "for"),
        ({5: 0.4, 7: 0.6, 8: 0.59}, "undecided"),
        ({5: 0.4, 7: 0.59, 8: 0.6}, "against"),
        ({5: 0.59, 7: 0.59, 8: 0.6}, "undecided"),
    ],
)
def test_decline_after_seven(rewards: dict[int, float], direction: Direction) -> None:
    (found,) = grid_evidence.falls_after(7, ("scienceworld",))(Measured(grid=grid(rewards)))
    assert found.direction == direction


def test_pairs_that_an_older_grid_does_not_have_decide_nothing_and_are_counted() -> None:
    rows = [
        replace(r, from_best=None, from_best_p=None) if r.breadth == 9 else r for r in grid({3: 0.4, 6: 0.6, 9: 0.4})
    ]
    (found,) = grid_evidence.rises_then_falls(("scienceworld",))(Measured(grid=rows, grid_of_another="abc"))
    assert found.direction == "undecided"
    assert found.text.endswith("; 1 of 2 pairs with the best are not in this grid (configuration abc)")
    assert found.remark == "by a grid of another configuration"


def test_breadths_at_another_beta_are_another_line() -> None:
    rows = grid({3: 0.4, 6: 0.6, 9: 0.4}) + [replace(row, beta=0.5) for row in grid({6: 0.9})]
    (found,) = grid_evidence.rises_then_falls(("scienceworld",))(Measured(grid=rows))
    assert found.direction == "for" and "3: 40.0, 6: 60.0, 9: 40.0; best at 6" in found.text


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
    found = grid_evidence.higher_beta_is_worse(Measured(grid=[other, own, top]))
    assert [e.direction for e in found] == [direction]
    strict = grid_evidence.higher_beta_is_worse(Measured(grid=[other, own, top], level=0.001))
    assert [e.direction for e in strict] == ["undecided"], "the level is the configuration's"
    assert [e.direction for e in grid_evidence.higher_beta_is_worse(Measured(grid=[other, own]))] == ["missing"]


def test_counts_are_the_papers_only_when_all_are() -> None:
    official = {environment: dict(counts) for environment, counts in paper.TABLE4.items()}
    assert {e.direction for e in evidence.counts(Measured(tasks=official))} == {"for"}
    official["alfworld"]["seen"] = 100
    assert [e.direction for e in evidence.counts(Measured(tasks=official))] == ["for", "for", "missing"]


def test_a_share_below_the_paper_s_is_excluded_by_its_interval_alone() -> None:
    parts = [comparison(0.1, 0.2, pair="w2s_dpo sft_strong"), comparison(0.1, 0.2, pair="ceiling sft_strong")]
    measured = Measured(recovered=[share(Interval(0.1, -0.2, 0.8))], compared=parts)
    (found, *_) = evidence.recovers("w2s_dpo")(measured)
    assert found.excluded == 1.0 and "excludes" not in found.text


def test_breadths_whose_interval_reaches_the_best_are_not_below_it() -> None:
    """Whatever the test says: both are asked."""
    own = grid({3: 0.4, 6: 0.6, 9: 0.4}, p=1e-4)
    rows = [replace(row, from_best_high=0.01) if row.from_best else row for row in own]
    (found,) = grid_evidence.rises_then_falls(("scienceworld",))(Measured(grid=rows))
    assert found.direction == "undecided"


def test_of_two_lines_as_long_that_of_the_smaller_beta_is_judged() -> None:
    rows = grid({3: 0.4, 6: 0.6, 9: 0.4}) + [replace(row, beta=0.5) for row in grid({3: 0.4, 6: 0.5, 9: 0.6})]
    for order in (rows, rows[::-1]):
        (found,) = grid_evidence.rises_then_falls(("scienceworld",))(Measured(grid=order))
        assert found.direction == "for"
