"""Play the seeds of a study, keep them, and report on all that are kept: `make study`, `make study SEEDS="2 3"`.

`python workflow/studies/study.py NAME --seeds 2 3` plays two seeds with params/NAME.yaml in a workspace of its own,
.NAME, which stays: stopped, the same call goes on where this one was. It uses the project's DVC cache, so that what it
has in common with `make run` is not computed again. What the report reads of each seed is packed into docs/NAME/seeds
(seeds.py), so that seeds may be played on several machines or days. Without --seeds, those of params/NAME.yaml that are
not kept yet are played; with --pool, none.

Then the report is made of all seeds that are kept, in .NAME/.pool. Its tables and claims are copied to docs/NAME with a
page that says what made them; of `study`, the one that the report of other runs shows, also figures and, if they are
not too large to be versioned, report and explorer.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

import archives
import pooled
import seeds
from keeping import Study, commit, keep, shown
from w2sg.config.overlays import merged
from w2sg.config.params import validated
from w2sg.contracts import files
from w2sg.contracts.command_line import NUMBERS, Parser, cores, status
from w2sg.contracts.errors import UserError
from workspace import share_cache


def main() -> int:
    """Play, pack, report, copy; the exit code is Snakemake's or the report's where they fail."""
    parser = Parser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("name", nargs="?", default="study", help="of the file in params, without .yaml")
    parser.add_argument("--cores", type=cores, default="all", help="as of snakemake")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seeds", **NUMBERS, help="play these; else those that are not kept")
    which.add_argument("--pool", action="store_true", help="play none")
    arguments = parser.parse_args()
    study = Study(arguments.name)
    seeds = [] if arguments.pool else arguments.seeds
    return status("study", lambda: follow(study, seeds, cores=arguments.cores))


def follow(study: Study, wanted: Sequence[int] | None, *, cores: str) -> int:
    """Play the seeds that are wanted, keep them, and what the report says of all that are kept.

    Args:
        wanted: None for those of the study's parameters that are not kept.

    Raises:
        UserError: parameters, an archive or its record is wrong, or there is no seed at all.
    """
    values = merged(study.params).values
    validated(values, source=study.params)
    kept = seeds.kept(study.seeds, but=wanted or ())
    if wanted is None:
        wanted = [seed for seed in values["seeds"] if seed not in kept]
    now = seeds.sections(values, source=study.params)
    seeds.check(study.seeds, kept.values(), now, source=study.params)
    if wanted:
        validated(values | {"seeds": wanted}, source=study.params)
        if code := play(study, values, wanted, cores=cores):
            return code
        kept = seeds.kept(study.seeds)
    if not kept:
        raise UserError(f"{study.seeds}: no seed is kept; play one (--seeds {values['seeds'][0]})")
    text = parameters(study, values, list(kept))
    if code := pooled.report(study.seeds, kept, values, text=text, folder=study.pool):
        return code
    for seed in shown(study):
        if seed not in kept:
            print(f"{study.kept}: seed {seed} is in the tables no more, as no archive of it is kept", file=sys.stderr)
    keep(study, study.pool / "results", list(kept.values()))
    print(f"{study.kept}: {', '.join(sorted(path.name for path in study.kept.iterdir()))}")
    return 0


def play(study: Study, values: dict[str, Any], wanted: Sequence[int], *, cores: str) -> int:
    """Play some seeds in the study's workspace and pack each; Snakemake's exit code."""
    played = study.workspace / "played.yaml"
    files.write_text(played, parameters(study, values, wanted))
    made = subprocess.run([sys.executable, "workflow/studies/workspace.py", str(played), str(study.workspace)])
    if made.returncode:
        return made.returncode
    share_cache(study.workspace)
    spent = study.workspace / f"seconds-{'-'.join(map(str, wanted))}.json"
    code, seconds = run(["snakemake", "--cores", cores, "--keep-going"], study.workspace, spent=spent)
    if code:
        print(f"{study.name}: not complete; call again to go on from here", file=sys.stderr)
        return code
    count = (os.cpu_count() or 1) if cores == "all" else int(cores)
    machine = f"{platform.system()} {platform.machine()}"
    hours = round(seconds / 3600 / len(wanted), 2)
    record = seeds.Record(0, commit(), hours, count, machine, seeds.sections(values, source=study.params), "")
    for seed in wanted:
        pack(study, values, replace(record, seed=seed))
    spent.unlink()
    return 0


def pack(study: Study, values: dict[str, Any], record: seeds.Record) -> None:
    """Keep what one seed has played; the record of the same archive stays, for this call has played nothing anew."""
    archive = seeds.archive_of(study.seeds, record.seed)
    try:
        before = seeds.read(archive)
    except UserError:
        before = None
    record = replace(record, sha256=archives.pack(study.workspace, archive, pooled.outputs(values, record.seed)))
    if before is None or (before.sha256, before.params) != (record.sha256, record.params):
        seeds.write(archive, record)
    print(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB")


def parameters(study: Study, values: dict[str, Any], chosen: Sequence[int]) -> str:
    """The study's parameters, complete, with other seeds."""
    whole = values | {"seeds": list(chosen)}
    text = yaml.safe_dump(whole, sort_keys=False, default_flow_style=None, width=200, allow_unicode=True)
    return f"# {study.params.as_posix()} with the seeds that were asked for: change it there.\n{text}"


def run(command: list[str], folder: Path, *, spent: Path, every: float = 30.0) -> tuple[int, float]:
    """Run a command; its exit code, and the seconds that it and earlier calls have taken.

    The seconds are written down every so often, because a machine that goes away does not say so before.
    """
    before = json.loads(spent.read_text()) if spent.exists() else 0.0
    start = time.monotonic()
    with subprocess.Popen(command, cwd=folder) as process:
        while True:
            try:
                code: int | None = process.wait(timeout=every)
            except subprocess.TimeoutExpired:
                code = None
            seconds = before + time.monotonic() - start
            files.write_text(spent, json.dumps(seconds))
            if code is not None:
                return code, seconds


if __name__ == "__main__":
    sys.exit(main())
