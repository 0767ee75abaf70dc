"""Run a grid over tree.breadth and dpo.beta (Table 3, Figure 5) and write results/grid.csv: `make grid`.

Each point is an experiment of DVC's (`dvc exp show` lists them as grid-…), run in a folder of its own: what the point
shares with params.yaml, exploration above all, comes from the cache. One runs at a time: DVC's queue would run several,
but leaves workers behind that a later call may wait for without end. Breadth varies at the beta of
params.yaml, from 3 to explore.samples unless --breadth says otherwise, and beta, 0.05, 0.1 and 0.5 unless --beta does,
at its breadth. Only w2s_dpo and w2s_mcts are trained. Where a breadth is above explore.samples, all points share an
exploration of so many samples, whose first ones have the same settings and random numbers.

Experiments start from a commit: the project must lie in a git repository that has one. Called again, it goes through
all points again, out of the cache where nothing has changed.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import snakemake_dvc
from w2sg.config import params
from w2sg.config.params import Params
from w2sg.config.rosters import TREELESS_PAIRS, TREELESS_PATHS
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts import files, layout
from w2sg.contracts.command_line import NUMBERS, Once, Parser, from_zero, status
from w2sg.contracts.episodes import Episode, read_episodes
from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures import csv_files, grid
from w2sg.evaluation.measures.episodes import GroupedEpisodes
from w2sg.evaluation.measures.statistics import Resampling

BETAS = (0.05, 0.1, 0.5)
LEAST_BREADTH = 3
ROSTERS = ("preference", "imitation")
CHANGED = ("tree", "dpo", "explore", *ROSTERS, "theorem")
PARAMS, LOGS = Path("params.yaml"), Path("logs")


@dataclass(frozen=True)
class Run:
    """One point, in all environments and under all seeds.

    Attributes:
        name: of the experiment.
        samples: explored for each task, for all points as many.
        groups: what must be evaluated: beta concerns the preference methods alone.
    """

    samples: int
    breadth: int
    beta: float
    groups: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"grid-breadth{self.breadth}-beta{self.beta!r}".replace(".", "_")

    def changed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of the point: one method of each kind is left in the rosters."""
        made = dict(values)
        made["tree"] = {**values["tree"], "breadth": self.breadth}
        made["dpo"] = {**values["dpo"], "beta": self.beta}
        made["explore"] = {**values["explore"], "samples": self.samples}
        for roster in ROSTERS:
            made[roster] = {name: method for name, method in values[roster].items() if name in grid.MODELS}
        made["theorem"] = {**values["theorem"], "method": "w2s_dpo", "superior": "w2s_dpo"}
        return made

    def command(self, values: Mapping[str, Any]) -> list[str]:
        """The call that runs it, with what `changed` changes."""
        made, changes = self.changed(values), []
        for section in CHANGED:
            for name, value in values[section].items():
                if name not in made[section]:
                    changes.append(f"~{section}.{name}")
                elif made[section][name] != value:
                    changes.append(f"{section}.{name}={made[section][name]}")
        options = [word for change in changes for word in ("--set-param", change)]
        words = ["exp", "run", "--temp", "--name", self.name, *options, *(f"evaluate-{g}" for g in self.groups)]
        return [sys.executable, *snakemake_dvc.__path__, "dvc", *words]  # killed, it leaves no half of params.yaml


def main() -> int:
    """Queue, run, wait, collect."""
    parser = Parser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--breadth", **NUMBERS, help="tree breadths; 3 to explore.samples")
    parser.add_argument(
        "--beta", type=from_zero, nargs="+", action=Once, metavar="B", default=BETAS, help="values of dpo.beta"
    )
    chosen = parser.parse_args()
    return status("grid", lambda: follow(chosen))


def follow(chosen: argparse.Namespace) -> int:
    """Check, run, collect.

    Raises:
        UserError: see `plan`, `check_points`, `check_repository`; an experiment failed.
    """
    values = read_yaml(PARAMS)
    settings = params.validated(values, source=PARAMS)
    runs = plan(settings, breadths=chosen.breadth, betas=chosen.beta)
    check_points(runs, values)
    check_repository()
    run_all(runs, values)
    collect(runs, settings)
    print(f"{layout.GRID}: {len(runs)} points")
    return 0


def plan(settings: Params, *, breadths: Sequence[int] | None, betas: Sequence[float]) -> list[Run]:
    """The points, the configuration's own first.

    Raises:
        UserError: a breadth is out of range, two values of beta are too close to each other, or a method that the grid
            is about is missing or not reached.
    """
    own, beta = settings.tree.breadth, settings.dpo.beta
    samples = settings.explore.samples
    if missing := [name for name in grid.MODELS if name not in {**settings.preference, **settings.imitation}]:
        raise UserError(f"params.yaml: the rosters lack {missing[0]}, which the grid is about")
    wanted = sorted({own, *(breadths or range(min(LEAST_BREADTH, samples), samples + 1))})
    if wanted[0] < 2:
        raise UserError(f"--breadth {wanted[0]}: must be at least 2")
    if any(value <= 0 for value in betas):
        raise UserError(f"--beta {min(betas):g}: must be above 0")
    in_order = sorted({beta, *betas})
    for one, other in pairwise(in_order):
        if len({f"{each:.{csv_files.DIGITS}g}" for each in (one, other)}) == 1:
            digits = f"{layout.GRID} holds {csv_files.DIGITS} digits, in which they are the same"
            raise UserError(f"--beta: {one!r} and {other!r}, that of {PARAMS} counted: {digits}; leave one out")
    check_axes(settings, breadths={*wanted} - {own}, betas={*betas} - {beta})
    most = max(samples, wanted[-1])
    runs = [Run(most, breadth, beta, ROSTERS) for breadth in sorted(wanted, key=lambda breadth: breadth != own)]
    return runs + [Run(most, own, value, ROSTERS[:1]) for value in in_order if value != beta]


def check_axes(settings: Params, *, breadths: Collection[int], betas: Collection[float]) -> None:
    """Refuse points that could only repeat a model, because its own settings keep the parameter from it.

    Raises:
        UserError: there are some.
    """
    chosen = {name: method for name, method in settings.preference.items() if name in grid.MODELS}
    for name, method in chosen.items() if betas else ():
        if method.dpo:
            wanted = f"let it be null, or vary the breadth alone (--beta {settings.dpo.beta:g})"
            raise UserError(f"params.yaml: preference.{name}.dpo: dpo.beta does not reach its own training; {wanted}")
    imitating = {name: method for name, method in settings.imitation.items() if name in grid.MODELS}
    data: list[tuple[str, str, Sequence[str], str]] = []
    data += [(f"preference.{name}", method.data, TREELESS_PAIRS, "tree") for name, method in chosen.items()]
    data += [(f"imitation.{name}", method.data, TREELESS_PATHS, "mcts") for name, method in imitating.items()]
    for key, kind, treeless, right in data if breadths else ():
        if kind in treeless:
            wanted = f"write {right}, or vary beta alone (--breadth {settings.tree.breadth})"
            raise UserError(f"params.yaml: {key}.data: tree.breadth changes nothing of {kind}; {wanted}")


def check_points(runs: Sequence[Run], values: Mapping[str, Any]) -> None:
    """Refuse what an experiment would, before the first one starts.

    Raises:
        UserError: the parameters of a point are wrong.
    """
    for run in runs:
        # Each with samples enough for itself alone, so that the breadth that wants too many is the one that is named.
        alone = replace(run, samples=max(values["explore"]["samples"], run.breadth))
        try:
            params.validated(alone.changed(values), source=PARAMS)
        except UserError as error:
            first = str(error).split("\n")[0].removeprefix(f"{PARAMS}: ")
            raise UserError(f"--breadth {run.breadth} --beta {run.beta!r}: {first}") from None


def check_repository() -> None:
    """Experiments start from a commit, and write their output into a folder.

    Raises:
        UserError: there is none, or what makes them is not installed.
    """
    if missing := [name for name in ("git", "dvc") if shutil.which(name) is None]:
        raise UserError(f"{missing[0]}: not found, and experiments need it; install it, or add its folder to PATH")
    if LOGS.exists() and not LOGS.is_dir():
        raise UserError(f"{LOGS}: a file, where experiments' output goes; move it elsewhere")
    done = subprocess.run(["git", "rev-parse", "--verify", "--quiet", "HEAD"], capture_output=True)
    if done.returncode:
        raise UserError("not in a git repository with a commit, which experiments start from; git init, add and commit")


def run_all(runs: Sequence[Run], values: Mapping[str, Any]) -> None:
    """Run the experiments one after the other; what they print goes to logs/NAME.log.

    Raises:
        UserError: one failed.
    """
    listed = subprocess.run(["dvc", "exp", "list", "--name-only"], capture_output=True, text=True).stdout.split()
    LOGS.mkdir(exist_ok=True)
    for number, run in enumerate(runs, start=1):
        print(f"{run.name} ({number} of {len(runs)})", flush=True)
        if run.name in listed:  # of an earlier grid; what it computed stays in the cache
            removed = subprocess.run(["dvc", "exp", "remove", "--quiet", run.name], stderr=subprocess.PIPE, text=True)
            if removed.returncode:
                raise UserError(f"{run.name}: an earlier one cannot be removed: {removed.stderr.strip()}")
        log = LOGS / f"{run.name}.log"
        with log.open("w", encoding="utf-8") as file:
            done = subprocess.run(run.command(values), stdout=file, stderr=subprocess.STDOUT)
        if done.returncode:
            raise UserError(f"{run.name} failed; its output is in {log}")


def collect(runs: Sequence[Run], settings: Params) -> None:
    """Read every point's episodes and tree quality out of its experiment and write the rows."""
    points = [
        grid.GridPoint(environment, run.breadth, run.beta, *_results(run, environment, settings.seeds))
        for run in runs
        for environment in settings.environments.names
    ]
    resampling = Resampling(settings.report.resamples, settings.report.confidence, settings.seeds[0])
    rows = grid.rows(
        points,
        name=grid.configuration(settings.model_dump(mode="json")),
        breadth=settings.tree.breadth,
        beta=settings.dpo.beta,
        resampling=resampling,
    )
    grid.write(layout.GRID, rows)


def _results(run: Run, environment: str, seeds: Sequence[int]) -> tuple[GroupedEpisodes, list[Any]]:
    from dvc.api import DVCFileSystem

    store = DVCFileSystem(rev=run.name)
    episodes: list[Episode] = []
    qualities = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        for seed in seeds:
            for group in run.groups:
                copy.write_bytes(store.read_bytes(str(layout.episodes(environment, seed, group))))
                episodes += read_episodes(copy)
            copy.write_bytes(store.read_bytes(str(layout.tree_quality(environment, seed))))
            qualities.append(files.read_json(copy)["summary"])
    return GroupedEpisodes(episodes), qualities


if __name__ == "__main__":
    sys.exit(main())
