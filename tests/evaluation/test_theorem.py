import csv
from dataclasses import replace
from math import exp, log

import pytest

from w2sg.contracts.episodes import Episode
from w2sg.contracts.errors import UserError
from w2sg.contracts.files import write_json
from w2sg.contracts.trajectories import Step, Trajectory
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.theorem import Quantities, divergence, pairs_needed, third_term
from w2sg.evaluation.measures.theorem_readings import readings
from w2sg.evaluation.report import report
from w2sg.evaluation.report.csv_rows import theorem as row
from w2sg.evaluation.report.figures.theorem import chart

from .builders import inputs
from .dom import by_id, cells, read

GIVEN = Quantities(
    environment="house",
    seed=0,
    method="w2s_dpo",
    superior="ceiling",
    reference="sft_weak",
    delta=0.05,
    pairs=100,
    pair_tasks=40,
    kl=8.0,
    kl_error=0.5,
    trajectories=20,
    turns=6.0,
    ranked={"ceiling": 0.75, "w2s_dpo": 0.9},
    successful=0.4,
    mean_score=0.45,
    explored=300,
)


def episode(model: str, score: float, *, number: int = 0, split: str = "unseen") -> Episode:
    step = Step("o", "t", "a", "Thought: t\nAction: a", "end", score)
    return Episode(model, 0, split, Trajectory("house", f"{split}-{number}", model, 0, 0.0, 1.0, True, (step,)))


def evaluated(**scores: tuple[float, ...]) -> list[Episode]:
    return [episode(model, score, number=n) for model, given in scores.items() for n, score in enumerate(given)]


def test_the_third_term_worked_out_by_hand() -> None:
    # (8 + ln 2000) / 100 = (8 + 7.600902) / 100
    assert third_term(100, kl=8.0, delta=0.05) == pytest.approx(0.15600902**0.5, abs=1e-7)
    assert third_term(1, kl=0.0, delta=exp(-4.0)) == pytest.approx(2.0)
    assert third_term(100, kl=-0.3, delta=0.05) == third_term(100, kl=0.0, delta=0.05)


@pytest.mark.parametrize(("kl", "delta"), [(0.0, 0.99), (0.0, 0.05), (8.0, 0.05), (200.0, 1e-6)])
def test_the_term_falls_and_the_pairs_needed_are_the_first(kl: float, delta: float) -> None:
    values = [third_term(count, kl=kl, delta=delta) for count in range(3, 4000)]
    assert values == sorted(values, reverse=True)
    for margin in (0.02, 0.1, 0.5, 5.0):
        count = pairs_needed(margin, kl=kl, delta=delta)
        assert third_term(count, kl=kl, delta=delta) <= margin
        assert count == 3 or third_term(count - 1, kl=kl, delta=delta) > margin


def test_divergence_of_two_known_policies() -> None:
    """Of 10 trajectories drawn from (0.7, 0.3), in just these shares, under a prior of (0.5, 0.5)."""
    ratios = 7 * [log(0.7 / 0.5)] + 3 * [log(0.3 / 0.5)]
    kl, error = divergence(ratios)
    assert kl == pytest.approx(0.7 * log(1.4) + 0.3 * log(0.6))
    assert error == pytest.approx((0.3 * 0.7 * 10 / 9 / 10) ** 0.5 * (log(1.4) - log(0.6)))


def test_a_reading() -> None:
    episodes = evaluated(sft_strong=(0.0, 1.0), ceiling=(1.0, 1.0), w2s_dpo=(0.0, 0.5))
    seen = [replace(each, split="seen") for each in evaluated(sft_strong=(1.0, 1.0), ceiling=(0.0, 0.0))]
    (found,) = readings([GIVEN], GroupedEpisodes([*seen, *episodes]))
    assert found.margin == pytest.approx(0.5)
    assert found.gain == pytest.approx(-0.25)
    assert found.largest_constant == pytest.approx(0.5 / found.term)
    assert third_term(found.pairs_needed, kl=8.0, delta=0.05) <= 0.5
    line = row(found)
    assert line["ranked_superior"] == 0.75 and line["pairs"] == 100 and line["third_term"] == found.term


def test_without_a_positive_margin_nothing_is_promised() -> None:
    (found,) = readings([GIVEN], GroupedEpisodes(evaluated(sft_strong=(1.0,), ceiling=(1.0,))))
    assert (found.margin, found.gain, found.largest_constant, found.pairs_needed) == (0.0, None, None, None)
    (alone,) = readings([GIVEN], GroupedEpisodes(evaluated(sft_strong=(1.0,))))
    assert (alone.margin, alone.largest_constant) == (None, None)


def test_read_and_written(tmp_path) -> None:
    write_json(tmp_path / "theorem.json", GIVEN.as_json())
    assert Quantities.read(tmp_path / "theorem.json") == GIVEN
    write_json(tmp_path / "old.json", {"pairs": 3})
    with pytest.raises(UserError, match=r"old\.json: not what the stage theorem writes"):
        Quantities.read(tmp_path / "old.json")


def test_the_chart_has_a_line_per_environment_and_seed() -> None:
    given = [GIVEN, replace(GIVEN, seed=1, pairs=80), replace(GIVEN, environment="shop", kl=2.0)]
    found = readings(given, GroupedEpisodes(evaluated(sft_strong=(0.5,), ceiling=(0.75,))))
    svg = chart(found).sheet()
    assert svg == chart(found).sheet()
    assert svg.startswith("<svg") and svg.count(">house<") == 1 and svg.count(">shop<") == 1
    assert "preference pairs N_p" in svg


def test_the_page_shows_the_reading(tmp_path) -> None:
    given = replace(inputs(tasks=6, resamples=100), theorem=[replace(GIVEN, environment="alfworld")])
    report.build(given, folder=tmp_path)
    section = by_id(read(tmp_path / "report.html"), "theorem")
    third, assumptions = section.iter("table")
    assert cells(third)[1][:6] == ["ALFWorld", "0", "100", "40", "8.0 ± 0.5", "0.395"]
    assert cells(assumptions)[1][4:6] == ["75.0 %", "90.0 %"]
    assert len(list(section.iter("figure"))) == 1
    with (tmp_path / "theorem.csv").open() as file:
        (line,) = csv.DictReader(file)
    assert (line["third_term"], line["pairs"], line["ranked_method"]) == ("0.39498", "100", "0.9")
