"""The charts: well-formed, deterministic, and showing what they were given."""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from w2sg.config.overlays import merged
from w2sg.evaluation.measures import models
from w2sg.evaluation.measures.comparisons import comparisons, table_cells
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.statistics import Resampling
from w2sg.evaluation.report.figures import canvas, progress, scores, training
from w2sg.evaluation.report.figures.canvas import Chart

from .builders import curve, evaluation, grid, task_table

RESAMPLING = Resampling(resamples=100, confidence=0.95, seed=0)
EPISODES = evaluation(tasks=6)
GROUPED = GroupedEpisodes(EPISODES)
CHARTS: dict[str, Callable[[], Chart]] = {
    "standings": lambda: scores.table1_chart(table_cells(GROUPED, resampling=RESAMPLING)),
    "differences": lambda: scores.difference_chart(comparisons(GROUPED, resampling=RESAMPLING)),
    "progress": lambda: progress.progress_chart(GROUPED),
    "types": lambda: progress.task_type_chart(
        GROUPED.by_model("alfworld", "unseen"), task_types={t.task_id: t.task_type for t in task_table(tasks=6)}
    ),
    "breadth": lambda: scores.breadth_chart(grid({3: 0.4, 5: 0.6})),
    "loss": lambda: training.learning_curves([curve("sft_weak"), curve("w2s_mcts")], columns=("loss",)),
    "preference": lambda: training.learning_curves([curve("w2s_dpo")], columns=("loss", "margin", "accuracy")),
}


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", CHARTS)
def test_same_numbers_same_bytes(name: str) -> None:
    first = CHARTS[name]().sheet()
    assert first == CHARTS[name]().sheet()
    assert "currentColor" in first
    assert "<dc:date>" not in first
    ElementTree.fromstring(first)


def test_a_long_task_type_takes_two_lines_instead_of_running_into_its_neighbour() -> None:
    name = "lifespan-longest-lived-then-shortest-lived"
    here = [episode for episode in EPISODES if episode.split == "unseen"]
    drawn = texts(
        progress.task_type_chart(
            GROUPED.by_model("alfworld", "unseen"), task_types={e.trajectory.task_id: name for e in here}
        ).sheet()
    )
    lines = [text for text in drawn if text.startswith("lifespan") or text.startswith("shortest")]
    assert len(lines) == 2 and "".join(lines).startswith(name)
    assert max(map(len, lines)) <= progress.LONGEST_TITLE


def test_user_settings_of_matplotlib_do_not_show() -> None:
    import matplotlib

    plain = CHARTS["loss"]().sheet()
    with matplotlib.rc_context({"lines.linewidth": 9, "figure.dpi": 30}):
        assert CHARTS["loss"]().sheet() == plain


def test_charts_name_what_they_show() -> None:
    assert {"W2S TreeDPO", "SFT strong", "seen", "unseen", "ALFWorld"} <= set(texts(CHARTS["standings"]().sheet()))
    assert {"W2S MCTS − SFT weak", "ALFWorld, unseen"} <= set(texts(CHARTS["differences"]().sheet()))
    assert {"loss", "margin", "accuracy", "W2S TreeDPO"} <= set(texts(CHARTS["preference"]().sheet()))


def test_a_panel_per_task_type_with_its_number_of_tasks_and_three_agents() -> None:
    words = set(texts(CHARTS["types"]().sheet()))
    assert {"type 0 (3)", "type 1 (3)", "SFT strong", "W2S TreeDPO", "W2S MCTS"} <= words
    assert "SFT weak" not in words


@pytest.mark.parametrize("chart", ["standings", "differences"])
def test_the_longest_names_leave_the_axes_their_width(monkeypatch: pytest.MonkeyPatch, chart: str) -> None:
    """An inch at least; with too little room constrained layout squeezes them, and gives up below nothing."""
    monkeypatch.setitem(models.LABELS, "w2s_dpo", "A method of a name that is longer than any other one")
    monkeypatch.setitem(models.LABELS, "sft_strong", "A model of a name that is longer than any other one")
    for panel in CHARTS[chart]().panels:
        axes = re.search(r'patch_2">\s*<path d="M ([\d.]+) [\d.]+\s*L ([\d.]+) ', panel.svg)
        assert axes and float(axes[2]) - float(axes[1]) > 72  # points


def test_ids_of_two_charts_do_not_meet() -> None:
    def ids(svg: str) -> set[str]:
        return {element.attrib["id"] for element in ElementTree.fromstring(svg).iter() if "id" in element.attrib}

    assert not ids(CHARTS["loss"]().sheet()) & ids(CHARTS["progress"]().sheet())


def test_several_environments_seeds_and_missing_splits() -> None:
    shop = [e for e in evaluation(tasks=3, environment="webshop") if e.split == "unseen" and e.model != "base_weak"]
    svg = scores.table1_chart(table_cells(GroupedEpisodes(EPISODES + shop), resampling=RESAMPLING)).sheet()
    assert {"ALFWorld", "WebShop"} <= set(texts(svg))
    assert "Base weak" in texts(progress.progress_chart(GroupedEpisodes(EPISODES + shop)).sheet())


def test_a_sheet_holds_all_panels_side_by_side_and_the_legend_once() -> None:
    chart = CHARTS["preference"]()
    sheet = ElementTree.fromstring(chart.sheet())
    panels = sheet.findall("{http://www.w3.org/2000/svg}svg")
    assert len(panels) == len(chart.panels) == 3
    places = [(float(each.attrib["x"]), float(each.attrib["y"])) for each in panels]
    assert len({y for _, y in places}) == 1 and sorted(places) == places and len(set(places)) == 3
    end = places[-1][0] + float(panels[-1].attrib["width"])
    assert end == pytest.approx(float(sheet.attrib["width"]))
    assert [text for text in texts(chart.sheet()) if text == "ALFWorld"] == ["ALFWorld"]


def test_an_environment_has_one_colour_in_all_charts() -> None:
    every = canvas.environment_colours(["webshop", "mine", "alfworld", "scienceworld"])
    assert len(set(every.values())) == 4
    for some in (["alfworld"], ["scienceworld", "alfworld"], ["mine"]):
        found = canvas.environment_colours(some)
        assert {name: found[name] for name in some} == {name: every[name] for name in some}


def test_seeds_meet_at_the_same_steps() -> None:
    short = [{"step": 0, "loss": 1.0}, {"step": 2, "loss": 3.0}]
    long = [{"step": 1, "loss": 5.0}, {"step": 2, "loss": 7.0}, {"step": 4, "loss": 1.0}]
    steps, values = training.by_step([short, [], long], column="loss")
    assert steps.tolist() == [0, 1, 2, 4]
    np.testing.assert_array_equal(values, [[1, 2, 3, np.nan], [np.nan, 5, 7, 1]])
    assert training.by_step([[]], column="loss")[1].shape == (0, 0)


def test_colours_and_dashes_tell_all_models_apart() -> None:
    """Also those of the study, which has the most rows."""
    studied = merged(Path(__file__).parents[2] / "params/study.yaml").values
    methods = [*studied["preference"], *studied["imitation"], *canvas.LINES, "best_of_n", "mine"]
    styles = progress.line_styles(methods)
    assert len(styles) > 20
    assert len(set(styles.values())) == len(styles)
