"""What each reading of the paper changes: `sensitivity.py [--cores N] [--only A11 …] [--table]`.

One alternative at a time is run on params.yaml with the two W2S methods alone, in the folder .sensitivity, which shares
DVC's cache with this one: only what a reading invalidates runs, and nothing here changes but the two results.
docs/sensitivity.csv gets a line as soon as a reading is done, so that a call that was stopped goes on where it was;
docs/method.md gets the table. A line is kept as long as the parameters that it was measured against are the same, and
the reading changes what it changed then.
"""

import argparse
import copy
import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import yaml

from readings import GROUPS, READINGS, Reading
from w2sg.config import params
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts import files, layout
from w2sg.contracts.episodes import Episode, read_episodes
from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.models import label
from w2sg.evaluation.measures.scores import average_reward
from w2sg.evaluation.measures.statistics import paired_difference
from workspace import share_cache

PARAMS = Path("params.yaml")
FOLDER = Path(".sensitivity")
TABLE = Path("docs/sensitivity.csv")
PAGE = Path("docs/method.md")
BEGIN, END = "<!-- sensitivity: made by workflow/studies/sensitivity.py -->", "<!-- end of sensitivity -->"
SPLIT = "unseen"
Values: TypeAlias = dict[str, Any]


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


Runner: TypeAlias = Callable[[Values, Sequence[str]], list[Episode]]


def reduced(values: Values) -> Values:
    """The parameters with the two W2S methods alone, so that no baseline runs again."""
    less = copy.deepcopy(values)
    less["preference"] = {"w2s_dpo": values["preference"]["w2s_dpo"]}
    less["imitation"] = {"w2s_mcts": values["imitation"]["w2s_mcts"]}
    less["inference"] = {}
    less["explore"]["roles"] = ["weak"]
    less["theorem"] |= {"method": "w2s_dpo", "superior": "w2s_dpo"}
    return less


def changed(values: Values, changes: Mapping[str, Any]) -> Values:
    """The parameters with other values for some dotted keys.

    Raises:
        UserError: there is no such key, or it has that value already.
    """
    new = copy.deepcopy(values)
    for key, value in changes.items():
        *sections, last = key.split(".")
        section = new
        for name in sections:
            section = section.get(name, {})
        if last not in section or section[last] == value:
            raise UserError(f"{key}: the default is {section.get(last, 'missing')!r}; nothing to change")
        section[last] = copy.deepcopy(value)  # YAML would write a shared value as an alias
    return new


def digest(values: Values) -> str:
    """Short digest of parameters, whatever the order of their keys and wherever outside data lie."""
    values = {name: value for name, value in values.items() if name != "outside"}
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=6).hexdigest()


def snakemake(values: Values, groups: Sequence[str], *, folder: Path, cores: str) -> list[Episode]:
    """Bring the evaluation of some groups up to date under the parameters; the episodes of all environments and seeds.

    Raises:
        UserError: a parameter is refused, or a stage fails.
    """
    files.write_text(folder / "params.yaml", yaml.safe_dump(values, sort_keys=False))
    settings = params.load(folder / "params.yaml")
    done = subprocess.run(["snakemake", "--cores", cores, *(f"evaluate-{group}" for group in groups)], cwd=folder)
    if done.returncode:
        raise UserError(f"{folder}: snakemake failed; see above and {folder / 'logs'}")
    runs = [(name, seed) for name, _ in settings.environments.items() for seed in settings.seeds]
    return [e for name, seed in runs for g in groups for e in read_episodes(folder / layout.episodes(name, seed, g))]


def compare(
    reading: Reading, episodes: Sequence[Episode], default: Sequence[Episode], *, values: Values, confidence: float
) -> list[SensitivityRow]:
    """One row per environment and method that the reading concerns."""
    rows = []
    these, those = GroupedEpisodes(episodes), GroupedEpisodes(default)
    for environment in those.environments:
        for method in reading.methods:
            new, old = (
                grouped.values(environment, SPLIT, average_reward).get(method, {}) for grouped in (these, those)
            )
            result = paired_difference(
                new,
                old,
                resamples=values["report"]["resamples"],
                confidence=confidence,
                rng=np.random.default_rng(values["seeds"][0]),
            )
            rows.append(
                SensitivityRow(
                    question=reading.question,
                    reading=reading.text,
                    changes=json.dumps(dict(reading.changes)),
                    environment=environment,
                    method=method,
                    tasks=result.tasks,
                    reward=float(np.mean([np.mean(value) for value in new.values()])),
                    difference=result.difference.mean,
                    low=result.difference.low,
                    high=result.difference.high,
                    wins=result.wins,
                    losses=result.losses,
                    default=digest(values),
                )
            )
    return rows


def measure(values: Values, readings: Sequence[Reading], *, run: Runner, table: Path) -> list[str]:
    """Run what the table lacks, write each reading's rows as soon as they are there; one line for each that failed."""
    failed = []
    default: list[Episode] = []
    for reading in readings:
        rows = [row for row in read(table) if row.default == digest(values)]
        there = [row for row in rows if (row.question, row.reading) == (reading.question, reading.text)]
        if any(json.loads(row.changes) == reading.changes for row in there):
            continue
        try:
            new = changed(values, reading.changes)
            default = default or run(values, tuple(GROUPS.values()))
            print(f"{reading.question}: {reading.text}", flush=True)
            episodes = run(new, [GROUPS[method] for method in reading.methods])
            found = compare(reading, episodes, default, values=values, confidence=values["report"]["confidence"])
        except UserError as error:
            failed.append(f"{reading.question}, {reading.text}: {error}")
            continue
        write(table, [*(row for row in rows if row not in there), *found])
    return failed


def read(table: Path) -> list[SensitivityRow]:
    """The rows of the table; none where there is no file."""
    if not table.exists():
        return []
    kinds: dict[str, Any] = {field.name: field.type for field in fields(SensitivityRow)}
    with table.open(encoding="utf-8", newline="") as file:
        return [
            SensitivityRow(**{name: kinds[name](text) for name, text in line.items()}) for line in csv.DictReader(file)
        ]


def write(table: Path, rows: Sequence[SensitivityRow]) -> None:
    """Write the table, rows in the order of READINGS."""
    order = {(reading.question, reading.text): number for number, reading in enumerate(READINGS)}
    kept = sorted(rows, key=lambda row: order.get((row.question, row.reading), len(order)))
    with files.replacing(table) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(SensitivityRow)], lineterminator="\n")
        writer.writeheader()
        for row in kept:
            writer.writerow({k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in asdict(row).items()})


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
        gain = f"{100 * row.difference:+.1f} [{100 * row.low:+.1f}, {100 * row.high:+.1f}]".replace("-", "−")
        gain = gain if row.wins or row.losses else "no task differs"
        lines.append(
            f"| {row.question} | {row.reading} | {label(row.method)} |{place} {100 * row.reward:.1f} | {gain} |"
            f" {row.wins}, {row.losses} of {row.tasks} |"
        )
    return "\n".join(lines) + "\n"


def page(text: str, rows: Sequence[SensitivityRow]) -> str:
    """The page with the table between its marks.

    Raises:
        UserError: the marks are missing.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise UserError(f"{PAGE}: the marks {BEGIN} and {END} must be there once each")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{markdown(rows)}{END}{rest.split(END)[1]}"


def prepare(folder: Path) -> None:
    """Make the folder a copy of the project as it is now, on the project's own DVC cache."""
    subprocess.run([sys.executable, "workflow/studies/workspace.py", str(PARAMS), str(folder)], check=True)
    share_cache(folder)


def main() -> int:
    """Parse the command line, measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", default="all", help="of snakemake")
    parser.add_argument("--only", nargs="+", metavar="A11", help="readings of these questions alone")
    parser.add_argument("--table", action="store_true", help="run nothing, write the table of what is there")
    options = parser.parse_args()
    readings = [reading for reading in READINGS if not options.only or reading.question in options.only]
    failed: list[str] = []
    try:
        if not options.table:
            values = reduced(read_yaml(PARAMS))
            prepare(FOLDER)

            def run(new: Values, groups: Sequence[str]) -> list[Episode]:
                return snakemake(new, groups, folder=FOLDER, cores=options.cores)

            failed = measure(values, readings, run=run, table=TABLE)
        files.write_text(PAGE, page(PAGE.read_text(encoding="utf-8"), read(TABLE)))
    except UserError as error:
        failed.append(str(error))
    for line in failed:
        print(f"Error: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
