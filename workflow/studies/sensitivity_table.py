"""docs/sensitivity.csv, what other readings of the paper came to, and its table in docs/method.md."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from readings import READINGS
from w2sg.contracts import files
from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures import csv_files, wording
from w2sg.evaluation.measures.models import label
from w2sg.evaluation.measures.statistics import Interval

TABLE = Path("docs/sensitivity.csv")
PAGE = Path("docs/method.md")
BEGIN, END = "<!-- sensitivity: made by workflow/studies/sensitivity.py -->", "<!-- end of sensitivity -->"


@dataclass(frozen=True, slots=True)
class SensitivityRow:
    """One line of docs/sensitivity.csv.

    Attributes:
        default: digest of the parameters that `difference` is measured against.
        tasks, wins, losses: held-out tasks, those on which the reading is better, worse than the default.
        reward, difference, low, high: average reward under the reading, its gain over the default, and the interval.
    """

    question: str
    reading: str
    changes: str
    environment: str
    method: str
    tasks: int
    reward: float
    difference: float
    low: float
    high: float
    wins: int
    losses: int
    default: str


def read(table: Path) -> list[SensitivityRow]:
    """The rows of the table; none where there is no file.

    Raises:
        UserError: it is not such a table.
    """
    if not table.exists():
        return []
    remedy = "restore it from git, or delete it to measure again"
    kinds = {field.name: field.type for field in fields(SensitivityRow)}
    return [SensitivityRow(**row) for row in csv_files.read(table, kinds, table="a table of readings", remedy=remedy)]


def write(table: Path, rows: Sequence[SensitivityRow]) -> None:
    """Write the table, rows in the order of READINGS."""
    order = {(reading.question, reading.text): number for number, reading in enumerate(READINGS)}
    kept = sorted(rows, key=lambda row: order.get((row.question, row.reading), len(order)))
    csv_files.write(table, [asdict(row) for row in kept], columns=[field.name for field in fields(SensitivityRow)])


def markdown(rows: Sequence[SensitivityRow]) -> str:
    """The rows for people, in points of task score."""
    if not rows:
        return "Not measured yet: `make sensitivity`.\n"
    several = len({row.environment for row in rows}) > 1
    lines = [
        f"| | reading | method |{' environment |' if several else ''} task score | against the default | won, lost |",
        "|---|---|---|" + ("---|" if several else "") + "---:|---:|---:|",
    ]
    for row in rows:
        place = f" {row.environment} |" if several else ""
        decided = row.wins or row.losses
        gain = wording.points(Interval(row.difference, row.low, row.high)) if decided else "no task differs"
        lines.append(
            f"| {row.question} | {row.reading} | {label(row.method)} |{place} {100 * row.reward:.1f} | {gain} |"
            f" {row.wins}, {row.losses} of {row.tasks} |"
        )
    return "\n".join(lines) + "\n"


def written() -> str:
    """The page with the table as both are now.

    Raises:
        UserError: one of them is wrong.
    """
    with files.reading(PAGE, "a page", remedy="restore it from git"):
        text = PAGE.read_text(encoding="utf-8")
    return page(text, read(TABLE))


def page(text: str, rows: Sequence[SensitivityRow]) -> str:
    """The page with the table between its marks.

    Raises:
        UserError: the marks are missing.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise UserError(f"{PAGE}: the marks {BEGIN} and {END} must be there once each")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{markdown(rows)}{END}{rest.split(END)[1]}"
