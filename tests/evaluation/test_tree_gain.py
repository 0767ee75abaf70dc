import numpy as np
import pytest

from w2sg.contracts.episodes import Episode
from w2sg.contracts.trajectories import Step, Trajectory
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.grid import GridRow
from w2sg.evaluation.measures.tree_gain import FIGURES, GainPoint, points, relations, spearman
from w2sg.evaluation.report.csv_rows import tree_gain as row
from w2sg.evaluation.report.figures.tree_gain import chart


def point(environment: str, value: float, gain: float, *, condition: str = "") -> GainPoint:
    return GainPoint(environment, 0, condition, dict.fromkeys(FIGURES, value), {"w2s_dpo": gain})


@pytest.mark.parametrize(
    ("one", "other", "rho"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 99], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3], [1, 3, 2], 0.5),
        ([1, 1, 2, 3], [5, 6, 7, 8], 4.5 / np.sqrt(4.5 * 5)),  # ranks 1.5, 1.5, 3, 4 against 1, 2, 3, 4
        ([1, 1, 1], [1, 2, 3], None),
    ],
)
def test_spearman(one, other, rho) -> None:
    found = spearman(np.array(one, dtype=float), np.array(other, dtype=float))
    assert found == (None if rho is None else pytest.approx(rho))


def test_environments_are_not_compared_with_each_other() -> None:
    """Within each the better tree gains less; between them it is the other way round, which must not count."""
    found = [point("a", value, -value / 100) for value in (1, 2, 3)]
    found += [point("b", value, 0.9 - value / 100) for value in (101, 102, 103)]
    relation = relations(found)[0]
    assert (relation.points, relation.environments) == (6, 2)
    assert relation.rho == pytest.approx(-1.0)


def test_a_figure_that_hardly_varies_is_not_related_and_says_so() -> None:
    """Of 100 and 102 in one environment, 50 and 51 in the other: departures of 1 % of the mean each, n - 2 = 3 free."""
    values = {"a": (100, 102, 101), "b": (50, 51)}
    found = [point(name, value, value / 1000) for name, own in values.items() for value in own]
    relation = relations(found)[0]
    expected = np.sqrt((2 * (1 / 101) ** 2 + 2 * (0.5 / 50.5) ** 2) / 3)
    assert (relation.points, relation.spread, relation.rho) == (5, pytest.approx(expected), None)
    assert relation.reason == "within environments the figure varies by 1 % of its mean, which is too little"


def test_what_is_not_related_has_a_reason() -> None:
    varied = [point("a", value, gain) for value, gain in ((1, 0.1), (2, 0.2), (3, 0.1), (4, 0.2), (5, 0.3))]
    assert relations(varied)[0].reason == ""
    assert relations(varied[:4])[0].reason == "4 points, of at least 5"
    level = [point("a", value, 0.1) for value in range(1, 6)]
    assert relations(level)[0].reason == "the gain does not vary"


def test_few_points_are_no_relation() -> None:
    found = [point("a", value, value) for value in (1, 2, 3, 4)] + [point("b", 1, 1)]
    relation = relations(found)[0]
    assert (relation.points, relation.environments, relation.rho) == (4, 1, None)
    assert [(each.method, each.figure) for each in relations(found)] == [("w2s_dpo", figure) for figure in FIGURES]


def episode(model: str, score: float, *, seed: int = 0, split: str = "unseen") -> Episode:
    step = Step("o", "t", "a", "Thought: t\nAction: a", "end", score)
    return Episode(model, seed, split, Trajectory("house", f"{split} task", model, 0, 0.0, 1.0, True, (step,)))


def grid_row(breadth: int, *, beta: float = 0.1, split: str = "unseen", model: str = "w2s_dpo") -> GridRow:
    numbers = {"average_reward": 0.7, "informative_total": 15.0}
    names = {"configuration": "0", "environment": "house", "model": model, "breadth": breadth, "beta": beta}
    return GridRow(**(dict.fromkeys(GridRow.__dataclass_fields__, 0) | numbers | names | {"split": split}))


def test_points_are_gains_over_sft_strong_on_the_reported_split() -> None:
    episodes = [episode("sft_strong", 0.5), episode("w2s_dpo", 0.6), episode("w2s_dpo", 0.0, split="seen")]
    episodes += [episode("sft_strong", 0.3, seed=1), episode("w2s_mcts", 0.1, seed=1)]
    quality = dict.fromkeys(FIGURES, 2)
    qualities = {("house", 0): quality, ("house", 1): quality, ("shop", 0): quality}
    grid = [grid_row(3), grid_row(4), grid_row(4, model="w2s_mcts"), grid_row(5, beta=0.5), grid_row(5, split="seen")]
    found = points(qualities, GroupedEpisodes(episodes), grid, breadth=3, beta=0.1)
    assert [(each.seed, each.condition, dict(each.gains)) for each in found] == [
        (0, "", {"w2s_dpo": pytest.approx(0.1)}),
        (1, "", {"w2s_mcts": pytest.approx(-0.2)}),
        (None, "breadth 4", {"w2s_dpo": pytest.approx(0.3), "w2s_mcts": pytest.approx(0.3)}),
    ]
    assert row(found[2]) == {
        "environment": "house",
        "seed": None,
        "condition": "breadth 4",
        "branchings_total": 0,
        "depth_mean": 0,
        "informative_total": 15.0,
        "mixed_share": 0,
        "best_score": 0,
        "gain_w2s_dpo": pytest.approx(0.3),
        "gain_w2s_mcts": pytest.approx(0.3),
    }


def test_the_chart_has_a_panel_per_method() -> None:
    found = [point("a", value, value / 100) for value in (1, 2)] + [point("b", 3, 0.0)]
    found.append(GainPoint("b", 1, "", dict.fromkeys(FIGURES, 1.0), {"w2s_mcts": 0.1}))
    svg = chart(found).sheet()
    assert svg == chart(found).sheet()
    assert "W2S TreeDPO" in svg and "W2S MCTS" in svg and svg.count(">a<") == 1
