"""The report as a whole: its files, its bytes, its words; the page has test_page."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures.comparisons import contrasts
from w2sg.evaluation.measures.models import origins
from w2sg.evaluation.paper import claims, paper
from w2sg.evaluation.report import report

from .builders import SKILL, evaluation, grid, inputs, task_table

FILES = {
    "table1.csv",
    "table1.md",
    "tables.md",
    "learning.csv",
    "comparisons.csv",
    "complement.csv",
    "regime.csv",
    "supervision.csv",
    "recovered.csv",
    "claims.md",
    "theorem.csv",
    "tree_gain.csv",
    "tree_quality.csv",
    "explorer.html",
    "report.html",
}
FIGURES = {"standings", "differences", "progress", "learning_loss", "learning_preference", "tree_alfworld", "tree_gain"}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results")
    (path / "figures").mkdir()
    (path / "figures" / "of_an_older_run.svg").write_text("<svg/>", encoding="utf-8")
    report.build(inputs(tasks=10, seeds=(0, 1), resamples=100), folder=path)
    return path


def test_all_files_are_there_and_no_others(folder: Path) -> None:
    assert set(contents(folder)) == FILES | {f"figures/{name}.svg" for name in FIGURES}


def test_equal_inputs_equal_bytes(folder: Path, tmp_path: Path) -> None:
    again = inputs(tasks=10, seeds=(0, 1), resamples=100)
    report.build(replace(again, episodes=list(reversed(again.episodes))), folder=tmp_path)
    assert contents(tmp_path) == contents(folder)


def test_table1_has_the_promised_columns(folder: Path) -> None:
    table = rows(folder / "table1.csv")
    head = "environment,model,seed,split,tasks,average_reward,success_rate,completion_rate"
    assert list(table[0]) == head.split(",")
    assert len(table) == len(SKILL) * 2 * 2
    assert all(row["average_reward"] == row["success_rate"] for row in table)


def test_markdown_has_one_row_per_model_times_100(folder: Path) -> None:
    table = rows(folder / "table1.csv")
    of_weak = [float(r["average_reward"]) for r in table if r["model"] == "sft_weak" and r["split"] == "seen"]
    lines = (folder / "table1.md").read_text(encoding="utf-8").splitlines()
    short, line = [line for line in lines if line.startswith("| SFT weak |")]
    assert line.startswith(f"| SFT weak | {100 * sum(of_weak) / 2:.1f} [")
    assert len(short.split("|")) == 1 + 2 + 1, "one column for rewards of 0 and 1"
    assert sum(line.startswith("| ") for line in lines) == 2 * (1 + len(SKILL)) + 2, "and what there was to learn"


@pytest.mark.usefixtures("words_alone")
def test_what_there_was_to_learn_is_said(tmp_path: Path) -> None:
    (line,) = report.build(inputs(tasks=10, resamples=100), folder=tmp_path)
    (row,) = rows(tmp_path / "learning.csv")
    assert line == f"alfworld: little to learn here: {row['failed']}"
    assert "SFT weak is not shown to be above its base" in row["failed"], "ten tasks are too few"
    for name in ("table1.md", "report.html"):
        assert "Was there something to learn?" in (tmp_path / name).read_text(encoding="utf-8")


def test_tree_quality_says_what_there_was_to_learn_from(folder: Path) -> None:
    (row,) = rows(folder / "tree_quality.csv")
    assert float(row["mixed_share"]) == pytest.approx(2 / 3, abs=1e-6)
    assert row["informative_per_mixed_task"] == "3.0"
    assert (row["pairs_tree"], row["branchings_possible"]) == ("6", "11")
    assert (row["paths_mcts"], row["certified_mcts"], row["recombined_mcts"]) == ("2", "2", "0")


def test_comparisons_hold_every_contrast(folder: Path) -> None:
    found = rows(folder / "comparisons.csv")
    methods = origins(inputs(tasks=1).params)
    assert [(r["model"], r["baseline"]) for r in found if r["split"] == "unseen"] == contrasts(list(SKILL), methods)
    assert all(float(r["adjusted_p"]) >= max(float(r["p_value"]), float(r["mixed_p"])) for r in found)
    assert {(r["model"], r["baseline"]) for r in found if r["family"] == "headline"} == {
        (ours, sft) for ours in ("w2s_dpo", "w2s_mcts") for sft in ("sft_weak", "sft_strong")
    }
    assert all(float(r["low"]) <= float(r["difference"]) <= float(r["high"]) for r in found)
    assert {(r["test"], r["seeds"]) for r in found} == {("sign, seed means", "2")}


def test_recovered_names_its_denominator(folder: Path) -> None:
    found = rows(folder / "recovered.csv")
    shares = {"recovered ceiling": "ceiling - sft_strong", "performance gap recovered": "sft_strong - sft_weak"}
    assert all(shares[row["share"]] == row["denominator"] for row in found)
    assert all((row["value"] == "") == (float(row["denominator_low"]) <= 0) for row in found)


def test_the_complement_has_four_shares_a_way_of_looking(folder: Path) -> None:
    found = rows(folder / "complement.csv")
    assert [(r["split"], r["weak"], r["strong"]) for r in found[::4]] == [
        ("explored", "best of 6", "once, at 1"),
        ("explored", "once, at 1", "best of 6"),
        ("unseen", "once, at 1", "once, at 1"),
    ]
    for first in range(0, 12, 4):
        assert sum(float(r["share"]) for r in found[first : first + 4]) == pytest.approx(1, abs=1e-5)
    assert "## What each model solves that the other does not" in (folder / "tables.md").read_text(encoding="utf-8")


def test_claims_count_their_verdicts(folder: Path) -> None:
    text = (folder / "claims.md").read_text(encoding="utf-8")
    number = len(claims.CLAIMS)
    assert f"{number} sentences: " in text
    assert text.count("\n> ") == text.count("\nThe paper's figures: ") == number


def test_page_and_files_show_the_same_figures(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    for name in FIGURES - {"differences"}:  # its intervals stand in the table of comparisons
        svg = (folder / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        titles = re.findall(r"<title>(.*?)</title>", svg)
        assert titles and all(f"<title>{title}</title>" in text for title in titles[1:])
    assert "Seeds 0, 1: a resample draws seeds and tasks" in text
    assert "breadth: 6" in text


def test_science_world_and_a_grid_bring_their_figures(tmp_path: Path) -> None:
    whole = inputs(tasks=4)
    science = replace(
        whole,
        episodes=evaluation(tasks=4, environment="scienceworld"),
        tasks=task_table(tasks=4, environment="scienceworld"),
        grid=grid({3: 0.4, 4: 0.5, 5: 0.3}),
    )
    report.build(science, folder=tmp_path)
    assert {"figures/task_types.svg", "figures/breadth.svg"} <= set(contents(tmp_path))
    text = (tmp_path / "tables.md").read_text(encoding="utf-8")
    assert "| MCTS | 5 | – | 30.0 [28.0, 32.0] |" in text
    assert "| scienceworld | 0 (1483) | 4 (194) | 4 (211) |" in text
    claims = (tmp_path / "claims.md").read_text(encoding="utf-8")
    assert "3: 40.0, 4: 50.0, 5: 30.0; best at 4" in claims
    assert "another configuration" not in claims


def test_a_grid_of_another_configuration_is_judged_and_named_but_not_drawn(tmp_path: Path) -> None:
    rows = [replace(row, environment=name) for name in paper.ENVIRONMENTS for row in grid({3: 0.4, 4: 0.5, 5: 0.3})]
    report.build(replace(inputs(tasks=4), grid_of_another=rows), folder=tmp_path)
    claims = (tmp_path / "claims.md").read_text(encoding="utf-8")
    assert "best at 4" in claims and "(configuration 0123456789)" in claims
    assert "| supported (by a grid of another configuration) | Section 4.2, Figure 5 |" in claims
    assert "figures/breadth.svg" not in contents(tmp_path)
    assert "make grid" in (tmp_path / "tables.md").read_text(encoding="utf-8")


def test_without_episodes_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run the evaluate stage"):
        report.build(replace(inputs(tasks=1), episodes=[]), folder=tmp_path)
    assert contents(tmp_path) == {}
