"""The report as a whole: its files, its bytes, its words."""

import csv
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from w2sg.contracts.episodes import Episode
from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures.comparisons import contrasts
from w2sg.evaluation.measures.models import origins
from w2sg.evaluation.paper import claims
from w2sg.evaluation.report import pictures, report

from .builders import SKILL, episode, evaluation, grid, inputs, task_table

FILES = {
    "table1.csv",
    "table1.md",
    "tables.md",
    "learning.csv",
    "comparisons.csv",
    "complement.csv",
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


@pytest.fixture
def words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No chart is drawn, which takes most of a report's time."""
    there = dict.fromkeys(("standings", "differences", "progress"), "<svg></svg>")
    monkeypatch.setattr(pictures, "charts", lambda inputs, results: there)


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


def test_only_what_survives_the_correction_is_bold(folder: Path) -> None:
    found = [r for r in rows(folder / "comparisons.csv") if r["split"] == "unseen"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    table = page[page.index('<table class="comparisons">') :].partition("</table>")[0]
    assert table.count("<b>") == sum(r["holds"] == "True" for r in found) > 0
    assert table.count('<td class="difference">') == 2 * len(found), "bootstrap and mixed model"


def test_claims_count_their_verdicts(folder: Path) -> None:
    text = (folder / "claims.md").read_text(encoding="utf-8")
    number = len(claims.CLAIMS)
    assert f"{number} sentences: " in text
    assert text.count("\n> ") == text.count("\nThe paper's figures: ") == number
    page = read(folder / "report.html")
    assert {"claims", "tables"} <= set(page.ids)


class Page(HTMLParser):
    """Collects tags, attributes and whether tags nest."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")]
        self.ids += [values["id"] or ""] if "id" in values else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    assert page.open == []
    return page


def test_page_needs_nothing_from_outside(folder: Path) -> None:
    page = read(folder / "report.html")
    text = (folder / "report.html").read_text(encoding="utf-8")
    beside = [address for address in page.addresses if not address.startswith("#")]
    assert {address.partition("#")[0] for address in beside} == {"explorer.html"}
    assert {address[1:] for address in page.addresses if address not in beside} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert not page.tags & {"script", "link", "img", "iframe"}
    assert not re.search(r"@import|url\((?!#)", text)


def test_page_shows_the_parts(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert text.count("<svg") == len(FIGURES)
    assert "On 10 unseen alfworld tasks, W2S TreeDPO is" in text
    assert "66.7 %</b> of 3 explored training tasks" in text
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
    report.build(replace(inputs(tasks=4), grid_of_another=grid({3: 0.4, 4: 0.5, 5: 0.3})), folder=tmp_path)
    claims = (tmp_path / "claims.md").read_text(encoding="utf-8")
    assert "best at 4" in claims and "(configuration 0123456789)" in claims
    assert "| supported (by a grid of another configuration) | Section 4.2, Figure 5 |" in claims
    assert "figures/breadth.svg" not in contents(tmp_path)
    assert "make grid" in (tmp_path / "tables.md").read_text(encoding="utf-8")


def test_page_with_the_least_there_can_be(tmp_path: Path) -> None:
    whole = inputs(tasks=1)
    least = replace(
        whole,
        episodes=[episode("base_weak", score=0.0)],
        explorations=[],
        trees={},
        mcts_paths=(),
        curves=(),
    )
    report.build(least, folder=tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "there is nothing to claim" in text
    assert "all models reached the same scores" in text
    read(tmp_path / "report.html")


def test_generated_text_is_shown_and_never_run(tmp_path: Path) -> None:
    evil = episode("sft_weak", score=1.0)
    said = replace(evil.trajectory.steps[0], thought="<script>alert(1)</script>", observation="<img src=x>")
    hostile = Episode("sft_weak", 0, "unseen", replace(evil.trajectory, steps=(said, *evil.trajectory.steps[1:])))
    report.build(replace(inputs(tasks=1), episodes=[hostile, episode("sft_strong", score=0.0)]), folder=tmp_path)
    assert not read(tmp_path / "report.html").tags & {"script", "img"}
    assert "&lt;script&gt;" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_without_episodes_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run the evaluate stage"):
        report.build(replace(inputs(tasks=1), episodes=[]), folder=tmp_path)
    assert contents(tmp_path) == {}


@pytest.mark.usefixtures("words_alone")
def test_what_the_merge_threshold_does(tmp_path: Path) -> None:
    counts = {"steps": 40, "merged": 12, "differing": 3, "paths": 5, "recombined": 2}
    failures = {"other_observation": 1, "other_score": 0}
    merging = [
        {"environment": "alfworld", "seed": 0, "similarity": similarity, "trees": 6, **counts, **failures}
        for similarity in (None, 0.7)
    ]
    report.build(replace(inputs(tasks=4, resamples=100), merging=merging), folder=tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    cells = "</td><td>".join(map(str, (*counts.values(), *failures.values())))
    assert f"<td>0</td><td>exact</td><td>{cells}</td>" in page
    assert f"<td>0</td><td>0.7</td><td>{cells}</td>" in page


@pytest.mark.usefixtures("words_alone")
def test_trees_by_who_explored(tmp_path: Path) -> None:
    given = inputs(tasks=4, resamples=100)
    (exploration,) = given.explorations
    policies = {name: exploration.quality for name in ("sft_weak", "diverse_weak", "together")}
    report.build(replace(given, explorations=[replace(exploration, by_policy=policies)]), folder=tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "By who explored" in page and "<td>diverse_weak</td>" in page
