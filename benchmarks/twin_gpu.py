"""The twin on a GPU without a network: `python benchmarks/twin_gpu.py [--cores 2]` in a folder that was prepared.

docs/models.md says how the folder is prepared. Says first what is missing, what will be done and how long that takes,
then runs the stages that are stale (`w2sg run`). Stopped, it goes on where it was.

The seconds of a stage are estimates for one H100: training from a measurement (SFT with 12 epochs of 100 demonstrations
43 and 52 s), play from 20 ms a token that a whole cohort writes, 90 tokens a turn (the longest of a cohort), 25 turns.
"""

import argparse
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

sys.path.insert(0, "src")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, ("src", os.environ.get("PYTHONPATH"))))
os.environ["HF_HUB_OFFLINE"] = "1"
# A cache that grows leaves blocks behind that are too small for it, and a neighbour on the card cannot have them.
os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")

from w2sg.commands.run import lock_file, schedule, stage_table
from w2sg.commands.run.stage_table import Stage
from w2sg.config import params
from w2sg.config.packages import PACKAGES
from w2sg.contracts.command_line import Parser, positive, status
from w2sg.contracts.errors import UserError
from w2sg.training import package_files

# Start, import and loading of models; the work beyond that where it counts.
START = 20.0
SECONDS = {"pretrain": 40, "sft": 50, "preference": 30, "imitation": 30, "reference": 10, "embed": 10, "theorem": 60}
TURN = 25 * 90 * 0.020  # seconds of a cohort's episodes


def seconds(stage: Stage, settings: params.Params) -> float:
    """What a stage takes, alone on the card."""
    kind = stage.name.partition("@")[0]
    judged = settings.evaluate.seen + settings.evaluate.unseen
    episodes = {
        "explore": [settings.explore.tasks * settings.explore.samples],
        "evaluate-base": [judged] * 2,
        "evaluate-sft": [judged] * 2,
        "evaluate-preference": [judged] * len(settings.preference),
        "evaluate-imitation": [judged] * len(settings.imitation),
        "evaluate-inference": [judged * method.samples for method in settings.inference.values()],
    }.get(kind, [])
    cohort = settings.explore.cohort if kind == "explore" else settings.evaluate.cohort
    return START + SECONDS.get(kind, 0) + TURN * sum(-(-count // cohort) for count in episodes)


def stale(stages: dict[str, Stage]) -> list[str]:
    """Stages that will run, or may have to, in their order."""
    entries, contents, found = lock_file.read(), lock_file.Contents(), []
    earlier = stage_table.before(list(stages.values()))
    waiting = list(stages)
    done: set[str] = set()
    while waiting:
        name = next(each for each in waiting if earlier[each] <= done)
        waiting.remove(name)
        done.add(name)
        if earlier[name] & set(found) or lock_file.reason(stages[name], entries.get(name), contents):
            found.append(name)
    return found


def length(stages: dict[str, Stage], names: list[str], settings: params.Params, *, cores: int) -> float:
    """Seconds until all have run, so many side by side, each as fast as alone."""
    earlier = stage_table.before(list(stages.values()))
    ends: dict[str, float] = {}
    free = [0.0] * cores
    for name in names:
        place = free.index(min(free))
        ready = max((ends.get(each, 0.0) for each in earlier[name]), default=0.0)
        ends[name] = free[place] = max(free[place], ready) + seconds(stages[name], settings)
    return max(ends.values(), default=0.0)


def missing(names: list[str], settings: params.Params) -> list[str]:
    """What these stages need and this machine has not, a line each."""
    found = []
    digests = [path for name in {name.partition("@")[0].partition("-")[0] for name in names} for path in _digests(name)]
    lines = {line for path in digests for line in path.read_text(encoding="utf-8").splitlines()}
    for library in sorted(line.split()[1] for line in lines if line.startswith("library ")):
        try:
            version(library)
        except PackageNotFoundError:
            found.append(f"the package {library}")
    for role in ("weak", "strong"):
        package = PACKAGES.get(getattr(getattr(settings.models, role), "base", ""))
        trained = any(name.startswith("pretrain@") and name.endswith(f"-{role}") for name in names)
        if package is not None and trained and not package_files.is_here(package):
            found.append(f"{package_files.place(package)} (`w2sg models --fetch {package.base}`)")
    return found


def _digests(stage: str) -> list[Path]:
    folder = Path("data/code")
    return [path for path in (folder / f"{stage}.txt", *sorted((folder / stage).glob("*.txt"))) if path.is_file()]


def main() -> int:
    """Look, say, run."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=positive, default=2, help="stages side by side, which share the card's memory")
    parser.add_argument("-n", "--dry-run", action="store_true", help="only look and say")
    options = parser.parse_args()
    settings = params.load()
    stages = stage_table.needed(stage_table.read(), ())
    names = stale(stages)
    kinds = [name.partition("@")[0] for name in names]
    print(f"{len(names)} stages to run, {options.cores} side by side:")
    for kind in dict.fromkeys(kinds):
        each = [seconds(stages[name], settings) for name in names if name.partition("@")[0] == kind]
        print(f"  {kind:20} {len(each)} x {max(each):.0f} s")
    total = length(stages, names, settings, cores=options.cores)
    print(f"some {total / 60:.0f} minutes on one H100, estimated", flush=True)
    if lacking := missing(names, settings):
        raise UserError(f"not here: {'; '.join(lacking)}")
    return 0 if options.dry_run else schedule.run(cores=options.cores, dry=False)


if __name__ == "__main__":
    sys.exit(status("twin_gpu", main))
