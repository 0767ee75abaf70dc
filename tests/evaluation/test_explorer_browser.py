"""The explorer in a real browser: what a person sees, clicks and types. Skipped where no Chromium is found."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from w2sg.evaluation.report import report
from w2sg.evaluation.report.explorer import page as explorer
from w2sg.evaluation.report.results import work_out

from .browser import Page, find_browser, opened
from .builders import inputs
from .test_explorer import hostile

pytestmark = pytest.mark.skipif(find_browser() is None, reason="no Chromium on the path, and W2SG_BROWSER names none")
TREE = "#/tree/alfworld-0-weak/t1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results")
    report.build(inputs(tasks=10, seeds=(0, 1), resamples=100), folder=path)
    return path


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with opened(str(find_browser())) as page:
        yield page


@pytest.fixture
def page(tab: Page, folder: Path) -> Iterator[Page]:
    """The tab on a desk's screen; in the end nothing has gone wrong in it and it has asked for nothing but files."""
    tab.size(1400, 900)
    tab.requests.clear()
    yield tab
    errors, tab.errors = tab.errors, []
    assert errors == []
    assert all(address.startswith(("file:", "about:")) for address in tab.requests)


def chosen(page: Page) -> str:
    """What is said of the chosen card to those who do not see it."""
    return page.name("[aria-selected=true]")


def test_what_decided_a_task_is_three_clicks_from_the_top_of_the_report(page: Page, folder: Path) -> None:
    page.call("Page.navigate", url=(folder / "report.html").resolve().as_uri())
    page.wait("document.readyState === 'complete' && document.querySelector('a[href^=\"explorer.html\"]')")
    assert page.value("document.querySelector('a[href^=\"explorer.html\"]').getBoundingClientRect().bottom") < 900
    page.click('a[href^="explorer.html"]')
    page.wait("document.documentElement?.dataset.view === 'trees' && document.querySelector('.row')")
    assert "go to sinkbasin 1" in page.text(".row")
    page.click(".row")
    page.wait("document.documentElement.dataset.view === 'tree'")
    assert "Ways part here: mean G differs by 1.00. This decided the task." in page.text(".panel")
    assert "this decided the task" in chosen(page)
    assert page.count(".diamond.decides") == 1


def test_trees_are_filtered_sorted_and_searched(page: Page, folder: Path) -> None:
    page.open(folder / "explorer.html", "#/trees")
    page.wait("document.querySelector('.status').textContent === '6 trees'")
    page.choose("Samples of", "weak")
    page.wait("document.querySelector('.status').textContent === '3 trees'")
    page.click("input[type=checkbox]")
    page.wait("document.querySelector('.status').textContent === '2 trees'")
    assert page.value("location.hash") == "#/trees?role=weak&mixed=1"
    page.press("/")
    page.type("mug 2 from fridge")
    page.wait("location.hash.includes('q=mug') && document.querySelector('.status').textContent === '2 trees'")
    page.open(folder / "explorer.html", "#/trees?q=fly+to+CABINET&sort=task")
    page.wait(
        "document.querySelector('.status').textContent === '6 trees' || document.querySelectorAll('.row').length === 5"
    )
    page.open(folder / "explorer.html", "#/trees?q=nobody+said+this")
    page.wait("document.querySelector('.status').textContent.startsWith('0 trees')")
    page.open(folder / "explorer.html", "#/trees?recombined=1")
    page.wait("document.querySelector('.status').textContent.startsWith('0 trees')")


def test_a_tree_is_walked_by_keys(page: Page, folder: Path) -> None:
    page.open(folder / "explorer.html", TREE)
    page.press("d")
    assert "this decided the task" in chosen(page)
    assert page.value("document.activeElement.getAttribute('role')") == "treeitem"
    page.press("ArrowRight")
    way = (
        "go to sinkbasin 1 +3 … move mug 1 to cabinet 1 , 2 of 6 samples, mean G ● 1.00 ×2 , ends here , e* , preferred"
    )
    assert chosen(page).startswith(way)
    page.press("ArrowDown")
    way = "go to cabinet 1 +4 … fly to cabinet 1 , 1 of 6 samples, mean G ■ 0.00 , ends here , rejected side of a pair"
    assert chosen(page).startswith(way)
    page.press("Home")
    assert chosen(page) == "Task"
    assert page.value("location.hash") == f"{TREE}?node=0"
    page.press("f")
    page.wait("document.querySelectorAll('.card').length > 20")
    page.press("f")
    page.wait("document.querySelectorAll('.card').length < 20")
    page.press("n")
    page.wait("location.hash.includes('/t2')")
    page.press("?")
    assert page.value("document.getElementById('keys').open")
    page.click("dialog button")
    assert not page.value("document.getElementById('keys').open")


def tells(page: Page, *expected: str) -> None:
    """The panel has these words."""
    words = page.text(".panel")
    for each in expected:
        assert each in words, each


def test_a_click_tells_all_of_a_node(page: Page, folder: Path) -> None:
    page.open(folder / "explorer.html", TREE)
    page.click("[data-node]", 1)
    tells(page, "samples\n4 of 6", "mean G\n0.50", "search visits c", "UCB", "SFT weak 0", "I will go to drawer 1.")
    page.click("[data-node]", 2)
    tells(page, "e* of W2S MCTS: value 1.00, in the words of sample 0", "pair of W2S TreeDPO", "You open drawer 1")
    page.click(".options .link", 0)
    assert "2 of 6" in page.text(".panel")


def test_the_expert_goes_on_where_no_sample_went(page: Page, folder: Path) -> None:
    page.open(folder / "explorer.html", TREE)
    assert page.count(".card.ghost") == 1
    spoken = page.name(".card.ghost")
    assert spoken == "look +1 move mug 2 to cabinet 1 , no sample went on so expert ● 1.00"
    assert page.count(".sign.expert") > 2


def test_fewer_samples_give_the_tree_that_they_make(page: Page, folder: Path) -> None:
    page.open(folder / "explorer.html", TREE)
    page.choose("First samples", "3")
    page.wait("document.querySelectorAll('.card:not(.ghost)').length === 4")
    assert "Search, e* and pairs belong to the tree of all samples." in page.text(".panel")
    assert page.count(".sign.star") - page.count("dialog .sign.star") == 0
    assert "breadth=3" in page.value("location.hash")


def test_two_trees_stand_beside_each_other(page: Page, folder: Path) -> None:
    page.open(folder / "explorer.html", TREE)
    page.choose("Beside it", "alfworld-0-strong~")
    page.wait("document.querySelectorAll('[role=tree]').length === 2")
    boxes = page.value("[...document.querySelectorAll('.frame')].map((each) => each.getBoundingClientRect().toJSON())")
    assert boxes[0]["right"] <= boxes[1]["left"] and boxes[0]["top"] == boxes[1]["top"]
    assert "only in this tree" in page.name(".card.alone")
    assert page.count(".pane:nth-child(2) .card.alone") == 0, "the strong one goes two of the ways"
    page.click(".pane:nth-child(2) [data-node]", 1)
    assert "No search was run on this tree." in page.text(".panel")
    page.open(folder / "explorer.html", page.value("location.hash"))
    assert page.count("[role=tree]") == 2, "an address is enough"


def test_episodes_are_aligned_at_the_first_step_that_differs(page: Page, folder: Path) -> None:
    page.open(folder / "explorer.html", "#/episodes?models=sft_strong,w2s_mcts")
    page.wait("document.querySelector('.row')")
    scores = page.value(
        "[...document.querySelectorAll('.row')].map((r) => [...r.querySelectorAll('.pill')].map((p) => p.textContent))"
    )
    assert all(len(set(each)) > 1 for each in scores)
    page.click(".row")
    page.wait("document.documentElement.dataset.view === 'episode'")
    assert "is the first that differs" in page.text("#parting")
    first = page.value(
        "[...document.querySelectorAll('.cell:not(.none) .said')].slice(0, 2).map((each) => each.textContent)"
    )
    assert first[0] != first[1]
    page.click(".models input:not(:checked)")
    page.wait("document.querySelectorAll('.head').length === 3")
    page.click(".models input:not(:checked)")
    page.wait("document.querySelectorAll('.head').length === 4")
    assert page.count(".models input:disabled") == page.count(".models input:not(:checked)") > 0, "four at most"


def test_table_1_is_sorted_by_a_click(page: Page, folder: Path) -> None:
    page.open(folder / "explorer.html", "#/table1?row=w2s_mcts")
    assert page.text("tr[aria-current]").startswith("W2S MCTS")
    page.click(".sort", 2)
    column = "[...document.querySelectorAll('main tbody tr')].map((row) => parseFloat(row.cells[2].textContent))"
    values = page.value(column)
    assert values == sorted(values, reverse=True) and len(set(values)) > 1
    assert page.value("document.querySelectorAll('main thead th')[2].ariaSort") == "descending"
    page.click(".sort", 2)
    assert page.value(column) == sorted(values)
    page.choose("Measure", "completion_rate")
    assert "measure=completion_rate" in page.value("location.hash")


def test_comparisons_are_drawn_filtered_and_linked(page: Page, folder: Path) -> None:
    page.open(folder / "explorer.html", "#/comparisons")
    everything = page.count("main tbody tr")
    assert page.count(".point") == everything > 10
    page.choose("Model", "w2s_mcts")
    page.wait(f"document.querySelectorAll('main tbody tr').length < {everything}")
    assert page.value(
        "[...document.querySelectorAll('main tbody th a')].every((a) => a.textContent.startsWith('W2S MCTS'))"
    )
    page.click(".sort", 1)
    values = page.value(
        "[...document.querySelectorAll('main tbody tr')].map((row) => row.cells[2].querySelector('b').textContent)"
    )
    numbers = [float(each.replace("−", "-")) for each in values]
    assert numbers == sorted(numbers, reverse=True)
    page.click("main tbody th a")
    page.wait("document.querySelectorAll('tr[aria-current]').length === 1")
    page.click("td.won a")
    page.wait("document.documentElement.dataset.view === 'episodes'")
    assert "w2s_mcts" in page.value("location.hash")


def test_texts_of_models_are_only_texts(page: Page, tmp_path: Path) -> None:
    given = hostile(inputs(tasks=3, resamples=20))
    explorer.write(given, work_out(given), folder=tmp_path)
    task = given.episodes[0].trajectory.task_id
    places = (
        "#/trees",
        f"{TREE}?unfold=1",
        "#/episodes?differ=0&split=seen",
        f"#/episode/alfworld-0/{task}?models=base_weak,sft_weak",
    )
    for place in places:
        page.open(tmp_path / "explorer.html", place)
        page.wait("document.querySelector('.row, .card, .cell')")
        assert "onerror=" in page.text(), place
        assert page.count("img") == 0
        assert "broken" not in page.value("document.title")


def test_what_is_not_there_is_said(page: Page, folder: Path) -> None:
    page.open(folder / "explorer.html", "#/tree/alfworld-9-weak/t1")
    assert "alfworld-9-weak: no such trees in this run" in page.text()
    page.go("#/tree/alfworld-0-weak/%3Cb%3E")
    assert "<b>: no tree of this task among alfworld-0-weak" in page.text()
    page.go("#/nothing")
    assert "nothing: there is no such view" in page.text()


def test_a_large_run_reads_the_files_beside_it(page: Page, tmp_path: Path) -> None:
    given = inputs(tasks=3, resamples=20)
    explorer.write(given, work_out(given), folder=tmp_path, largest=10)
    page.open(tmp_path / "explorer.html", TREE)
    assert page.count(".card") > 5
    assert [address.rpartition("/")[2] for address in page.requests if address.endswith(".js")] == [
        "trees-alfworld-0-weak.js"
    ]
    (tmp_path / "explorer" / "trees-alfworld-0-strong.js").unlink()
    page.go("#/tree/alfworld-0-strong/t1")
    assert "trees-alfworld-0-strong.js: not there; the folder belongs beside this page" in page.text()
    page.errors.clear()  # the browser itself complains of the file


@pytest.mark.parametrize(
    "place", ["#/trees", TREE, "#/episodes", "#/episode/alfworld-0/unseen-001", "#/table1", "#/comparisons"]
)
def test_nothing_stands_out_of_the_page_and_everything_has_a_name(page: Page, folder: Path, place: str) -> None:
    named = "a, button, input, select, [role=treeitem], [role=img]"
    nameless = f"""[...document.querySelectorAll('{named}')].filter((each) =>
        !(each.ariaLabel ?? '').trim() && !each.textContent.trim() && !each.labels?.[0]?.textContent.trim()).length"""
    for width, dark in product((390, 1024, 1600), (False, True)):
        page.size(width, 800, dark=dark)
        page.open(folder / "explorer.html", place)
        assert page.value("document.documentElement.scrollWidth") <= width, width
        assert page.value(nameless) == 0
        assert page.count("h1") == 1
        assert contrast(page, "body") > 7 and contrast(page, ".note") > 4.5


def contrast(page: Page, selector: str) -> float:
    """Contrast of an element's text with the page, as WCAG defines it."""
    script = f"""(() => {{
        const canvas = new OffscreenCanvas(1, 1).getContext('2d');
        const luminance = (colour) => {{
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
            const part = (value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
            const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((value) => part(value / 255));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        }};
        const ink = luminance(getComputedStyle(document.querySelector('{selector}')).color);
        const paper = luminance(getComputedStyle(document.body).backgroundColor);
        return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    }})()"""
    return float(page.value(script))


def test_dark_and_light_can_be_chosen(page: Page, folder: Path) -> None:
    page.open(folder / "explorer.html", "#/trees")
    before = page.value("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    after = page.value("getComputedStyle(document.body).backgroundColor")
    assert before != after
    page.size(1400, 900, dark=True)
    page.open(folder / "explorer.html", "#/trees")
    assert page.value("getComputedStyle(document.body).backgroundColor") == after


def test_paper_has_the_tree_and_what_is_said_of_it(page: Page, folder: Path) -> None:
    page.size(1400, 900, dark=True, media="print")
    page.open(folder / "explorer.html", TREE)
    assert page.value("getComputedStyle(document.querySelector('.bar')).display") == "none"
    assert page.value("getComputedStyle(document.querySelector('.frame')).overflowX") == "visible"
    assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf().startswith(b"%PDF")
