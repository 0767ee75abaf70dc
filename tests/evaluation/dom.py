"""An HTML page as a tree of elements, read strictly: every tag is closed by its own."""

from html.parser import HTMLParser
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder

VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.builder = TreeBuilder()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        self.open.append(tag)
        if tag in VOID:
            self.handle_endtag(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.builder.end(tag)

    def handle_data(self, data: str) -> None:
        if self.open:
            self.builder.data(data)


def read(path: Path) -> Element:
    """The <html> element of a page; an AssertionError where tags do not nest."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader.builder.close()


def text(element: Element) -> str:
    """All its text, white space folded."""
    return " ".join("".join(element.itertext()).split())


def of_class(element: Element, name: str) -> list[Element]:
    """What lies in it and has that class."""
    return [each for each in element.iter() if name in each.get("class", "").split()]


def by_id(element: Element, name: str) -> Element:
    """The element with that id; an AssertionError where there is not one."""
    (found,) = [each for each in element.iter() if each.get("id") == name]
    return found


def cells(table: Element) -> list[list[str]]:
    """The text of every cell, row by row."""
    return [[text(cell) for cell in row if cell.tag in ("th", "td")] for row in table.iter("tr")]
