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

import argparse
import json
import math
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

import archives
import keeping
import pooled
import seeds
import workspace
from keeping import Study, commit
from w2sg.config.overlays import merged
from w2sg.config.params import validated
from w2sg.contracts import files
from w2sg.contracts.command_line import NUMBERS, Parser, cores, status
from w2sg.contracts.errors import UserError, named
from w2sg.evaluation.measures.study import without_rows


def main() -> int:
    """Play, pack, report, copy; the exit code is Snakemake's or the report's where they fail."""
    parser = Parser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("name", type=name, nargs="?", default="study", help="of the file in params, without .yaml")
    parser.add_argument("--cores", type=cores, default="all", help="as of snakemake")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seeds", **NUMBERS, help="play these; else those that are not kept")
    which.add_argument("--pool", action="store_true", help="play none")
    arguments = parser.parse_args()
    study = Study(arguments.name)
    seeds = [] if arguments.pool else arguments.seeds
    return status("study", lambda: follow(study, seeds, cores=arguments.cores))


def name(text: str) -> str:
    """Of a file in params, and of folders."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", text):
        raise argparse.ArgumentTypeError(f"{named(text)}: must be letters, digits, - and _")
    return text


def follow(study: Study, wanted: Sequence[int] | None, *, cores: str) -> int:
    """Play the seeds that are wanted, keep them, and what the report says of all that are kept.

    Args:
        wanted: None for those of the study's parameters that are not kept.

    Raises:
        UserError: parameters, an archive or its record is wrong, there is no seed at all, another call is at work, or
            a folder of this name is something else.
    """
    values = merged(study.params).values
    validated(values, source=study.params)
    keeping.check(study)
    with workspace.claimed(study.workspace) as lock:
        return _follow(study, values, wanted, cores=cores, lock=lock)


def _follow(study: Study, values: dict[str, Any], wanted: Sequence[int] | None, *, cores: str, lock: int) -> int:
    before = keeping.shown(study)
    kept = seeds.kept(study.seeds, but=wanted or ())
    if wanted is None:
        wanted = [seed for seed in values["seeds"] if seed not in kept]
    now = seeds.sections(values, source=study.params)
    seeds.check(study.seeds, kept.values(), now, source=study.params)
    if wanted:
        validated(values | {"seeds": wanted}, source=study.params)
        if code := play(study, values, wanted, cores=cores, lock=lock):
            return code
        kept = seeds.kept(study.seeds)
    if not kept:
        raise UserError(f"{study.seeds}: no seed is kept; play one (--seeds {values['seeds'][0]})")
    text = parameters(study, values, list(kept))
    # The report of one seed shows the study beside it, which for the study itself is what it takes the place of.
    instead = without_rows(text) if study == Study() else {}
    if code := pooled.report(study.seeds, kept, values, text=text, folder=study.pool, instead=instead):
        return code
    for seed in before:
        if seed not in kept:
            print(f"{study.kept}: seed {seed} is in the tables no more, as no archive of it is kept", file=sys.stderr)
    keeping.keep(study, study.pool / "results", list(kept.values()))
    print(f"{study.kept}: {', '.join(sorted(path.name for path in study.kept.iterdir()))}")
    return 0


def play(study: Study, values: dict[str, Any], wanted: Sequence[int], *, cores: str, lock: int) -> int:
    """Play some seeds in the study's workspace and pack each; Snakemake's exit code.

    Args:
        lock: holds the workspace.

    Raises:
        UserError: an output is missing, or somebody has changed the parameters meanwhile.
    """
    text = parameters(study, values, wanted)
    workspace.make(study.workspace, text)
    now = commit()  # of what was copied: while it is played, the project may go on
    workspace.share_cache(study.workspace)
    commits = {seed: study.workspace / f"commit-{seed}.json" for seed in wanted}
    played = {seed: played_at(file, now) for seed, file in commits.items()}
    spent = study.workspace / f"seconds-{'-'.join(map(str, wanted))}.json"
    code, seconds = run(["snakemake", "--cores", cores, "--keep-going"], study.workspace, spent=spent, held=[lock])
    if code:
        print(f"{study.name}: not complete; call again to go on from here", file=sys.stderr)
        return code
    params = study.workspace / workspace.PARAMS
    if not params.is_file() or params.read_bytes() != text.encode():
        raise UserError(f"{params}: changed while this call played by it, so nothing is kept; call again")
    count = (os.cpu_count() or 1) if cores == "all" else int(cores)
    machine = f"{platform.system()} {platform.machine()}"
    hours = round(seconds / 3600 / len(wanted), 2)
    record = seeds.Record(0, now, hours, count, machine, seeds.sections(values, source=study.params), "")
    for seed in wanted:
        pack(study, values, replace(record, seed=seed, commit=played[seed]))
    for file in (spent, *commits.values()):
        file.unlink()
    return 0


def played_at(file: Path, now: str) -> str:
    """The commits at which a seed was played: of calls that were stopped, as they have noted, and of this one."""
    noted = _noted(file)
    before = [each for each in noted if isinstance(each, str)] if isinstance(noted, list) else []
    found = before if before[-1:] == [now] else [*before, now]
    files.write_text(file, json.dumps(found))
    return " to ".join(found)


def _noted(file: Path) -> Any:
    """What an earlier call has left for this one; None where it has not, or was killed as it wrote."""
    try:
        return files.loaded(file.read_bytes())
    except (OSError, ValueError):
        return None


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


def run(
    command: list[str], folder: Path, *, spent: Path, held: Sequence[int] = (), every: float = 30.0
) -> tuple[int, float]:
    """Run a command; its exit code, and the seconds that it and earlier calls have taken.

    The seconds are written down every so often, because a machine that goes away does not say so before.

    Args:
        held: descriptors that the command has as well.
    """
    noted = _noted(spent)
    before = float(noted) if isinstance(noted, int | float) and 0 <= noted < math.inf else 0.0
    start = time.monotonic()
    with subprocess.Popen(command, cwd=folder, pass_fds=held) as process:
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
