"""The paper's tables with our numbers."""

from dataclasses import replace

from w2sg.evaluation.measures.comparisons import TableCell, table_cells
from w2sg.evaluation.measures.complement import Complement
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.shares import Recovered
from w2sg.evaluation.measures.statistics import Interval, Ratio, Resampling
from w2sg.evaluation.measures.supervision import Supervision
from w2sg.evaluation.report import tables
from w2sg.evaluation.report.table import Table

from .builders import episode, grid

RESAMPLING = Resampling(resamples=100, confidence=0.95, seed=0)


def cells(*models: str) -> list[TableCell]:
    """Binary rewards on ALFWorld, graded ones on WebShop, which lacks the last model."""
    episodes = [
        episode(m, task=f"t{n}", score=float(n < 2), split=s)
        for m in models
        for n in range(4)
        for s in ("seen", "unseen")
    ]
    episodes += [episode(m, task=f"t{n}", score=n / 4, environment="webshop") for m in models[:-1] for n in range(4)]
    return table_cells(GroupedEpisodes(episodes), resampling=RESAMPLING)


def test_table_1_has_the_papers_shape_and_order_with_the_controls_below_and_in_brackets() -> None:
    found = tables.table1(cells("base_weak", "ceiling", "sft_weak", "best_of_m", "w2s_mcts"), binary=["alfworld"])
    assert found.head == ["method", "webshop: task score", "webshop: completion", "alfworld: task score"]
    assert [row[0] for row in found.rows] == ["SFT weak", "W2S MCTS", "Ceiling", "(SFT on best of M)", "(Base weak)"]
    assert found.rows[1] == ["W2S MCTS", "–", "–", found.rows[0][3]], "not run there"
    assert found.rows[0][1].startswith("37.5 [")
    assert found.rows[0][3].startswith("50.0 [")
    assert "Best of N picks the best of its samples by the environment's own reward" in found.note
    assert "server" not in found.note
    served = tables.table1(cells("sft_weak"), served=["explore", "evaluate"])
    assert served.note.endswith(
        " explore and evaluate: played by a server, which does not promise the same episodes for the same seed."
    )


def test_undefined_shares_are_shown_as_such_and_denominators_named() -> None:
    def share(name: str, value: Interval | None) -> Recovered:
        result = Ratio(value, Interval(0.05, -0.01, 0.11))
        return Recovered("webshop", "unseen", "w2s_dpo", name, 50, result)

    found = tables.recovered_table(
        [
            share("recovered ceiling", None),
            share("performance gap recovered", Interval(0.5, -0.2, float("inf"))),
        ]
    )
    assert found.rows == [["W2S TreeDPO", "webshop", "undefined", "50 % [−20, inf]"]]
    assert (
        "Recovered ceiling (the paper's): (x − SFT strong) / (Ceiling − SFT strong), webshop +5.0 [−1.0, +11.0]. "
        "Performance gap recovered (Burns et al., 2023): (x − SFT weak) / (SFT strong − SFT weak), webshop +5.0"
    ) in found.note
    assert "–. Performance gap" in tables.recovered_table([share("performance gap recovered", None)]).note


def test_what_each_solves_is_shown_with_what_was_played() -> None:
    shares = dict.fromkeys(("both", "only weak", "only strong", "neither"), Interval(0.25, 0.125, 0.5))
    found = tables.complement_table([Complement("webshop", "explored", "best of 6", "once, at 0.5", 8, 1, shares)])
    assert found.head[4:] == ["both", "only weak", "only strong", "neither"]
    assert found.rows == [["webshop, explored", "best of 6", "once, at 0.5", "8", *["25 % [12, 50]"] * 4]]


def test_table_3_shows_the_grid_beside_the_papers_figures() -> None:
    rows = grid({5: 0.4, 6: 0.5}) + grid({6: 0.45}, model="w2s_dpo")
    found = tables.table3(rows, [])
    assert [(row[0], row[1], row[2], row[-1]) for row in found.rows] == [
        ("SFT", "–", "–", "53.6"),
        ("WTS (TreeDPO)", "6", "0.1", "54.9"),
        ("MCTS", "5", "–", "57.6"),
        ("MCTS", "6", "–", "58.2"),
    ]
    assert "make grid" in tables.table3([], []).note


def test_the_papers_two_betas_stand_once_where_beta_is_varied() -> None:
    rows = [
        *grid({5: 0.4, 6: 0.5, 7: 0.6}, model="w2s_dpo"),
        *(replace(row, beta=0.5) for row in grid({6: 0.45}, model="w2s_dpo")),
    ]
    found = tables.table3(rows, [])
    assert [(row[1], row[2], row[-1]) for row in found.rows[1:]] == [
        ("5", "0.1", "–"),
        ("6", "0.1", "54.9"),
        ("6", "0.5", "49.2"),
        ("7", "0.1", "–"),
    ]
    assert {row[-1] for row in tables.table3(rows[:3], []).rows[1:]} == {"–"}, "breadth alone is varied"


def test_the_ledger_has_the_least_and_the_most_of_the_seeds() -> None:
    one = Supervision("webshop", 0, "sft_weak", "base_weak", play=9000, expert=60, models=0, updates=8)
    lines = [one, replace(one, seed=1, play=8999, updates=8), replace(one, environment="alfworld", init="")]
    found = tables.supervision_table(lines)
    assert found.rows == [
        ["SFT weak", "webshop", "Base weak", "8,999 to 9,000", "60", "0", "8"],
        ["SFT weak", "alfworld", "–", "9,000", "60", "0", "8"],
    ]


def test_markdown_of_a_table() -> None:
    text = tables.Table("Title", "Note.", ["name", "figure"], [["a", "1"]]).markdown()
    assert text == "## Title\n\nNote.\n\n| name | figure |\n|---|---:|\n| a | 1 |\n"


def test_a_table_has_groups_of_columns_and_columns_of_words() -> None:
    made = Table(
        "t", "n", ["method", "webshop: score", "webshop: rate", "alfworld: score"], [["a", "1.0", "–", "not run"]]
    )
    assert made.groups() == [("", 1), ("webshop", 2), ("alfworld", 1)]
    assert list(made.names()) == ["method", "score", "rate", "score"]
    assert [made.wordy(column) for column in range(4)] == [True, False, False, True]
    assert Table("t", "n", ["a", "b"], []).groups() == []


def test_a_table_lays_rows_beside_each_other_and_in_order() -> None:
    rows = [["a", "alfworld", "1", "2"], ["a", "webshop", "3", "4"], ["b", "webshop", "5", "6"]]
    made = Table("t", "n", ["method", "environment", "x", "y"], rows)
    across = made.across(1, ["webshop", "alfworld"])
    assert across.head == ["method", "webshop: x", "webshop: y", "alfworld: x", "alfworld: y"]
    assert across.rows == [["a", "3", "4", "1", "2"], ["b", "5", "6", "–", "–"]]
    assert [row[0] for row in made.ordered(["webshop", "alfworld"]).rows] == ["a", "b", "a"]
    split = Table("t", "n", ["tasks"], [["alfworld, seen"], ["other"], ["webshop, seen"]])
    assert [row[0] for row in split.ordered(["webshop", "alfworld"]).rows] == [
        "webshop, seen",
        "alfworld, seen",
        "other",
    ]
