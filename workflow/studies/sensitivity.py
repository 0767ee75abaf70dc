"""What each reading of the paper changes: `sensitivity.py [--cores N] [--only A11 …] [--table]`.

One alternative at a time is run on params.yaml with the two W2S methods alone, in the folder .sensitivity, which shares
DVC's cache with this one: only what a reading invalidates runs, and nothing here changes but the two results.
docs/sensitivity.csv gets a line as soon as a reading is done, so that a call that was stopped goes on where it was;
docs/method.md gets the table. A line is kept as long as the parameters that it was measured against are the same, and
the reading changes what it changed then.
"""

import argparse
import copy
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import yaml

import derived
import workspace
from readings import GROUPS, READINGS, Reading
from sensitivity_table import PAGE, TABLE, SensitivityRow, read, write, written
from w2sg.config import params
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts import files, layout
from w2sg.contracts.command_line import Once, Parser, cores, status
from w2sg.contracts.episodes import Episode, read_episodes
from w2sg.contracts.errors import UserError, named
from w2sg.evaluation.measures.episodes import REPORTED, GroupedEpisodes
from w2sg.evaluation.measures.scores import average_reward
from w2sg.evaluation.measures.statistics import Resampling, paired_difference

PARAMS = Path("params.yaml")
FOLDER = Path(".sensitivity")
Values: TypeAlias = dict[str, Any]


Runner: TypeAlias = Callable[[Values, Sequence[str]], list[Episode]]


def reduced(values: Values) -> Values:
    """The parameters with the two W2S methods alone, so that no baseline runs again.

    Raises:
        UserError: the parameters are wrong, or lack one of the two.
    """
    params.validated(values, source=PARAMS)
    for method, roster in GROUPS.items():
        if method not in values[roster]:
            raise UserError(f"{PARAMS}: {roster}: no {method}, whose readings are measured")
    kept = {roster: {method: values[roster][method]} for method, roster in GROUPS.items()}
    return derived.only(values, **kept) | {"explore": {**values["explore"], "roles": ["weak"]}}


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


def snakemake(values: Values, groups: Sequence[str], *, folder: Path, cores: str, lock: int) -> list[Episode]:
    """Bring the evaluation of some groups up to date under the parameters; the episodes of all environments and seeds.

    Raises:
        UserError: a parameter is refused, or a stage fails.
    """
    files.write_text(folder / "params.yaml", yaml.safe_dump(values, sort_keys=False))
    settings = params.load(folder / "params.yaml")
    command = ["snakemake", "--cores", cores, *(f"evaluate-{group}" for group in groups)]
    done = subprocess.run(command, cwd=folder, pass_fds=[lock], check=False)
    if done.returncode:
        raise UserError(f"{folder}: snakemake failed; see above and {folder / 'logs'}")
    runs = [(name, seed) for name in settings.environments.names for seed in settings.seeds]
    return [e for name, seed in runs for g in groups for e in read_episodes(folder / layout.episodes(name, seed, g))]


def compare(
    reading: Reading, episodes: Sequence[Episode], default: Sequence[Episode], *, values: Values
) -> list[SensitivityRow]:
    """One row per environment and method that the reading concerns."""
    rows = []
    resampling = Resampling(**values["report"], seed=values["seeds"][0])
    these, those = GroupedEpisodes(episodes), GroupedEpisodes(default)
    for environment in those.environments:
        for method in reading.methods:
            new, old = (
                grouped.values(environment, REPORTED, average_reward).get(method, {}) for grouped in (these, those)
            )
            result = paired_difference(new, old, resampling=resampling)
            rows.append(
                SensitivityRow(
                    question=reading.question,
                    reading=reading.text,
                    changes=reading.recorded,
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
        if any(row.changes == reading.recorded for row in there):
            continue
        try:
            new = changed(values, reading.changes)
            default = default or run(values, tuple(GROUPS.values()))
            print(f"{reading.question}: {reading.text}", flush=True)
            episodes = run(new, [GROUPS[method] for method in reading.methods])
            found = compare(reading, episodes, default, values=values)
        except UserError as error:
            failed.append(f"{reading.question}, {reading.text}: {error}")
            continue
        write(table, [*(row for row in rows if row not in there), *found])
    return failed


def prepare(folder: Path) -> None:
    """Make the folder a copy of the project as it is now, on the project's own DVC cache.

    Raises:
        UserError: it cannot be made.
    """
    workspace.make(folder, PARAMS.read_text(encoding="utf-8"))
    workspace.share_cache(folder)


def chosen(questions: Sequence[str] | None) -> list[Reading]:
    """The readings of some questions; all of them where none are named.

    Raises:
        UserError: there is no such question, or none of its readings is measured.
    """
    known = list(dict.fromkeys(reading.question for reading in READINGS))
    if unknown := [name for name in questions or () if name not in known]:
        raise UserError(f"--only {named(unknown[0])}: no reading of this question; there are {', '.join(known)}")
    return [reading for reading in READINGS if not questions or reading.question in questions]


def main() -> int:
    """Parse the command line, measure, write the table."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=cores, default="all", help="of snakemake")
    parser.add_argument("--only", nargs="+", action=Once, metavar="A11", help="readings of these questions alone")
    parser.add_argument("--table", action="store_true", help="run nothing, write the table of what is there")
    options = parser.parse_args()
    return status("sensitivity", lambda: follow(options))


def follow(options: argparse.Namespace) -> int:
    """Measure, write the table; 1 where a reading failed.

    Raises:
        UserError: see `chosen`, `reduced`, `prepare`, `written`.
    """
    readings, failed = chosen(options.only), []
    written()  # what is wrong there is told before anything runs
    if not options.table:
        values = reduced(read_yaml(PARAMS))
        # Until the end: another call would play the one reading with the other's parameters.
        with workspace.claimed(FOLDER) as lock:
            prepare(FOLDER)

            def run(new: Values, groups: Sequence[str]) -> list[Episode]:
                return snakemake(new, groups, folder=FOLDER, cores=options.cores, lock=lock)

            failed = measure(values, readings, run=run, table=TABLE)
    files.write_text(PAGE, written())
    for line in failed:
        print(f"sensitivity: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
