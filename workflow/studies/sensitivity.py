"""What each reading of the paper changes: `sensitivity.py [--cores N] [--only A11 …] [--table]`.

One alternative at a time is run on params.yaml with the two W2S methods alone, in the folder .sensitivity, which shares
DVC's cache with this one: only what a reading invalidates runs, and nothing here changes but the two results.
docs/sensitivity.csv gets a line as soon as a reading is done, so that a call that was stopped goes on where it was;
docs/method.md gets the table. A line is kept as long as the parameters that it was measured against are the same.
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

from w2sg.config import params
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts import files, layout
from w2sg.contracts.errors import UserError
from w2sg.contracts.records import Episode, read_episodes
from w2sg.evaluation.measures import metrics
from w2sg.evaluation.measures.statistics import paired_difference

PARAMS = Path("params.yaml")
FOLDER = Path(".sensitivity")
TABLE = Path("docs/sensitivity.csv")
PAGE = Path("docs/method.md")
BEGIN, END = "<!-- sensitivity: made by workflow/studies/sensitivity.py -->", "<!-- end of sensitivity -->"
GROUPS = {"w2s_dpo": "preference", "w2s_mcts": "imitation"}
BOTH = tuple(GROUPS)
SPLIT, MEASURE = "unseen", metrics.MEASURES["average_reward"]
Values: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """An alternative to the default: which question it answers otherwise, how, and whom it concerns."""

    question: str
    text: str
    changes: Mapping[str, Any]
    methods: tuple[str, ...]


SIX_RUNS = [
    {"temperature": 0.0, "top_p": 1.0, "model": "sft"},
    {"temperature": 0.7, "top_p": 0.9, "model": "sft"},
    {"temperature": 1.0, "top_p": 0.8, "model": "sft"},
    {"temperature": 1.0, "top_p": 0.8, "model": "sft"},
    {"temperature": 1.0, "top_p": 0.9, "model": "sft"},
    {"temperature": 0.7, "top_p": 0.9, "model": "base"},
]
NARROW = [{"temperature": temperature, "top_p": 1.0, "model": "sft"} for temperature in (0.0, 0.2, 0.3, 0.4, 0.5, 0.6)]
PAPERS_LORA = {"r": 64, "alpha": 128, "dropout": 0.05, "targets": ["q_proj", "k_proj", "v_proj", "o_proj"]}
HALF_DIVERSE = [
    {"temperature": temperature, "top_p": top_p, "model": model}
    for temperature, top_p in ((0.5, 1.0), (0.7, 0.95), (0.8, 1.0))
    for model in ("sft", "diverse")
]
EQ5 = {
    "weight": 0.3,
    "clamp": 0.5,
    "optimization": {
        "epochs": 1,
        "batch": 8,
        "learning_rate": 1.0e-3,
        "schedule": "cosine",
        "warmup": 0.03,
        "weight_decay": 0.0,
        "adam_beta2": 0.999,
        "precision": "auto",
    },
}

READINGS = (
    Reading("A1", "merge equal observations alone", {"tree.merge_key": "exact"}, BOTH),
    Reading("A1", "compare observation and thought, as the authors", {"tree.merge_key": "observation+thought"}, BOTH),
    Reading("A1", "xi 0.5", {"tree.similarity": 0.5}, BOTH),
    Reading("A2", "gamma 0.2", {"mcts.gamma": 0.2}, ("w2s_mcts",)),
    Reading("A2", "100 iterations", {"mcts.iterations": 100}, ("w2s_mcts",)),
    Reading("A2", "ties by visits, whatever the length", {"mcts.ties": "visits"}, ("w2s_mcts",)),
    Reading("A6", "imitate every e*, whatever its score", {"mcts.minimum_score": 0.0}, ("w2s_mcts",)),
    Reading("A6", "keep e* whose replay differs", {"mcts.uncertified": "keep"}, ("w2s_mcts",)),
    Reading("A8", "eq. 6 to the letter", {"dpo.eq6": "literal"}, ("w2s_dpo",)),
    Reading("M9", "beta 0.5", {"dpo.beta": 0.5}, ("w2s_dpo",)),
    Reading("A9", "the starting point as the reference", {"preference.w2s_dpo.reference": "sft_strong"}, ("w2s_dpo",)),
    Reading("A11", "best against worst whole trajectory, as the authors", {"pairs.whole_path": True}, ("w2s_dpo",)),
    Reading("A11", "both sides to their ends", {"pairs.turns": None}, ("w2s_dpo",)),
    Reading("A11", "G of a branch is its maximum", {"pairs.aggregate": "max"}, ("w2s_dpo",)),
    Reading("A11", "gap of at least 0.1", {"pairs.minimum_gap": 0.1}, ("w2s_dpo",)),
    Reading(
        "A12",
        "three of six runs by a policy of eq. 5",
        {"explore.diversity": EQ5, "explore.schedule": HALF_DIVERSE},
        BOTH,
    ),
    Reading("A13", "the authors' six runs, one by the base", {"explore.schedule": SIX_RUNS}, BOTH),
    Reading("A13", "a narrow spread near greedy", {"explore.schedule": NARROW}, BOTH),
    Reading("A14", "LoRA of the paper's size", {"dpo.lora": PAPERS_LORA, "imitate.lora": PAPERS_LORA}, BOTH),
    Reading("A15", "cosine for DPO", {"dpo.optimization.schedule": "cosine"}, ("w2s_dpo",)),
    Reading("A23", "imitation from the base", {"imitation.w2s_mcts.init": "base_strong"}, ("w2s_mcts",)),
    Reading("A23", "no demonstrations mixed in", {"imitation.w2s_mcts.expert_share": 0.0}, ("w2s_mcts",)),
)


@dataclass(frozen=True, slots=True)
class Row:
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
    """Short digest of parameters, whatever the order of their keys."""
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
) -> list[Row]:
    """One row per environment and method that the reading concerns."""
    rows = []
    for environment in metrics.environments(default):
        for method in reading.methods:
            new, old = (
                metrics.per_task_and_seed(those, environment=environment, model=method, split=SPLIT, measure=MEASURE)
                for those in (episodes, default)
            )
            result = paired_difference(
                new,
                old,
                resamples=values["report"]["resamples"],
                confidence=confidence,
                rng=np.random.default_rng(values["seeds"][0]),
            )
            rows.append(
                Row(
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
        if any((row.question, row.reading) == (reading.question, reading.text) for row in rows):
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
        write(table, [*rows, *found])
    return failed


def read(table: Path) -> list[Row]:
    """The rows of the table; none where there is no file."""
    if not table.exists():
        return []
    kinds: dict[str, Any] = {field.name: field.type for field in fields(Row)}
    with table.open(encoding="utf-8", newline="") as file:
        return [Row(**{name: kinds[name](text) for name, text in line.items()}) for line in csv.DictReader(file)]


def write(table: Path, rows: Sequence[Row]) -> None:
    """Write the table, rows in the order of READINGS."""
    order = {(reading.question, reading.text): number for number, reading in enumerate(READINGS)}
    kept = sorted(rows, key=lambda row: order.get((row.question, row.reading), len(order)))
    with files.replacing(table) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        for row in kept:
            writer.writerow({k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in asdict(row).items()})


def markdown(rows: Sequence[Row]) -> str:
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
            f"| {row.question} | {row.reading} | {metrics.label(row.method)} |{place} {100 * row.reward:.1f} | {gain} |"
            f" {row.wins}, {row.losses} of {row.tasks} |"
        )
    return "\n".join(lines) + "\n"


def page(text: str, rows: Sequence[Row]) -> str:
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
    cache = subprocess.run(["dvc", "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["dvc", "cache", "dir", "--quiet", "--local", str(Path(cache).resolve())], cwd=folder, check=True)


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
