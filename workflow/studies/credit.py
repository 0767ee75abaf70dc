"""What single steps of the paths are worth, and how much of them was luck: `make credit RUN=.scratch`.

Of the run in a workspace, finished as far as its paths, tasks are taken that the strong model fails by itself and the
weak one solves in M samples. From before and after every step of the best of the samples and of e*, a model of the run
plays to the end, K times: in the hidden state that was recorded, and, in generated ALFWorld games, in K others that
are drawn from those that agree with what was seen before the step. Criterion (f) of the register asks for the share of
steps after which it does no worse (w2sg.evaluation.measures.credit). Writes docs/credit.

Stopped, the next call goes on where this one was: finished cohorts lie in the workspace's .resume until it is done.
"""

import argparse
import contextlib
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import credit_page
from credit_paths import chosen, outcomes, plan, starts
from w2sg.agents import rollout
from w2sg.agents.continuation import play_on
from w2sg.agents.policies import TransformersPolicy
from w2sg.config import params
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.command_line import Once, Parser, from_zero, status, whole
from w2sg.contracts.errors import UserError
from w2sg.environments.alfworld import settings as alfworld
from w2sg.environments.alfworld.redraw import Redraws
from w2sg.environments.opener import opener
from w2sg.environments.prompts import prompt
from w2sg.evaluation.measures.credit import PathCredit, credits
from w2sg.evaluation.measures.statistics import Resampling
from w2sg.training import bases
from workspace import held

KEPT = Path("docs/credit")
MOST_SAMPLES = 12  # all exchanges of two sides are counted, 2 to this
MODELS = ("sft_weak", "sft_strong", "base_weak", "base_strong")
CODE = Path(__file__).resolve().parents[2] / "src" / "w2sg"


@dataclass
class Study:
    """Plays one run's continuations; its working folder is the run's workspace.

    Attributes:
        stores: folders of finished cohorts.
    """

    settings: Params
    options: argparse.Namespace
    stores: list[Path] = field(default_factory=list)

    def measure(self, environment: str, seed: int) -> list[PathCredit]:
        """Choose paths, play on from around their steps; what came of it."""
        settings, options = self.settings, self.options
        paths = chosen(settings, environment=environment, seed=seed, most=options.tasks)
        checkpoint = layout.model(environment, seed, options.model)
        own = settings.environment(environment)
        store = rollout.store(
            f"credit-{layout.run_name(environment, seed)}-{options.model}",
            checkpoint,
            layout.tasks(environment),
            layout.games(environment),
            CODE / "agents",
            CODE / "environments" / environment,
            settings=(
                own,
                (settings.explore.cohort, settings.explore.max_new_tokens),
                (options.tasks, options.samples, options.temperature, options.top_p),
            ),
        )
        self.stores.append(store)
        hidden = isinstance(own, alfworld.Settings) and own.data_dir is None
        folder = store / "games" if hidden else layout.games(environment)
        redraws = Redraws(layout.games(environment), folder) if hidden else None
        planned = list(plan(paths, samples=options.samples, redraws=redraws))
        wanted = starts(planned)
        print(f"{environment}, seed {seed}: {len(paths)} paths, {len(wanted)} continuations", flush=True)
        if not wanted:
            return []
        text = prompt(environment, style=own.prompt)
        played = play_on(
            TransformersPolicy(*bases.load(checkpoint)),
            opener(environment, settings, folder=folder),
            wanted,
            temperature=options.temperature,
            top_p=options.top_p,
            name=options.model,
            prompt=text,
            seed=seed,
            cohort=settings.explore.cohort,
            max_new_tokens=settings.explore.max_new_tokens,
            store=store,
        )
        return outcomes(planned, dict(zip(wanted, played, strict=True)), prompt=text)


def main() -> int:
    """Parse the command line, measure, write the tables."""
    options = _options()
    return status("credit", lambda: follow(options))


def follow(options: argparse.Namespace) -> int:
    """Measure, write the tables, drop what is kept of the play.

    Raises:
        UserError: the run lacks an environment or what is to be judged, the tables cannot be written, or see `held`.
    """
    kept = options.output.absolute()
    _check_writable(options.output)
    # A workspace is held; the project itself is nobody's.
    lock = contextlib.nullcontext() if options.run.resolve() == Path.cwd() else held(options.run)
    with lock, contextlib.chdir(options.run):
        settings = params.load()
        names = settings.environments.names
        if unknown := [name for name in options.environments or () if name not in names]:
            raise UserError(f"--environments {unknown[0]}: the run has {', '.join(names)}")
        study = Study(settings, options)
        paths = [
            path
            for name in options.environments or names
            for seed in settings.seeds
            for path in study.measure(name, seed)
        ]
        if not paths:
            raise UserError(f"{options.run}: no task that the weak model alone solves, so there is no path to judge")
        resampling = Resampling(settings.report.resamples, settings.report.confidence, settings.seeds[0])
        found = credits(paths, resampling=resampling)
    credit_page.write(kept, found, paths, options=options)
    for store in study.stores:
        shutil.rmtree(options.run / store, ignore_errors=True)
    print(f"{options.output}: {len(paths)} paths")
    return 0


def _check_writable(folder: Path) -> None:
    """Refuse where the tables could not be written, before hours of play.

    Raises:
        UserError: it is no folder, or may not be written to.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"--output {folder}: {there} is no folder that can be written to; name another one")
    if taken := [folder / name for name in credit_page.FILES if (folder / name).is_dir()]:
        raise UserError(f"--output {folder}: {taken[0]} is a folder, and a table is to have its place; move it away")


def _options() -> argparse.Namespace:
    parser = Parser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--run", type=Path, default=Path(), help="workspace of a run; this folder")
    parser.add_argument("--environments", nargs="+", action=Once, metavar="NAME", help="of the run; all")
    parser.add_argument("--tasks", type=whole, default=40, help="most tasks an environment and seed; 40")
    parser.add_argument("--samples", type=whole, default=4, help="continuations from each place; 4")
    parser.add_argument("--model", choices=MODELS, default="sft_weak", help="who plays on; sft_weak")
    parser.add_argument("--temperature", type=from_zero, default=1.0, help="of the sampling; 1")
    parser.add_argument("--top-p", type=from_zero, default=1.0, help="of the sampling; 1")
    parser.add_argument("--output", type=Path, default=KEPT, help=f"where the tables go; {KEPT}")
    options = parser.parse_args()
    if options.tasks < 1:
        parser.error(f"--tasks {options.tasks}: allowed is 1 or more")
    if not 1 <= options.samples <= MOST_SAMPLES:
        parser.error(f"--samples {options.samples}: allowed is 1 to {MOST_SAMPLES}")
    if not options.temperature or not 0 < options.top_p <= 1:
        parser.error(
            f"--temperature {options.temperature} --top-p {options.top_p}: allowed are above 0, and above 0 to 1"
        )
    return options


if __name__ == "__main__":
    sys.exit(main())
