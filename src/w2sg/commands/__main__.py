"""The command `w2sg`: what this machine can run, and a look into the environments beside the pipeline."""

import argparse
import sys
from pathlib import Path

from w2sg.contracts.errors import UserError
from w2sg.contracts.records import SPLITS


def main() -> int:
    """Parse the command line and run one command."""
    arguments = parser().parse_args()
    try:
        return _run(arguments)
    except UserError as error:
        for line in str(error).splitlines():
            print(f"w2sg {arguments.command}: {line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="w2sg", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="what works on this machine, what is missing, and the remedy")

    play = commands.add_parser("play", help="watch an agent on one task, or play it")
    play.add_argument("environment", help="its name in params.yaml")
    who = play.add_mutually_exclusive_group()
    who.add_argument("--model", type=Path, metavar="DIR", help="checkpoint that plays; without it, the expert does")
    who.add_argument("--human", action="store_true", help="you play")
    play.add_argument("--split", choices=SPLITS, default="unseen")
    play.add_argument("--number", type=int, default=0, help="task of the split, from 0")
    play.add_argument("--temperature", type=float, default=0.0, help="of the model; 0 is greedy")
    play.add_argument("--seed", type=int, default=0)

    replay = commands.add_parser("replay", help="replay recorded or expert episodes and compare")
    environments = replay.add_subparsers(dest="environment", required=True)
    alfworld = environments.add_parser("alfworld", help="official or generated ALFWorld game folders")
    alfworld.add_argument("--games", type=Path, required=True, help="folder that holds game.tw-pddl files at any depth")
    alfworld.add_argument("--expert", choices=["recorded", "handcoded", "planner"], default="recorded")
    alfworld.add_argument("--jobs", type=int, default=1, help="processes")
    scienceworld = environments.add_parser("scienceworld", help="the simulator's own solutions, each played twice")
    scienceworld.add_argument("--tasks", default="all", metavar="NAME[,NAME]", help="experiments; all without it")
    scienceworld.add_argument("--variations", type=int, default=3, metavar="N", help="of each, spread over its range")
    webshop = environments.add_parser("webshop", help="recordings of the original: goals, episodes, searches, rewards")
    webshop.add_argument("--data", type=Path, required=True, metavar="DIR", help="catalogue and recordings")
    return root


def _run(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "doctor":
            from w2sg.commands import doctor

            return doctor.run()
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
    match arguments.environment:
        case "alfworld":
            from w2sg.environments.alfworld import replay as alfworld_replay

            return alfworld_replay.run(arguments.games, arguments.expert, jobs=arguments.jobs)
        case "scienceworld":
            from w2sg.environments.scienceworld import replay as scienceworld_replay

            return scienceworld_replay.run(arguments.tasks, arguments.variations)
        case "webshop":
            from w2sg.environments.webshop import replay as webshop_replay

            return webshop_replay.run(arguments.data)
    raise AssertionError(arguments.environment)


if __name__ == "__main__":
    sys.exit(main())
