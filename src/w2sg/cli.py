"""The command `w2sg`: look into environments beside the pipeline."""

import argparse
import sys
from pathlib import Path

from w2sg.errors import UserError


def main() -> int:
    """Parse the command line and run one command."""
    parser = argparse.ArgumentParser(prog="w2sg", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    replay = commands.add_parser("replay", help="play games with an expert and compare with what was recorded")
    environments = replay.add_subparsers(dest="environment", required=True)
    alfworld = environments.add_parser("alfworld", help="official or generated ALFWorld game folders")
    alfworld.add_argument("--games", type=Path, required=True, help="folder that holds game.tw-pddl files at any depth")
    alfworld.add_argument("--expert", choices=["recorded", "handcoded", "planner"], default="recorded")
    alfworld.add_argument("--jobs", type=int, default=1, help="processes")
    arguments = parser.parse_args()
    try:
        from w2sg.environments.alfworld import replay as alfworld_replay

        return alfworld_replay.run(arguments.games, arguments.expert, jobs=arguments.jobs)
    except UserError as error:
        print(f"w2sg {arguments.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
