"""What the pages show, and what actions do, row by row of the original's behaviour."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sg.environments.webshop.world.pages import done_page, item_page, sub_page
from w2sg.environments.webshop.world.session import Session, parse

from .webshop_examples import item, options, small_catalogue, small_session

HEAD = "Instruction: [SEP] i want a red shirt [SEP] Back to Search [SEP]"
INDEX = "WebShop [SEP] Instruction: [SEP] i want a red shirt [SEP] Search"
ITEM = (
    f"{HEAD} < Prev [SEP] color [SEP] red [SEP] navy | white [SEP] size [SEP] s [SEP] x-large [SEP] Red Cotton Shirt "
    "[SEP] Price: $8.98 to $11.99 [SEP] Rating: N.A. [SEP] Description [SEP] Features [SEP] Reviews [SEP] Buy Now"
)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return small_session(tmp_path)


def played(session: Session, *actions: str) -> Session:
    for action in actions:
        session.act(action)
    return session


@given(st.text(st.sampled_from("ab[]\n ]["), max_size=12))
def test_actions_are_parsed_like_the_originals_pattern(text: str) -> None:
    match = re.match(r"(.+)\[(.+)\]", text)
    assert parse(text) == ((match[1], match[2].lower()) if match else (text, None))


@pytest.mark.parametrize("action", ["[" * 10**6, "x[" * 10**6, "search[" + "]" * 10**6, "click[" + "a" * 10**6 + "]"])
def test_enormous_actions_are_answered(session: Session, action: str) -> None:
    assert session.act(action)[1:] == (0.0, False)


NO_ACTIONS = ["search[]", "search[a[b]", "SEARCH[y]", "x search[y]", " search[y]", "search", "", "buy now", "click[]"]
NO_ACTIONS += [
    "click[ back to search ]",
    "click[Back to Search]]",
    "click[search]",
    "click[buy now]",
    "think[hm]",
    "\0",
]


@pytest.mark.parametrize("action", NO_ACTIONS)
def test_what_is_no_action_changes_nothing(session: Session, action: str) -> None:
    for where in ("click[nowhere]", "search[shirt]"):
        session.act(where)
        before = session.observation
        assert session.act(action) == (before, 0.0, False)


@pytest.mark.parametrize(
    ("action", "keywords"),
    [
        ("search[x] trailing", ["x"]),
        ("search[x]\nfoo", ["x"]),
        ("search[a]b]", ["a]b"]),
        ("search[Red  Shirt]", ["red", "", "shirt"]),
        ("search[<r>]", ["<r>"]),
        ("search[ ]", ["", ""]),
    ],
)
def test_searches_are_read(session: Session, action: str, keywords: list[str]) -> None:
    session.act(action)
    assert (session.keywords, session.page_number, session.page.name) == (keywords, 1, "search_results")


def test_the_keyword_commands_of_the_original_are_plain_words(session: Session) -> None:
    for command in ("<r>", "<c> garden", "<q> things", "<a> cotton"):
        session.act(f"search[{command}]")
        found = session.results
        session.act(f"search[{command.translate({ord('<'): None, ord('>'): None})}]")
        assert found == session.results, command
    assert [product.asin for product in session.results] == ["B00SHIRT01"]  # <a> cotton
    session.act("search[<r>]")
    assert session.observation == f"{HEAD} Page 1 (Total results: 0) [SEP] Next >"


def test_the_index_page(session: Session) -> None:
    assert session.observation == INDEX
    assert session.page.has_search_bar and session.clickables == ["search"] and session.page.name == ""


def test_results_come_in_pages_of_ten(session: Session) -> None:
    session.act("search[plain thing]")
    head, *rest = session.observation.removeprefix(f"{HEAD} ").split(" [SEP] ")
    assert head == "Page 1 (Total results: 12)" and rest[:4] == ["Next >", "B0THING001", "Plain Thing 1", "$12.5"]
    assert len(rest) == 31
    assert session.clickables == ["back to search", "next >", *(f"b0thing{number:03d}" for number in range(1, 11))]
    session.act("click[NEXT >]")
    second = f"{HEAD} Page 2 (Total results: 12) [SEP] < Prev [SEP] Next > [SEP] B0THING011"
    assert session.observation.startswith(second)
    assert session.clickables[:4] == ["back to search", "< prev", "next >", "b0thing011"]
    session.act("click[next >]")
    assert session.observation == f"{HEAD} Page 3 (Total results: 12) [SEP] < Prev [SEP] Next >"
    played(session, "click[< prev]", "click[b0thing012]", "click[< prev]")
    assert session.page_number == 2 and session.asin is None


def test_an_item_and_its_options(session: Session) -> None:
    played(session, "search[shirt]", "click[b00shirt01]")
    assert session.observation == ITEM and session.asin == "B00SHIRT01" and session.page.name == "item_page"
    buttons = ["back to search", "< prev", "description", "features", "reviews", "buy now"]
    assert session.clickables == [*buttons, "red", "navy | white", "s", "x-large"]
    played(session, "click[Red]", "click[X-Large]", "click[navy | white]")
    assert session.observation == ITEM and session.options == {"color": "navy | white", "size": "x-large"}
    played(session, "click[features]", "click[< prev]")
    assert session.observation == ITEM and len(session.options) == 2
    session.act("click[< prev]")
    assert session.options == {} and session.page.name == "search_results"


@pytest.mark.parametrize(
    ("which", "content"),
    [
        ("description", " [SEP] Soft <b>cotton</b>\n for summer."),
        ("features", " [SEP] Machine wash [SEP]  [SEP] Imported"),
        ("reviews", ""),
    ],
)
def test_sub_pages(session: Session, which: str, content: str) -> None:
    played(session, "search[shirt]", "click[b00shirt01]", f"click[{which}]")
    assert session.observation == f"{HEAD} < Prev{content}"
    assert session.clickables == ["back to search", "< prev"] and session.page.name == "item_sub_page"
    session.act("click[back to search]")
    assert session.observation == INDEX and session.keywords is None and session.page_number is None


def test_attributes_are_shown_where_wanted(tmp_path: Path) -> None:
    session = small_session(tmp_path, show_attributes=True)
    played(session, "search[shirt]", "click[b00shirt01]")
    assert session.observation.endswith("Reviews [SEP] Attributes [SEP] Buy Now")
    assert session.clickables[4:7] == ["reviews", "attributes", "buy now"]
    session.act("click[attributes]")
    content = "machine wash [SEP] cotton [SEP] fashion [SEP] men's shirts [SEP] Clothing › Men › Shirts"
    assert session.observation == f"{HEAD} < Prev [SEP] {content}"


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", []),
        ("\n", []),
        (" \n\t", []),
        (" ", [""]),
        ("\t", [""]),
        ("\xa0", [""]),
        ("\xa0\n", [""]),
        (" a \n b ", ["a \n b"]),
    ],
)
def test_white_space_is_what_an_html_parser_leaves(tmp_path: Path, text: str, segments: list[str]) -> None:
    (product,) = small_catalogue(tmp_path, item("A", full_description=text)).products
    shown = sub_page("I", product, "description").text
    assert shown.split(" [SEP] ")[4:] == segments
    bullet = sub_page("I", small_catalogue(tmp_path, item("A", small_description=[text])).products[0], "features").text
    assert bullet.split(" [SEP] ")[4:] == ([""] if text == "" else segments)


def test_names_of_buttons_come_before_options_of_the_same_name(tmp_path: Path) -> None:
    values = ["description", "attributes", "next >", "search", "buy now", "both", ""]
    odd = item("A", name="Odd", customization_options=options(Kind=values, kin=["both"]))
    session = played(small_session(tmp_path, odd), "search[odd]", "click[a]")
    assert session.clickables.count("description") == 1 and session.clickables[-1] == ""
    assert " [SEP] kind [SEP] description [SEP] attributes [SEP] next > [SEP] search" in session.observation
    session.act("click[description]")
    assert session.page.name == "item_sub_page" and session.options == {}
    played(session, "click[< prev]", "click[attributes]")
    assert session.page.name == "item_sub_page"
    played(session, "click[< prev]", "click[next >]", "click[search]", "click[both]")
    assert session.options == {"kind": "next >", "kin": "both"}
    assert session.act("click[buy now]")[2]


def test_products_with_lower_case_names_can_be_opened(tmp_path: Path) -> None:
    session = played(small_session(tmp_path, item("ab1", name="Odd")), "search[odd]", "click[AB1]")
    assert session.asin == "ab1"


def test_a_purchase_ends_with_its_reward(session: Session) -> None:
    played(session, "search[shirt]", "click[b00shirt01]", "click[s]")
    text, reward, done = session.act("click[Buy Now]")
    assert done and session.done and reward == 0.75
    assert text == (
        "Thank you for shopping with us! [SEP] Your code: [SEP] None [SEP] (Paste it in your MTurk interface.) [SEP] "
        'Purchased [SEP] asin [SEP] B00SHIRT01 [SEP] options [SEP] {"size": "s"} [SEP] attrs [SEP] None [SEP] category '
        "[SEP] None [SEP] query [SEP] None [SEP] product category [SEP] None [SEP] Target [SEP] asin [SEP] options "
        "[SEP] attrs [SEP] price upper [SEP] instuction text [SEP] category [SEP] product category [SEP] query [SEP] "
        "Goal [SEP] None [SEP] Reward [SEP] Your score (min 0.0, max 1.0) [SEP] 0.75 [SEP] Reward Details [SEP] None"
    )
    assert session.clickables == [] and session.act("click[buy now]") == (text, 0.0, False)
    session.act("search[shirt]")
    assert session.page.name == "search_results" and session.asin is None


def test_options_are_shown_as_script_json() -> None:
    text = done_page("A", {"size": "5'2\" <&> é", "color": "b"}, 1.0).text
    assert r'options [SEP] {"color": "b", "size": "5\u00272\" \u003c\u0026\u003e \u00e9"} [SEP]' in text


def test_a_product_without_options_or_bullets(tmp_path: Path) -> None:
    (product,) = small_catalogue(tmp_path, item("A", small_description=[], name="")).products
    assert item_page("I", product).text.split(" [SEP] ")[3:5] == ["< Prev", "Price: $12.5"]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return small_session(tmp_path_factory.mktemp("shop"))


@given(walk=st.lists(st.sampled_from(["search[plain]", "search[shirt]", "CLICK", *range(12)]), max_size=25))
def test_any_walk_is_answered_and_repeats_itself(opened: Session, walk: list[str | int]) -> None:
    def answers() -> list[tuple[str, float, bool]]:
        session = Session(opened.shop, opened.goal)
        found = []
        for move in walk:
            texts = session.clickables or ["nothing"]
            found.append(session.act(f"click[{texts[move % len(texts)]}]" if isinstance(move, int) else move))
        return found

    first = answers()
    assert first == answers()
    assert all(text and 0.0 <= reward <= 1.0 for text, reward, _ in first)
