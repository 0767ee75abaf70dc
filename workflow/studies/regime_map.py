"""Where learning from trees pays, on ALFWorld: `make map RUN=.study SEEDS="0 1 2"`.

On the bases of a run, four things are varied, every level with every other, under every seed:

    places          receptacles of a game at most: how much of it is hidden, so how much of a path that wins was luck
    demonstrations  that the weak model is tuned on, the strong one always on the run's: the gap between the two
    samples         M, of each task: how much the weak model solves that the strong one does not
    passes          over the paths: the dose

In each cell SFT strong learns from the weak model's tree by MCTS, and at the middle dose from the best of the samples
and by TreeDPO. What does not depend on the weak model is played once: as many samples of its own, the expert's paths,
and the demonstrations again, at several doses. What a seed has played is kept in docs/map/seeds, so that seeds may be
played on several machines or days; the page is made of all that are kept.

Stopped, the same call goes on with the cell where this one was. A cell that fails is told of, and left out.
"""

import argparse
import contextlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

# Numpy's parts, when they are imported, and matplotlib, when it draws, take it for a number; the figure bears no date.
os.environ.pop("SOURCE_DATE_EPOCH", None)

import derived
import regime_map_page
import workspace
from keeping import commit
from regime_map_cells import (
    ENVIRONMENT,
    GROUPS,
    PLACE,
    Levels,
    agent,
    code,
    collected,
    demonstrated,
    left,
    students,
    tuning,
)
from regime_map_cells import settings as settings_of
from w2sg.config import params
from w2sg.config.data import ROLES
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts import files, layout
from w2sg.contracts.command_line import NUMBERS, Parser, cores, status
from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures.regime_map import RegimeMap
from w2sg.evaluation.measures.regime_played import Cell, Played
from w2sg.evaluation.measures.statistics import Resampling

KEPT = Path("docs/map")
LEVELS = Levels((4, 8), (20, 60, 240), (2, 6, 12), (1, 3, 9), (1, 2, 3, 5, 9))
LEAST = Levels((3,), (1,), (2,), (1,), (1,))


def main() -> int:
    """Parse the command line, play, keep, write the page."""
    parser = Parser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--run", type=Path, default=Path(), help="workspace of a run that has bases; this folder")
    parser.add_argument("--cores", type=cores, default="all", help="as of snakemake")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seeds", **NUMBERS, help="whose bases the run has; its own")
    which.add_argument("--pool", action="store_true", help="play none, write the page of those that are kept")
    for name, levels in asdict(LEVELS).items():
        known = " ".join(map(str, levels))
        parser.add_argument(f"--{name}", **NUMBERS, default=levels, help=f"levels; {known}")
    options = parser.parse_args()
    return status("map", lambda: follow(options))


def follow(options: argparse.Namespace) -> int:
    """Play the seeds one after the other, write the page of all that are kept; Snakemake's code where a cell failed.

    Raises:
        UserError: the run lacks a base or a method, plays other games than generated ones, or no seed is kept; what is
            kept is wrong, which is told before anything is played.
    """
    kept()
    with contextlib.chdir(options.run):
        settings = params.load()
    codes: list[int] = []
    if not options.pool:
        playing = Playing(read_yaml(options.run / "params.yaml"), options.run, levels_of(options), options.cores)
        seeds = options.seeds or settings.seeds
        playing.check(seeds)
        codes = [playing.seed(seed) for seed in seeds]
    rows = kept()
    if not rows:
        raise UserError(f"{KEPT / 'seeds'}: no seed is kept; play one (--seeds {settings.seeds[0]})")
    # Of what is kept alone: the run's own seeds are those that it was last called with.
    resampling = Resampling(settings.report.resamples, settings.report.confidence, min(row.seed for row in rows))
    try:
        found = RegimeMap(rows, resampling=resampling)
    except UserError as error:
        raise UserError(f"{KEPT / 'seeds'}: {error}") from None
    regime_map_page.write(KEPT, found, commits=sorted({row.commit for row in rows}))
    print(f"{KEPT}: {len(found.cells)} cells, seeds {', '.join(map(str, found.seeds))}")
    if found.left_out:
        print(
            f"map: {len(found.left_out)} more are left out, which not all of these seeds have played", file=sys.stderr
        )
    return next(filter(None, codes), 0)


def kept() -> list[Played]:
    """The rows of all seeds that are kept.

    Raises:
        UserError: a file is not that of a seed, or is none.
    """
    # A dot: what a killed call had begun to write.
    return [row for path in sorted((KEPT / "seeds").glob("[!.]*")) for row in of_seed(path)]


def of_seed(path: Path) -> list[Played]:
    """The rows of a kept seed, 2.parquet.

    Raises:
        UserError: it has another name, or rows of another seed or none.
    """
    seed = path.name.removesuffix(".parquet")
    if not seed.isdecimal() or path.name != f"{int(seed)}.parquet":
        raise UserError(f"{path}: not the file of a seed, such as 2.parquet; move it elsewhere")
    try:
        rows = Played.read(path)
        if (found := sorted({row.seed for row in rows})) != [int(seed)]:
            raise UserError(f"{path}: has rows of seed {', '.join(map(str, found)) or 'none'}; ")
    except UserError as error:
        what = str(error).rpartition("; ")[0]
        raise UserError(f"{what}; restore it from git, or delete it and play the seed again") from None
    return rows


def levels_of(options: argparse.Namespace) -> Levels:
    """Those that were asked for.

    Raises:
        UserError: one is too low to be played.
    """
    found = Levels(**{name: tuple(sorted({*getattr(options, name)})) for name in asdict(LEVELS)})
    for name, (least,) in asdict(LEAST).items():
        if (level := getattr(found, name)[0]) < least:
            raise UserError(f"--{name} {level}: must be at least {least}")
    return found


class Stopped(Exception):
    """Snakemake has ended with a code other than 0."""

    def __init__(self, folder: Path, code: int) -> None:
        why = "without a path or a pair in its trees it has no student, else call again to go on from here"
        super().__init__(f"not played, {folder / 'logs'} says why; {why}")
        self.code = code


@dataclass
class Playing:
    """One call.

    Attributes:
        values: the parameters of the run.
        tuned: models that this call has tuned, or found up to date.
    """

    values: dict[str, Any]
    run: Path
    levels: Levels
    cores: str
    tuned: set[Path] = field(default_factory=set)

    def check(self, seeds: Sequence[int]) -> None:
        """Refuse what cannot be played, before anything is.

        Raises:
            UserError: see follow.
        """
        source, values = self.run / "params.yaml", self.values
        if ENVIRONMENT not in values["environments"]:
            raise UserError(f"{source}: environments: no {ENVIRONMENT}, on which the map is made")
        if values["environments"][ENVIRONMENT]["data_dir"]:
            raise UserError(f"{source}: environments.{ENVIRONMENT}.data_dir: the map varies generated games, so null")
        if "w2s_mcts" not in values["imitation"]:
            raise UserError(f"{source}: imitation: no w2s_mcts, whose settings the map's students have")
        if values["sft"]["lora"] or values["sft"]["optimization"] is None:
            raise UserError(f"{source}: sft: the map tunes whole models; lora null and an optimization are wanted")
        if self.run.resolve().is_relative_to(PLACE.resolve()):
            raise UserError(f"--run {self.run}: is a part of a map; give the run that it was made of")
        if (most := self.levels.demonstrations[-1]) > left(values):
            there = f"leaves {left(values)} training tasks that are not explored"
            raise UserError(f"--demonstrations {most}: {source} {there}")
        for seed in seeds:
            for base in self._bases(seed):
                if not base.exists():
                    raise UserError(f"{base}: missing; finish the run of seed {seed} first")
        self._valid(LEAST, seeds[0])
        for name, levels in asdict(self.levels).items():
            for level in levels:
                try:
                    self._valid(replace(LEAST, **{name: (level,)}), seeds[0])
                except UserError as error:
                    reason = str(error).split("\n")[0].rpartition(": ")[2]  # without the keys that it is written to
                    raise UserError(f"--{name} {level}: {reason}") from None
        self._valid(self.levels, seeds[0])

    def _valid(self, levels: Levels, seed: int) -> None:
        """Refuse levels whose cells have parameters that the pipeline would refuse."""
        for cell in levels.cells():
            made = students(self.values, self.run, levels, cell, seed)
            derived.check(made, run=self.run, workspace=PLACE / str(seed) / "cells")

    def seed(self, seed: int) -> int:
        """Play a seed and keep each of its cells at once, beside other levels and doses that an earlier call has kept.

        Returns:
            Snakemake's code at the first cell that failed; 0 where all were played.
        """
        path = KEPT / "seeds" / f"{seed}.parquet"
        settings, bases = settings_of(self.values), files.digest(*self._bases(seed))
        origin = {"settings": settings, "bases": bases, "code": self.code}
        rows = self._comparable(seed, of_seed(path), origin) if path.exists() else []
        failed = []
        for cell in self.levels.cells():
            try:
                played = self._cell(cell, seed, origin)
            except Stopped as stopped:
                print(f"map: seed {seed}: {asdict(cell)}: {stopped}", file=sys.stderr)
                failed.append(stopped.code)
                continue
            models = {(row.cell, row.model, row.passes) for row in played}
            rows = [row for row in rows if (row.cell, row.model, row.passes) not in models] + played
            Played.write(path, rows)
        return failed[0] if failed else 0

    def _comparable(self, seed: int, kept: Sequence[Played], origin: Mapping[str, str]) -> list[Played]:
        """The rows that come from the same things; says which others are dropped that this call does not play again."""
        others = {what for row in kept for what, own in origin.items() if getattr(row, what) != own}
        rows = [row for row in kept if all(getattr(row, what) == own for what, own in origin.items())]
        # A row without demonstrations is a control of several cells.
        cells = {row.cell for row in kept if row not in rows and row.demonstrations} - {*self.levels.cells()}
        if names := [f"{each.places}, {each.demonstrations}, {each.samples}" for each in sorted(cells)]:
            why = " and ".join(what for what in origin if what in others)
            print(f"map: seed {seed}: dropped, as of other {why}: {'; '.join(names)}", file=sys.stderr)
        return rows

    def _cell(self, cell: Cell, seed: int, origin: dict[str, str]) -> list[Played]:
        """Play a cell under a seed, or read what an earlier call has played of the same things."""
        made = students(self.values, self.run, self.levels, cell, seed)
        place = PLACE / str(seed)
        stamp = files.digest(text=repr((made, origin)))
        kept = place / "played" / f"{cell.places}-{cell.demonstrations}-{cell.samples}-{stamp}.parquet"
        if not kept.exists():
            print(f"map: seed {seed}: {asdict(cell)}", flush=True)
            self._tune(cell.places, cell.demonstrations, "weak", seed)
            self._tune(cell.places, demonstrated(self.values), "strong", seed)
            with workspace.claimed(place / "cells") as lock:
                now = commit()  # while it is played, the project may go on
                self._play(place / "cells", made, [f"evaluate-{group}" for group in GROUPS], lock=lock)
                with contextlib.chdir(place / "cells"):
                    rows = list(collected(self.levels, cell, seed, origin=origin, commit=now))
            Played.write(kept, rows)
        return Played.read(kept)

    def _tune(self, places: int, demonstrations: int, role: str, seed: int) -> None:
        """Tune a base of the run on so many demonstrations in games of so many places."""
        folder, target = PLACE / str(seed) / "tuning", agent(places, demonstrations, role, seed)
        if target in self.tuned:
            return
        made = tuning(self.values, self.run, places=places, demonstrations=demonstrations, seed=seed)
        with workspace.claimed(folder) as lock:
            self._play(folder, made, [f"sft@{layout.run_name(ENVIRONMENT, seed)}-{role}"], lock=lock)
            with files.replacing(target) as temporary:
                # Without modes: what DVC has linked from its cache is read-only.
                shutil.copytree(folder / layout.sft(ENVIRONMENT, seed, role), temporary, copy_function=shutil.copyfile)
        self.tuned.add(target)

    def _play(self, folder: Path, made: dict[str, Any], targets: Sequence[str], *, lock: int) -> None:
        if failed := derived.play(folder, made, targets=targets, cores=self.cores, lock=lock):
            raise Stopped(folder, failed)

    @cached_property
    def code(self) -> str:
        """Digest of what rows come from."""
        return code()

    def _bases(self, seed: int) -> list[Path]:
        return [self.run / layout.base(seed, role) for role in ROLES]


if __name__ == "__main__":
    sys.exit(main())
