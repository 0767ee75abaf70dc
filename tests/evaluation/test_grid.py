"""Grid rows: what they are paired with, which configuration they belong to, their file."""

from dataclasses import replace
from pathlib import Path

import pytest

from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures import grid
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.grid import GridPoint
from w2sg.evaluation.measures.statistics import Resampling

from .builders import episode

RESAMPLING = Resampling(resamples=200, confidence=0.95, seed=0)
PARAMS = {
    "seeds": [0],
    "explore": {"samples": 6, "tasks": 9},
    "tree": {"breadth": 6, "similarity": 0.9},
    "pairs": {"turns": 1},
    "dpo": {"beta": 0.1, "eq6": "dpo"},
    "mcts": {"gamma": 1.41},
    "imitate": {"lora": None},
    "preference": {"w2s_dpo": {"data": "tree", "pairs": None, "dpo": None}, "eto": {"data": "eto", "dpo": None}},
    "imitation": {"w2s_mcts": {"data": "mcts", "mcts": None, "imitate": None}},
}
QUALITY = {
    "tasks": 4,
    "mean": {"depth_mean": 6.5, "best_score": 0.75},
    "total": {"branchings": 9, "informative": 5},
    "mixed": {"tasks": 3},
}


def point(breadth: int, won: int, *, beta: float = 0.1) -> GridPoint:
    episodes = [
        episode(model, task=f"t{n}", score=float(n < won), seed=seed)
        for model in grid.MODELS
        for seed in (0, 1)
        for n in range(20)
    ]
    return GridPoint("alfworld", breadth, beta, GroupedEpisodes(episodes), [QUALITY, QUALITY])


def test_points_are_paired_with_the_configurations_own() -> None:
    found = grid.rows([point(6, 12), point(3, 4)], name="x", breadth=6, beta=0.1, resampling=RESAMPLING)
    assert [(row.model, row.breadth) for row in found] == [
        ("w2s_dpo", 3),
        ("w2s_dpo", 6),
        ("w2s_mcts", 3),
        ("w2s_mcts", 6),
    ]
    assert [(row.tasks, row.seeds, row.average_reward, row.difference) for row in found[:2]] == [
        (20, 2, 0.2, -0.4),
        (20, 2, 0.6, 0.0),
    ]
    assert found[0].difference_high < 0
    assert (found[0].from_best, found[0].from_best_high) == (found[0].difference, found[0].difference_high)
    assert (found[1].from_best, found[1].from_best_p) == (0.0, 1.0), "the best itself"
    quality = (found[0].branchings_total, found[0].depth_mean, found[0].informative_total)
    assert (*quality, found[0].mixed_share, found[0].best_score) == (9, 6.5, 5, 0.75, 0.75)


def test_points_are_paired_with_the_best_of_their_own_beta() -> None:
    """The configuration's own, 6, wins 12 of 20 tasks, 8 wins 15: breadth 3 loses 11 to it and none the other way."""
    points = [point(6, 12), point(3, 4), point(8, 15), point(6, 20, beta=0.5), point(3, 19, beta=0.5)]
    found = grid.rows(points, name="x", breadth=6, beta=0.1, resampling=RESAMPLING)
    of = {(row.breadth, row.beta): row for row in found if row.model == "w2s_mcts"}
    assert [of[b, 0.1].from_best for b in (3, 6, 8)] == [pytest.approx(-11 / 20), pytest.approx(-3 / 20), 0.0]
    assert of[3, 0.1].from_best_p == pytest.approx(2 / 2**11)
    assert [of[b, 0.5].from_best for b in (3, 6)] == [pytest.approx(-1 / 20), 0.0]


def test_a_grid_without_the_configurations_own_point_is_refused() -> None:
    with pytest.raises(UserError, match=r"no point at tree\.breadth 6, dpo\.beta 0\.5"):
        grid.rows([point(6, 12)], name="x", breadth=6, beta=0.5, resampling=RESAMPLING)


def test_a_configuration_is_all_that_must_be_equal() -> None:
    name = grid.configuration(PARAMS)
    assert grid.configuration({**PARAMS, "tree": {"breadth": 3, "similarity": 0.9}}) == name
    assert grid.configuration({**PARAMS, "dpo": {"beta": 0.5, "eq6": "dpo"}}) == name
    assert grid.configuration({**PARAMS, "dpo": {"beta": 0.1, "eq6": "literal"}}) != name
    assert grid.configuration({**PARAMS, "explore": {"samples": 10, "tasks": 9}}) == name
    assert grid.configuration({**PARAMS, "explore": {"samples": 6, "tasks": 8}}) != name
    assert grid.configuration({**PARAMS, "tree": {"breadth": 6, "similarity": 0.8}}) != name
    assert grid.configuration({**PARAMS, "seeds": [0, 1]}) != name


@pytest.mark.parametrize(
    ("roster", "method", "key", "value"),
    [
        ("preference", "w2s_dpo", "data", "shuffled"),
        ("preference", "w2s_dpo", "pairs", {"turns": None}),
        ("preference", "w2s_dpo", "dpo", {"beta": 0.1, "eq6": "literal"}),
        ("imitation", "w2s_mcts", "mcts", {"gamma": 0.2}),
        ("imitation", "w2s_mcts", "imitate", {"lora": 8}),
    ],
)
def test_settings_of_the_grids_own_methods_are_a_configuration(
    roster: str, method: str, key: str, value: object
) -> None:
    """Those of others are not."""
    name = grid.configuration(PARAMS)
    entries: dict[str, dict[str, object]] = PARAMS[roster]  # type: ignore[assignment]
    assert grid.configuration({**PARAMS, roster: {**entries, method: {**entries[method], key: value}}}) != name
    assert grid.configuration({**PARAMS, roster: {**entries, "other": {key: value}}}) == name


def test_a_methods_own_settings_stand_for_those_of_the_section() -> None:
    own = {**PARAMS, "imitation": {"w2s_mcts": {"data": "mcts", "mcts": {"gamma": 1.41}, "imitate": None}}}
    assert grid.configuration(own) == grid.configuration(PARAMS)
    assert grid.configuration({**own, "mcts": {"gamma": 9.0}}) == grid.configuration(PARAMS)


def test_a_file_of_rows_comes_back(tmp_path: Path) -> None:
    found = grid.rows([point(6, 12), point(3, 4)], name="x", breadth=6, beta=0.1, resampling=RESAMPLING)
    grid.write(tmp_path / "grid.csv", found)
    back = grid.read(tmp_path / "grid.csv")
    assert [(row.model, row.breadth, row.average_reward) for row in back] == [
        (row.model, row.breadth, pytest.approx(row.average_reward, rel=1e-5)) for row in found
    ]
    older = [replace(row, from_best=None, from_best_low=None, from_best_high=None, from_best_p=None) for row in back]
    grid.write(tmp_path / "older.csv", older)
    assert grid.read(tmp_path / "older.csv") == older
    grid.write(tmp_path / "empty.csv", [])
    assert grid.read(tmp_path / "empty.csv") == []


def test_an_unfit_file_is_named(tmp_path: Path) -> None:
    again = r"; `git checkout results/grid\.csv`, or make grid$"
    with pytest.raises(UserError, match=rf"grid\.csv: No such file or directory{again}"):
        grid.read(tmp_path / "grid.csv")
    (tmp_path / "grid.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=f"other columns than a grid has{again}"):
        grid.read(tmp_path / "grid.csv")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("\n", "", "ends within a line"),
        ("w2s_dpo", "w2s_dpo,,", "line 2: 26 cells, and a grid has 24 columns"),
        (",w2s_dpo", "", "line 2: 23 cells, and a grid has 24 columns"),
        (",0.1,", ",x,", "line 2: beta: 'x' is no number"),
        (",0.1,", ",nan,", "line 2: beta: 'nan' is no number"),
        (",3,0.1", f",{10**400},0.1", "line 2: breadth: '1000+…? is no number"),
        (",0.1,", ",,", "line 2: beta: '' is no number"),
        (",3,0.1", ",3.5,0.1", r"line 2: breadth: '3\.5' is no number"),
        (",6,0.1", ",3,0.1", "line 3: the point of line 2 again"),
        (",2,0.2,", ",2,5.5,", "line 2: average_reward, low or high is no fraction"),
        ("alfworld,w2s_mcts", 'alfworld,"w2s_mcts"x', "line 4: .*expected after"),
        ("alfworld,w2s_mcts", "alfwörld,w2s_mcts", r"not UTF-8 at byte \d+"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(old: str, new: str, why: str, tmp_path: Path) -> None:
    """The report reads it, and so does every run."""
    path = tmp_path / "grid.csv"
    grid.write(path, grid.rows([point(6, 12), point(3, 4)], name="x", breadth=6, beta=0.1, resampling=RESAMPLING))
    head, _, rest = path.read_text().partition("\n")
    rest = rest.removesuffix(old) + new if old == "\n" else rest.replace(old, new, 1)
    path.write_bytes(f"{head}\n{rest}".encode("latin-1"))
    with pytest.raises(UserError, match=rf"grid\.csv: {why}.*; `git checkout results/grid\.csv`, or make grid$"):
        grid.read(path)
