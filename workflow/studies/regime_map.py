"""Where learning from trees pays, on ALFWorld: `make map RUN=.study SEEDS="0 1 2"`.

On the bases of a run, four things are varied, every level with every other, under every seed:

    places          receptacles of a game at most: how much of it is hidden, so how much of a path that wins was luck
    demonstrations  that the weak model is tuned on, the strong one always on the run's: the gap between the two
    samples         M, of each task: how much the weak model solves that the strong one does not
    passes          over the paths: the dose

In each cell SFT strong learns from the weak model's tree by MCTS, and at one dose from the best of the samples, from as
many samples of its own, from the demonstrations again and by TreeDPO; where the weak model has as many demonstrations
as the strong one and the most samples, from the expert's paths, too. What a seed has played is kept in docs/map/seeds,
so that seeds may be played on several machines or days; the page is made of all that are kept.

Stopped, the same call goes on with the cell where this one was.
"""

import argparse
import contextlib
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import derived
import regime_map_page
from keeping import commit
from regime_map_cells import ENVIRONMENT, GROUPS, PLACE, agent, collected, demonstrated, left, students, world
from w2sg.config import params
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts import files, layout
from w2sg.contracts.errors import UserError, told
from w2sg.evaluation.measures.comparisons import Resampling
from w2sg.evaluation.measures.regime_map import Cell, Played, RegimeMap

KEPT = Path("docs/map")
# Levels of the axes.
PLACES, DEMONSTRATIONS, SAMPLES, PASSES = (4, 8), (20, 60, 240), (2, 6, 12), (1, 3, 9)


def main() -> int:
    """Parse the command line, play, keep, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--run", type=Path, default=Path(), help="workspace of a run that has bases; this folder")
    parser.add_argument("--cores", default="all", help="as of snakemake")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seeds", type=int, nargs="+", metavar="N", help="whose bases the run has; its own")
    which.add_argument("--pool", action="store_true", help="play none, write the page of those that are kept")
    for name, levels in zip(("places", "demonstrations", "samples", "passes"), _defaults(), strict=True):
        parser.add_argument(f"--{name}", type=int, nargs="+", metavar="N", default=levels, help=f"{levels}"[1:-1])
    options = parser.parse_args()
    try:
        return follow(options)
    except (UserError, OSError) as error:
        for line in told(error):
            print(f"map: {line}", file=sys.stderr)
        return 2


def _defaults() -> tuple[Sequence[int], ...]:
    return PLACES, DEMONSTRATIONS, SAMPLES, PASSES


def follow(options: argparse.Namespace) -> int:
    """Play the seeds one after the other, and what the page says of all that are kept; Snakemake's code on failure.

    Raises:
        UserError: the run lacks a base or a method, plays other games than generated ones, or no seed is kept.
    """
    with contextlib.chdir(options.run):
        settings = params.load()
    values = read_yaml(options.run / "params.yaml")
    if not options.pool:
        seeds = options.seeds or settings.seeds
        check(values, options, seeds)
        playing = Playing(values, options)
        for seed in seeds:
            try:
                found = [played for cell in cells(options) for played in playing.cell(cell, seed)]
            except _Stopped as stopped:
                print(f"map: seed {seed}: not complete; call again to go on from here", file=sys.stderr)
                return stopped.code
            Played.write(KEPT / "seeds" / f"{seed}.parquet", found)
    rows = [row for path in sorted((KEPT / "seeds").glob("[!.]*.parquet")) for row in Played.read(path)]
    if not rows:
        raise UserError(f"{KEPT / 'seeds'}: no seed is kept; play one (--seeds {settings.seeds[0]})")
    resampling = Resampling(settings.report.resamples, settings.report.confidence, settings.seeds[0])
    try:
        found_map = RegimeMap(rows, resampling=resampling)
    except ValueError as error:
        raise UserError(f"{KEPT / 'seeds'}: {error}; play them with the same levels") from None
    regime_map_page.write(KEPT, found_map, commits=sorted({row.commit for row in rows}))
    print(f"{KEPT}: {len(found_map.cells)} cells, seeds {', '.join(map(str, found_map.seeds))}")
    return 0


class _Stopped(Exception):
    """Snakemake has ended with a code other than 0."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def check(values: dict[str, Any], options: argparse.Namespace, seeds: Sequence[int]) -> None:
    """Refuse what cannot be played, before anything is.

    Raises:
        UserError: see follow.
    """
    source = options.run / "params.yaml"
    if ENVIRONMENT not in values["environments"]:
        raise UserError(f"{source}: environments: no {ENVIRONMENT}, on which the map is made")
    if values["environments"][ENVIRONMENT]["data_dir"]:
        raise UserError(f"{source}: environments.{ENVIRONMENT}.data_dir: the map varies generated games; null wanted")
    if "w2s_mcts" not in values["imitation"]:
        raise UserError(f"{source}: imitation: no w2s_mcts, whose settings the map's students have")
    if options.run.resolve().is_relative_to(PLACE.resolve()):
        raise UserError(f"--run {options.run}: is a part of a map; give the run that it was made of")
    for name, least in (("places", 3), ("demonstrations", 1), ("samples", 2), ("passes", 1)):
        if (level := min(getattr(options, name))) < least:
            raise UserError(f"--{name} {level}: must be at least {least}")
    if (most := max(options.demonstrations)) > left(values):
        raise UserError(f"--demonstrations {most}: {source} leaves {left(values)} training tasks that are not explored")
    for seed in seeds:
        for role in derived.ROLES:
            if not (options.run / layout.base(seed, role)).exists():
                raise UserError(
                    f"{options.run / layout.base(seed, role)}: missing; finish the run of seed {seed} first"
                )
    for cell in cells(options):
        made = students(values, options, cell, seeds[0])
        derived.check(made, run=options.run, workspace=PLACE / "cells")


def cells(options: argparse.Namespace) -> list[Cell]:
    """All of them, those with the same games and the same weak model one after the other."""
    return [
        Cell(places, demonstrations, samples)
        for places in options.places
        for demonstrations in options.demonstrations
        for samples in options.samples
    ]


@dataclass
class Playing:
    """One call: plays what no earlier one has played with the same settings at the same commit.

    Attributes:
        tuned: models that this call has tuned, or found up to date.
    """

    values: dict[str, Any]
    options: argparse.Namespace
    tuned: set[Path] = field(default_factory=set)

    def cell(self, cell: Cell, seed: int) -> list[Played]:
        """Play a cell under a seed, or read what is there.

        Raises:
            _Stopped: a stage failed.
        """
        made = students(self.values, self.options, cell, seed)
        now = commit()
        stamp = files.digest(text=repr((made, self.values["sft"], now)))
        kept = PLACE / "played" / f"{seed}-{cell.places}-{cell.demonstrations}-{cell.samples}-{stamp}.parquet"
        if not kept.exists():
            print(f"map: seed {seed}: {asdict(cell)}", flush=True)
            self.tune(cell.places, cell.demonstrations, "weak", seed)
            self.tune(cell.places, demonstrated(self.values), "strong", seed)
            folder = PLACE / "cells"
            self._play(folder, made, [f"evaluate-{group}" for group in GROUPS])
            with contextlib.chdir(folder):
                rows = list(collected(made, cell, seed, now))
            Played.write(kept, rows)
        return Played.read(kept)

    def tune(self, places: int, demonstrations: int, role: str, seed: int) -> None:
        """Tune a base of the run on so many demonstrations in games of so many places.

        Raises:
            _Stopped: a stage failed.
        """
        folder, target = PLACE / "tuning", agent(places, demonstrations, role, seed)
        if target in self.tuned:
            return
        bases = {each: self.options.run / layout.base(seed, each) for each in derived.ROLES}
        made = world(self.values, self.options, places, seed, folder, bases)
        made["experts"] = {**made["experts"], "tasks": demonstrations}
        self._play(folder, made, [f"sft@{layout.run_name(ENVIRONMENT, seed)}-{role}"])
        with files.replacing(target) as temporary:
            # Without modes: what DVC has linked from its cache is read-only.
            shutil.copytree(folder / layout.sft(ENVIRONMENT, seed, role), temporary, copy_function=shutil.copyfile)
        self.tuned.add(target)

    def _play(self, folder: Path, made: dict[str, Any], targets: Sequence[str]) -> None:
        if code := derived.play(folder, made, targets=targets, cores=self.options.cores):
            raise _Stopped(code)


if __name__ == "__main__":
    sys.exit(main())
