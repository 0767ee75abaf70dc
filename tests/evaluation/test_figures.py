"""The charts: well-formed, deterministic, and showing what they were given."""

from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from w2sg.evaluation.measures.comparisons import Resampling, comparisons, table_cells
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.report.figures import progress, scores, training

from .builders import SKILL, curve, evaluation, grid, task_table

RESAMPLING = Resampling(resamples=100, confidence=0.95, seed=0)
EPISODES = evaluation(tasks=6)
GROUPED = GroupedEpisodes(EPISODES)
DRAWINGS: dict[str, Callable[[], str]] = {
    "standings": lambda: scores.table1_chart(table_cells(GROUPED, resampling=RESAMPLING)),
    "differences": lambda: scores.difference_chart(comparisons(GROUPED, resampling=RESAMPLING)),
    "progress": lambda: progress.progress_chart(GROUPED, split="unseen"),
    "types": lambda: progress.task_type_chart(
        GROUPED.by_model("alfworld", "unseen"), task_types={t.task_id: t.task_type for t in task_table(tasks=6)}
    ),
    "breadth": lambda: scores.breadth_chart(grid({3: 0.4, 5: 0.6})),
    "loss": lambda: training.learning_curves([curve("sft_weak"), curve("w2s_mcts")], columns=("loss",)),
    "preference": lambda: training.learning_curves([curve("w2s_dpo")], columns=("loss", "margin", "accuracy")),
}


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", DRAWINGS)
def test_same_numbers_same_bytes(name: str) -> None:
    first = DRAWINGS[name]()
    assert first == DRAWINGS[name]()
    assert "currentColor" in first
    assert "<dc:date>" not in first
    ElementTree.fromstring(first)


def test_a_long_task_type_takes_two_lines_instead_of_running_into_its_neighbour() -> None:
    name = "lifespan-longest-lived-then-shortest-lived"
    here = [episode for episode in EPISODES if episode.split == "unseen"]
    drawn = texts(
        progress.task_type_chart(
            GROUPED.by_model("alfworld", "unseen"), task_types={e.trajectory.task_id: name for e in here}
        )
    )
    lines = [text for text in drawn if text.startswith("lifespan") or text.startswith("shortest")]
    assert len(lines) == 2 and "".join(lines).startswith(name)
    assert max(map(len, lines)) <= 34


def test_user_settings_of_matplotlib_do_not_show() -> None:
    import matplotlib

    plain = DRAWINGS["loss"]()
    with matplotlib.rc_context({"lines.linewidth": 9, "figure.dpi": 30}):
        assert DRAWINGS["loss"]() == plain


def test_charts_name_what_they_show() -> None:
    assert {"W2S TreeDPO", "SFT strong", "seen", "unseen", "alfworld"} <= set(texts(DRAWINGS["standings"]()))
    assert {"W2S MCTS − SFT weak", "alfworld, unseen"} <= set(texts(DRAWINGS["differences"]()))
    assert {"loss", "margin", "accuracy", "W2S TreeDPO"} <= set(texts(DRAWINGS["preference"]()))


def test_a_panel_per_task_type_with_its_number_of_tasks_and_three_agents() -> None:
    words = set(texts(DRAWINGS["types"]()))
    assert {"type 0 (3)", "type 1 (3)", "SFT strong", "W2S TreeDPO", "W2S MCTS"} <= words
    assert "SFT weak" not in words


def test_ids_of_two_charts_do_not_meet() -> None:
    def ids(svg: str) -> set[str]:
        return {element.attrib["id"] for element in ElementTree.fromstring(svg).iter() if "id" in element.attrib}

    assert not ids(DRAWINGS["loss"]()) & ids(DRAWINGS["progress"]())


def test_several_environments_seeds_and_missing_splits() -> None:
    shop = [e for e in evaluation(tasks=3, environment="webshop") if e.split == "unseen" and e.model != "base_weak"]
    svg = scores.table1_chart(table_cells(GroupedEpisodes(EPISODES + shop), resampling=RESAMPLING))
    assert {"alfworld", "webshop"} <= set(texts(svg))
    assert "Base weak" in texts(progress.progress_chart(GroupedEpisodes(EPISODES + shop), split="unseen"))
    runs = [curve("sft_weak"), curve("sft_weak", seed=1), curve("sft_strong", updates=1)]
    assert "seed 1" in texts(training.learning_curves(runs, columns=("loss",)))


def test_colours_and_dashes_tell_all_models_apart() -> None:
    styles = progress.line_styles([*SKILL, "eto", "best_of_m", "ceiling", "mine"])
    assert len(set(styles.values())) == len(styles)
