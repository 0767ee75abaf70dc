"""A table for people: Markdown in the files, HTML on the page."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

NO = "–"  # there is nothing to show


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts: the first column is a name, the others are figures.

    A row of a single text is a heading over the rows that follow.
    """

    title: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """With its title as a second heading."""
        lines = [f"## {self.title}", "", self.note, "", f"| {' | '.join(self.head)} |"]
        lines += ["|---" + "|---:" * (len(self.head) - 1) + "|", *(f"| {' | '.join(row)} |" for row in self.rows)]
        return "\n".join(lines) + "\n"

    def across(self, column: int, names: Sequence[str]) -> "Table":
        """One row for all rows that begin alike, with the other columns under each of `names`, found in that column."""
        rest = [place for place in range(1, len(self.head)) if place != column]
        head = [self.head[0], *(f"{name}: {self.head[place]}" for name in names for place in rest)]
        found: dict[str, dict[str, list[str]]] = {}
        for row in self.rows:
            found.setdefault(row[0], {})[row[column]] = [row[place] for place in rest]
        nothing = [NO] * len(rest)
        rows = [[first, *(text for name in names for text in own.get(name, nothing))] for first, own in found.items()]
        return replace(self, head=head, rows=rows)

    def ordered(self, names: Sequence[str]) -> "Table":
        """Its rows in the order of `names`, of which one stands at the head of a cell of each; others come last."""

        def place(row: Sequence[str]) -> int:
            return next((n for n, name in enumerate(names) if any(re.match(rf"{name}\b", c) for c in row)), len(names))

        return replace(self, rows=sorted(self.rows, key=place))

    def groups(self) -> list[tuple[str, int]]:
        """What stands over the column names: of "alfworld: completion" the part before the colon, and how many columns.

        Empty where no name has such a part.
        """
        parted = [name.partition(": ") for name in self.head]
        found = [(group, len(list(own))) for group, own in groupby(g if colon else "" for g, colon, _ in parted)]
        return found if any(group for group, _ in found) else []

    def names(self) -> Iterator[str]:
        """Of every column, without the group."""
        for name in self.head:
            group, colon, rest = name.partition(": ")
            yield rest if colon else group

    def wordy(self, column: int) -> bool:
        """The column holds words, not figures: the first of all, and each with letters at the head of all its cells."""
        cells = [row[column] for row in self.rows if len(row) > column and row[column] != NO]
        return column == 0 or (bool(cells) and all(cell[:1].isalpha() for cell in cells))
