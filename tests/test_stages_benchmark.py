"""benchmarks/stages.py: the seconds of a log's jobs, by stage and environment, and how many ran side by side."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

LOG = """\
[Sat Nov 28 08:00:00 2026]
Job 1: sft@alfworld-0-weak: it has not run before
[Sat Nov 28 08:00:10 2026]
Job 2: evaluate-sft@webshop-0: it has not run before
[Sat Nov 28 08:00:30 2026]
Finished jobid: 1 (Rule: sft@alfworld-0-weak)
1 of 4 steps (25%) done
[Sat Nov 28 08:01:00 2026]
Finished jobid: 2 (Rule: evaluate-sft@webshop-0)
[Sat Nov 28 08:01:00 2026]
Job 3: report: it has not run before
[Sat Nov 28 08:01:05 2026]
Finished jobid: 3 (Rule: report)
[Sat Nov 28 08:01:05 2026]
Job 4: sft@webshop-0-weak: it has not run before
[Sat Nov 28 08:01:06 2026]
Job 0: all stages are up to date
Finished jobid: 0 (Rule: all)
"""
TABLE = """\
| stage | jobs' seconds | ALFWorld | WebShop |
|---|---:|---:|---:|
| evaluate-sft | 50 | 0 | 50 |
| sft | 30 | 30 | 0 |
| report | 5 | 0 | 0 |
| **sum** | **85** | 30 | 50 |
1 jobs side by side: 45 s
2 jobs side by side: 20 s
"""


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks/stages.py"), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_seconds_of_a_log(tmp_path: Path) -> None:
    logs = tmp_path / ".snakemake/log"
    logs.mkdir(parents=True)
    (logs / "2026-11-27.snakemake.log").write_text("of an older call\n")
    (logs / "2026-11-28.snakemake.log").write_text(LOG)
    done = call(tmp_path)
    assert (done.returncode, done.stdout) == (0, TABLE)
    done = call(tmp_path, ".snakemake/log/2026-11-27.snakemake.log")
    assert done.returncode == 2 and "no job has finished in it" in done.stderr


def test_without_a_log_it_says_what_to_do(tmp_path: Path) -> None:
    done = call(tmp_path)
    assert done.returncode == 2 and ".snakemake/log: no log of Snakemake; run `make run` first" in done.stderr
