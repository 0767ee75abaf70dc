"""Where the time of a run went: seconds of jobs by stage and environment, out of Snakemake's log.

    python benchmarks/stages.py [LOG]

LOG: a file of .snakemake/log; the newest by default. Prints the table of docs/budget.md, and for how long how many jobs
ran side by side. A job that another process makes wait counts as busy.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from w2sg.config.environments import NAMES
from w2sg.contracts.command_line import Parser, status
from w2sg.evaluation.measures.models import environment_label

LOGS = Path(".snakemake/log")
TIME = re.compile(r"\[(\w{3} \w{3} +\d+ [\d:]{8} \d{4})\]$")
START = re.compile(r"Job (\d+): ")
END = re.compile(r"Finished jobid: (\d+) \(Rule: (\S+)\)")


@dataclass(frozen=True, slots=True)
class Job:
    """One stage of dvc.yaml as it ran; seconds since the epoch."""

    name: str
    start: float
    end: float

    @property
    def stage(self) -> str:
        """Its name before the "@"; models are evaluated by groups, which are stages of their own."""
        return self.name.partition("@")[0]

    @property
    def environment(self) -> str | None:
        """None where a stage has all of them."""
        return next((name for name in NAMES if name in self.name.partition("@")[2].split("-")), None)


def jobs(lines: Iterable[str]) -> list[Job]:
    """The finished jobs of a log, in the order in which they ended."""
    now, started, found = 0.0, dict[str, float](), list[Job]()
    for line in map(str.rstrip, lines):
        if time := TIME.match(line):
            now = datetime.strptime(time[1], "%a %b %d %H:%M:%S %Y").timestamp()
        elif start := START.match(line):
            started[start[1]] = now
        elif (end := END.match(line)) and end[1] in started and end[2] != "all":
            found.append(Job(end[2], started.pop(end[1]), now))
    return found


def table(found: Sequence[Job]) -> list[str]:
    """Markdown: a row a stage, most seconds first."""
    seconds: Counter[tuple[str, str | None]] = Counter()
    for job in found:
        seconds[job.stage, job.environment] += round(job.end - job.start)
    environments = [name for name in NAMES if any(job.environment == name for job in found)]
    stages: Counter[str] = Counter()
    for (stage, _), spent in seconds.items():
        stages[stage] += spent
    head = ["stage", "jobs' seconds", *map(environment_label, environments)]
    lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for stage, spent in stages.most_common():
        lines.append(f"| {stage} | {spent} | {' | '.join(str(seconds[stage, name]) for name in environments)} |")
    sums = [sum(seconds[stage, name] for stage in stages) for name in environments]
    return [*lines, f"| **sum** | **{stages.total()}** | {' | '.join(map(str, sums))} |"]


def side_by_side(found: Sequence[Job]) -> dict[int, float]:
    """Seconds in which so many jobs ran, from the first one's start to the last one's end."""
    spent: Counter[int] = Counter()
    changes = sorted([(job.start, 1) for job in found] + [(job.end, -1) for job in found])
    running = 0
    for (time, change), (until, _) in pairwise(changes):
        running += change
        spent[running] += until - time
    return dict(sorted(spent.items()))


def main() -> int:
    """Read, print."""
    parser = Parser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("log", type=Path, nargs="?", help="of Snakemake; the newest")
    log = parser.parse_args().log or max(LOGS.glob("*.log"), default=None)
    if log is None or not log.is_file():
        print(f"{log or LOGS}: no log of Snakemake; run `make run` first, or name one", file=sys.stderr)
        return 2
    found = jobs(log.read_text(encoding="utf-8", errors="replace").splitlines())
    if not found:
        print(f"{log}: no job has finished in it", file=sys.stderr)
        return 2
    print("\n".join(table(found)))
    for count, spent in side_by_side(found).items():
        if spent:
            print(f"{count} jobs side by side: {spent:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(status("stages", main))
