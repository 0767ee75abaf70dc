"""The report's page: what it is built of, that it needs nothing, and that everyone can read it."""

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from w2sg.contracts.episodes import Episode
from w2sg.evaluation.measures import grid as grids
from w2sg.evaluation.measures.metrics import Table1Row
from w2sg.evaluation.measures.study import Study
from w2sg.evaluation.paper.claims import CLAIMS
from w2sg.evaluation.paper.verdicts import VERDICTS
from w2sg.evaluation.report import page, report
from w2sg.evaluation.report.inputs import ReportInputs

from .builders import curve, episode, grid, inputs, tree
from .dom import by_id, cells, of_class, read, text

SEEDS = (0, 1, 2)
PLACES = ("alfworld", "webshop")


def everything() -> ReportInputs:
    """A run of two environments and three seeds, with a grid and with texts of WebShop."""
    whole = inputs(tasks=20, seeds=SEEDS, resamples=100)
    (found,) = whole.explorations
    shop = [
        replace(each, trajectory=replace(each.trajectory, environment="webshop"))
        for each in whole.episodes
        if each.model != "ceiling"
    ]
    said = "WebShop [SEP] Instruction: [SEP] buy a mug [SEP] Search"
    shop = [_saying(each, said) for each in shop]
    shown = tree(environment="webshop")
    first = shown.trajectories[0]
    told = replace(first, steps=tuple(replace(step, observation=said, action="click[[SEP]]") for step in first.steps))
    shown = replace(shown, trajectories=(told, *shown.trajectories[1:]))
    return replace(
        whole,
        episodes=[*whole.episodes, *shop],
        explorations=[replace(found, environment=place, seed=seed) for place in PLACES for seed in SEEDS],
        trees={**whole.trees, "webshop": {"t1": shown}},
        curves=[replace(curve(c.model, seed=s), name=p) for c in whole.curves for p in PLACES for s in SEEDS],
        grid=grid({3: 0.4, 4: 0.5, 5: 0.3}, environment="alfworld"),
        merging=[
            {"environment": "webshop", "seed": 0, "similarity": 0.7, "steps": 40, "merged": 12, "differing": 3}
            | {"paths": 5, "recombined": 2, "other_observation": 1, "other_score": 0}
        ],
    )


def _saying(each: Episode, said: str) -> Episode:
    spoken = {"observation": said, "next_observation": said, "thought": said, "action": said}
    steps = tuple(replace(step, **spoken) for step in each.trajectory.steps)
    return replace(each, trajectory=replace(each.trajectory, steps=steps))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Element:
    folder = tmp_path_factory.mktemp("results")
    report.build(everything(), folder=folder)
    return read(folder / "report.html")


def built(folder: Path, given: ReportInputs) -> Element:
    report.build(given, folder=folder)
    return read(folder / "report.html")


def test_it_needs_nothing_from_outside_and_lets_nothing_in(whole: Element) -> None:
    assert not {each.tag for each in whole.iter()} & {"link", "img", "iframe", "object", "base", "form"}
    ids = [each.get("id") for each in whole.iter() if each.get("id") is not None]
    assert len(ids) == len(set(ids))
    names = ("src", "href", "xlink:href", "srcset", "action")
    addresses = [each.get(name, "") for each in whole.iter() for name in names if each.get(name) is not None]
    inside = {address[1:] for address in addresses if address.startswith("#")}
    assert set(addresses) - {f"#{each}" for each in inside} == {"explorer.html#/trees"}, "which lies beside it"
    assert inside and inside <= set(ids)
    for style in whole.iter("style"):
        assert not re.search(r"@import|url\((?!#)", text(style))
    assert not [each for each in whole.iter() if any(name.startswith("on") for name in each.attrib)]


def test_its_policy_allows_its_own_script_alone(whole: Element) -> None:
    (script,) = whole.iter("script")
    own = (page.TEMPLATES / "report.js").read_text(encoding="utf-8")
    assert script.text == own
    (policy,) = [m.get("content", "") for m in whole.iter("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    digest = b64encode(sha256(own.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def test_the_contents_name_every_section_in_its_order(whole: Element) -> None:
    (nav,) = whole.iter("nav")
    sections = [each for each in whole.iter("section")]
    assert [link.get("href", "")[1:] for link in nav.iter("a")] == [each.get("id") for each in sections]
    assert nav.get("aria-label")
    for section, link in zip(sections, nav.iter("a"), strict=True):
        title = text(by_id(whole, section.get("aria-labelledby", "")))
        assert title == text(link) or section.get("id") == "opening"
    order = [each.get("id") for each in sections]
    assert order[:3] == ["opening", "tree", "table1"], "what nobody else has comes first"


def test_every_picture_says_what_it_shows(whole: Element) -> None:
    def pictures(element: Element) -> Iterator[Element]:
        for child in element:
            if child.tag == "svg":
                yield child
            else:
                yield from pictures(child)

    found = list(pictures(whole))
    shown = [each for each in found if each.get("aria-hidden") != "true"]
    assert len(shown) > 15
    for picture in shown:
        title = picture.find("title")
        assert picture.get("role") == "img" and title is not None and len(title.text or "") > 10
    titles = [picture.findtext("title") for picture in shown]
    assert len(titles) == len(set(titles))
    assert all(figure.get("aria-label") for figure in whole.iter("figure"))


def test_what_scrolls_can_be_reached_and_has_a_name(whole: Element) -> None:
    scrolled = [*of_class(whole, "scroll"), *of_class(whole, "episodes")]
    assert len(scrolled) > 5
    assert {(each.get("role"), each.get("tabindex")) for each in scrolled} == {("region", "0")}
    assert all(each.get("aria-label") for each in scrolled)


def test_a_figure_has_one_legend_that_names_each_thing_once(whole: Element) -> None:
    for figure in whole.iter("figure"):
        legends = of_class(figure, "legend")
        assert len(legends) == (0 if "tree" in figure.get("class", "") else 1)
        for legend in legends:
            names = [text(entry) for entry in legend.iter("li")]
            assert len(names) == len(set(names)) > 0


def test_learning_curves_have_a_colour_an_environment_and_a_band_over_seeds(whole: Element, tmp_path: Path) -> None:
    losses, preferences = by_id(whole, "learning").iter("figure")
    for figure, panels in ((losses, 4), (preferences, 6)):
        assert [text(entry) for entry in figure.iter("li")] == ["WebShop", "ALFWorld"]
        assert len(of_class(figure, "panels")[0]) == panels
        assert "seed" not in text(of_class(figure, "panels")[0])
        assert len(bands(figure)) == panels * len(PLACES)
    alone = built(tmp_path, inputs(tasks=2, resamples=10))
    assert not bands(by_id(alone, "learning")), "one seed has no band"


def bands(figure: Element) -> list[str]:
    return [each.get("id", "") for each in figure.iter("g") if "FillBetween" in each.get("id", "")]


def outcomes(model: str, scores: Sequence[float], *, environment: str = "alfworld") -> list[Episode]:
    return [episode(model, task=f"t{n}", score=score, environment=environment) for n, score in enumerate(scores)]


@pytest.mark.usefixtures("words_alone")
def test_the_opening_is_a_grid_of_numbers_with_signs(tmp_path: Path) -> None:
    models = {
        "sft_weak": [0.0] * 10 + [1.0] * 10,
        "sft_strong": [1.0, 0.0] * 10,
        "w2s_dpo": [1.0] * 19 + [0.0],
        "more_sft": [1.0] * 20,
        "w2s_mcts": [0.0, 1.0] * 10,
    }
    episodes = [one for model, scores in models.items() for one in outcomes(model, scores)]
    episodes += outcomes("sft_weak", [1.0] * 20, environment="webshop")
    episodes += outcomes("w2s_dpo", [1.0] * 20, environment="webshop")
    html = built(tmp_path, replace(inputs(tasks=1, resamples=400), episodes=episodes))
    (grid_of_numbers,) = of_class(html, "opening")
    rows = {row[0]: row[1:] for row in cells(grid_of_numbers)}
    assert list(rows) == [
        "",
        "W2S TreeDPO task score",
        "W2S TreeDPO − SFT weak",
        "W2S TreeDPO − SFT strong",
        "W2S TreeDPO − SFT strong, trained on",
        "W2S MCTS task score",
        "W2S MCTS − SFT weak",
        "W2S MCTS − SFT strong",
        "W2S MCTS − SFT strong, trained on",
    ]
    assert rows[""] == ["WebShop", "ALFWorld"]
    assert rows["W2S TreeDPO task score"] == ["100.0", "95.0"]
    shop, house = rows["W2S TreeDPO − SFT weak"]
    assert shop == "=no task differs +0.0 [+0.0, +0.0]"
    assert house.startswith("▲higher +45.0 [+")
    assert rows["W2S TreeDPO − SFT strong, trained on"][0] == "", "not run there"
    assert rows["W2S TreeDPO − SFT strong, trained on"][1].startswith("○not decided −5.0 [")
    assert rows["W2S MCTS − SFT weak"][1].startswith("○not decided +0.0 [")
    assert rows["W2S MCTS − SFT strong, trained on"][1].startswith("▼lower −50.0 [")


@pytest.mark.usefixtures("words_alone")
def test_hollow_signs_are_for_what_the_tests_or_the_correction_do_not_bear_out(tmp_path: Path) -> None:
    models = {"sft_weak": [0.0] * 20, "w2s_dpo": [1.0] * 4 + [0.0] * 16}
    episodes = [one for model, scores in models.items() for one in outcomes(model, scores)]
    html = built(tmp_path, replace(inputs(tasks=1, resamples=400), episodes=episodes))
    (grid_of_numbers,) = of_class(html, "opening")
    (found,) = [row[1] for row in cells(grid_of_numbers) if row[0].endswith("− SFT weak")]
    assert found.startswith("△higher, doubtful +20.0 ["), "four wins of four have p = .125"


def test_the_verdicts_are_counted_and_listed_with_signs(whole: Element) -> None:
    (tally,) = of_class(whole, "tally")
    counts = [re.fullmatch(r"(\d+) (\S) (.+)", text(entry)) for entry in tally.iter("li")]
    counted = {found[3]: int(found[1]) for found in counts if found}
    assert sum(counted.values()) == len(CLAIMS)
    (table,) = of_class(by_id(whole, "claims"), "claims")
    rows = [row for row in table.iter("tr") if row.find("td") is not None]
    assert [text(row[0]) for row in rows] == [str(number) for number in range(1, len(CLAIMS) + 1)]
    for verdict, number in counted.items():
        own = [row for row in rows if row[1].get("data-key") == str(VERDICTS.index(verdict))]
        assert len(own) == number
        assert all(verdict in text(row[1]) and text(row[1])[0] in "✓↳✗⊘○–" for row in own)
        assert all(of_class(row[1], "sign") for row in own)
    assert all(claim.quote in text(row[2]) for claim, row in zip(CLAIMS, rows, strict=True))


def test_only_what_survives_the_correction_is_bold(whole: Element) -> None:
    comparisons = by_id(whole, "comparisons")
    (side_by_side,), (tested,) = of_class(comparisons, "contrasts"), of_class(comparisons, "comparisons")
    holding = [row for row in tested.iter("tr") if of_class(row, "good") or of_class(row, "bad")]
    assert len(list(tested.iter("b"))) == len(list(side_by_side.iter("b"))) == len(holding) > 0
    shown = [cell for cell in of_class(side_by_side, "difference") if cell.tag == "td"]
    assert len(shown) == len([row for row in tested.iter("tr")]) - 1
    assert all(of_class(cell, "sign") for cell in shown)
    pictures = of_class(side_by_side, "interval")
    assert len(pictures) == len(shown)
    assert len(of_class(tested, "difference")) == 2 * len(shown), "bootstrap and mixed model"


def test_environments_have_the_names_that_readers_know(whole: Element) -> None:
    for cell in [*whole.iter("th"), *whole.iter("td"), *whole.iter("h3"), *whole.iter("li"), *whole.iter("figcaption")]:
        assert not re.search(r"alfworld|webshop", text(cell)), text(cell)
    heads = [text(cell) for cell in of_class(by_id(whole, "table1"), "group")]
    assert heads[:2] == ["WebShop", "ALFWorld"], "in the paper's order"


def test_exploration_is_one_table_with_a_column_per_environment_and_seed(whole: Element) -> None:
    section = by_id(whole, "exploration")
    quality, merging = section.iter("table")
    rows = cells(quality)
    assert rows[0] == ["", "WebShop", "ALFWorld"]
    assert rows[1] == ["seed", *"012012"]
    of = {row[0]: row[1:] for row in rows}
    assert of["mixed, %"] == ["66.7"] * 6
    assert of["informative divergences"] == of["“tree”"] == ["6"] * 6
    assert of["“mcts”"] == of["of them certified"] == ["2"] * 6
    assert ["WebShop, seed 0", "0.7", "40", "12", "3", "5", "2", "1", "0"] in cells(merging)


def test_separators_of_webshop_are_breaks(whole: Element) -> None:
    everything = "".join(whole.itertext())
    assert "[SEP]" not in everything
    assert "WebShop\nInstruction:\nbuy a mug\nSearch" in everything


def test_tables_that_sort_have_full_rows(whole: Element) -> None:
    tables = of_class(whole, "sortable")
    assert len(tables) > 8
    for table in tables:
        rows = list(table.iter("tr"))
        heads = [row for row in rows if row.find("td") is None or "group" in row[-1].get("class", "")]
        width = max(sum(int(cell.get("colspan", "1")) for cell in row) for row in heads)
        for row in rows:
            assert sum(int(cell.get("colspan", "1")) for cell in row) == width, cells(table)[0]


@pytest.mark.usefixtures("words_alone")
def test_seed_by_seed_or_beside_the_study(whole: Element, tmp_path: Path) -> None:
    titles = [text(each) for each in by_id(whole, "table1").iter("h3")]
    assert "Seed by seed" in titles and "Beside other seeds" not in titles
    row = Table1Row("alfworld", "sft_weak", 0, "unseen", 10, 0.25, 0.25, 0.25)
    others = [row, replace(row, seed=1, average_reward=0.5), replace(row, seed=1, split="seen", average_reward=1.0)]
    alone = inputs(tasks=5, resamples=10)
    kept = Study([others[2], *others[:2]], {**alone.params, "seeds": [0, 1], "tree": {"breadth": 3}})
    section = by_id(built(tmp_path, replace(alone, study=kept)), "table1")
    (table,) = [each for each in section.iter("table") if "study" in text(each)]
    (found,) = [row for row in cells(table) if row[0] == "SFT weak"]
    assert found[2:] == ["37.5", "25.0 to 50.0"]
    assert "2 training seeds of the study in docs/study, which had other settings than this run's (tree)" in text(
        section
    )


@pytest.mark.usefixtures("words_alone")
def test_a_grid_is_shown_whosever_it_is_and_says_so(whole: Element, tmp_path: Path) -> None:
    own = by_id(whole, "grid")
    assert list(own.iter("figure")) and not of_class(own, "warning")
    rows = grid({3: 0.4, 4: 0.5, 5: 0.3})
    alone = inputs(tasks=4, resamples=10)
    another = by_id(built(tmp_path / "a", replace(alone, grid_of_another=rows)), "grid")
    assert list(another.iter("figure"))
    assert "belongs to another configuration (0123456789)" in text(of_class(another, "warning")[0])
    assert ["MCTS", "5", "–", "30.0 [28.0, 32.0]"] in [row[:4] for row in cells(next(another.iter("table")))]
    digits = grids.configuration({**alone.params, "seeds": [1]})
    several = replace(alone, params={**alone.params, "seeds": [0, 1]})
    seeded = replace(several, grid_of_another=[replace(row, configuration=digits) for row in rows])
    one_seed = by_id(built(tmp_path / "b", seeded), "grid")
    assert text(of_class(one_seed, "warning")[0]) == "This grid is of seed 1 alone."
    none = by_id(built(tmp_path / "c", alone), "grid")
    assert not list(none.iter("figure")) and "make grid" in text(none)


@pytest.mark.usefixtures("words_alone")
def test_the_least_there_can_be(tmp_path: Path) -> None:
    least = replace(
        inputs(tasks=1),
        episodes=[episode("base_weak", score=0.0)],
        explorations=[],
        trees={},
        mcts_paths=(),
        curves=(),
    )
    html = built(tmp_path, least)
    assert "there is nothing to claim" in text(by_id(html, "opening"))
    assert "all models reached the same scores" in text(by_id(html, "episodes"))
    assert {"tree", "exploration", "learning"}.isdisjoint(each.get("id") for each in html.iter("section"))


@pytest.mark.usefixtures("words_alone")
def test_generated_text_is_shown_and_never_run(tmp_path: Path) -> None:
    evil = episode("sft_weak", score=1.0)
    said = replace(evil.trajectory.steps[0], thought="<script>alert(1)</script>", observation="<img src=x>")
    hostile = Episode("sft_weak", 0, "unseen", replace(evil.trajectory, steps=(said, *evil.trajectory.steps[1:])))
    html = built(tmp_path, replace(inputs(tasks=1), episodes=[hostile, episode("sft_strong", score=0.0)]))
    assert not list(html.iter("img")) and len(list(html.iter("script"))) == 1
    assert "<script>alert(1)</script>" in text(by_id(html, "episodes"))


@pytest.mark.usefixtures("words_alone")
def test_trees_by_who_explored(tmp_path: Path) -> None:
    given = inputs(tasks=4, resamples=100)
    (exploration,) = given.explorations
    policies = {name: exploration.quality for name in ("sft_weak", "diverse_weak", "together")}
    html = built(tmp_path, replace(given, explorations=[replace(exploration, by_policy=policies)]))
    (table,) = [each for each in by_id(html, "exploration").iter("table") if "policy" in text(each)]
    assert [row[:2] for row in cells(table)[1:]] == [
        ["ALFWorld, seed 0", name] for name in ("SFT weak", "diverse_weak", "together")
    ]
