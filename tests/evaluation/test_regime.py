"""Where a run stands beside the paper's models, by hand."""

from dataclasses import replace
from math import inf

import pytest

from w2sg.contracts.episodes import Episode
from w2sg.evaluation.measures.complement import Attempts
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.regime import CRITERIA, Criterion, regime_cells
from w2sg.evaluation.measures.statistics import Interval, Resampling
from w2sg.evaluation.report.tables import regime_table

from .builders import episode

RESAMPLING = Resampling(resamples=400, confidence=0.95, seed=0)


def played(model: str, wins: int, *, seed: int = 0, environment: str = "alfworld") -> list[Episode]:
    """Of twenty tasks the first `wins` are won."""
    return [episode(model, task=f"t{n}", score=float(n < wins), seed=seed, environment=environment) for n in range(20)]


def explored(role: str, once: str, ever: str, *, seed: int = 0) -> list[Attempts]:
    """A task a digit: 1 solved, 0 not."""
    return [
        Attempts("alfworld", seed, role, f"t{n}", 6, 0.5, one == "1", any_ == "1")
        for n, (one, any_) in enumerate(zip(once, ever, strict=True))
    ]


@pytest.mark.parametrize(
    ("mean", "low", "high", "verdict"),
    [
        (0.40, 0.3, 0.5, "met"),
        (0.55, 0.5, 0.7, "met"),
        (0.39, 0.3, 0.40, "within chance"),
        (0.39, 0.3, 0.399, "below"),
        (0.56, 0.55, 0.6, "within chance"),
        (0.56, 0.551, 0.6, "above"),
    ],
)
def test_the_verdict_is_of_the_mean_and_chance_of_the_interval(
    mean: float, low: float, high: float, verdict: str
) -> None:
    assert Criterion("a", "SFT weak", 0.40, 0.55).verdict(Interval(mean, low, high)) == verdict
    assert Criterion("a", "SFT weak", 0.40, inf).verdict(None) == "not measured"


def test_every_criterion_by_hand() -> None:
    """Of twenty tasks weak wins 9, strong 11, base strong 1; of ten explored ones weak 6 in M, strong 4 by itself."""
    episodes = played("sft_weak", 9) + played("sft_strong", 11) + played("base_strong", 1)
    episodes += played("more_sft", 12) + played("expert_paths", 14) + played("expert_dpo", 11)
    weak = explored("weak", once="0000000000", ever="0011110011")
    strong = explored("strong", once="1111000000", ever="1111111111")
    found = regime_cells(GroupedEpisodes(episodes), [*weak, *strong], resampling=RESAMPLING)
    assert [(each.criterion.letter, each.tasks) for each in found] == [
        ("a", "unseen"),
        ("b", "unseen"),
        ("c", "unseen"),
        ("d", "explored"),
        ("e", "explored"),
        ("g", "unseen"),
        ("h", "unseen"),
    ]
    means = [each.value.mean if each.value else None for each in found]
    assert means == pytest.approx([0.45, 0.1, 0.4, 0.2, 0.4, 0.1, 0.0])
    assert [each.verdict for each in found[:6]] == ["met"] * 6
    assert found[6].verdict == "below", "no task differs, so the interval has no width"


def test_what_was_not_run_is_not_measured() -> None:
    found = regime_cells(GroupedEpisodes(played("sft_weak", 9)), explored("weak", "10", "11"), resampling=RESAMPLING)
    assert [each.verdict for each in found] == ["met", *["not measured"] * (len(CRITERIA) - 1)]


def test_seeds_are_averaged_and_a_task_must_be_explored_under_all() -> None:
    weak = explored("weak", "00", "11", seed=0) + explored("weak", "00", "10", seed=1)
    strong = explored("strong", "01", "11", seed=0) + explored("strong", "000", "111", seed=1)
    episodes = played("sft_weak", 8) + played("sft_weak", 12, seed=1)
    found = regime_cells(GroupedEpisodes(episodes), [*weak, *strong], resampling=RESAMPLING)
    values = {each.criterion.letter: each.value for each in found}
    assert values["a"] and values["a"].mean == pytest.approx(0.5)
    assert values["d"] and values["d"].mean == pytest.approx(0.5), "weak 1, 1, 1, 0; strong 0, 1, 0, 0"
    assert values["e"] and values["e"].mean == pytest.approx(0.5)


def test_environments_stand_side_by_side_in_the_papers_order() -> None:
    both = played("sft_weak", 9) + played("sft_weak", 3, environment="webshop")
    table = regime_table(regime_cells(GroupedEpisodes(both), [], resampling=RESAMPLING))
    names = ["webshop: value", "webshop: verdict", "alfworld: value", "alfworld: verdict"]
    assert table.head == ["criterion", "wanted", *names]
    first, second, *_ = table.rows
    assert first[:2] == ["(a) SFT weak", "40 to 55"]
    assert first[2].startswith("15.0 [")
    assert (first[3], first[5]) == ("below", "met")
    assert second[2:] == ["–", "not measured"] * 2
    assert table.rows[2][1] == "5 or more"


def test_explored_tasks_of_other_environments_do_not_count() -> None:
    elsewhere = [replace(each, environment="webshop") for each in explored("weak", "00", "11")]
    found = regime_cells(GroupedEpisodes(played("sft_weak", 9)), elsewhere, resampling=RESAMPLING)
    assert found[3].value is None


def test_the_criteria_are_those_that_were_registered() -> None:
    """Entry 18 of the log."""
    assert [(each.letter, each.least, each.most) for each in CRITERIA] == [
        ("a", 0.40, 0.55),
        ("b", 0.04, 0.12),
        ("c", 0.05, inf),
        ("d", 0.10, inf),
        ("e", 0.12, inf),
        ("g", 0.05, inf),
        ("h", 0.03, inf),
    ]


def test_a_task_that_one_of_two_seeds_explored_does_not_count() -> None:
    weak = explored("weak", "00", "11") + explored("weak", "000", "101", seed=1)
    strong = explored("strong", "01", "11") + explored("strong", "000", "111", seed=1)
    episodes = GroupedEpisodes(played("sft_weak", 8) + played("sft_weak", 12, seed=1))
    found = regime_cells(episodes, [*weak, *strong], resampling=RESAMPLING)
    (best,) = [each.value for each in found if each.criterion.letter == "d"]
    assert best is not None and best.mean == pytest.approx(0.5)
