"""Run one stage: `python -m w2sg.stages trees --environment alfworld --seed 0` (the commands of dvc.yaml)."""

import argparse
import importlib
import sys

from w2sg import params, threads
from w2sg.errors import UserError

STAGES = (
    "tasks", "experts", "play", "tokenizer", "pretrain", "sft", "explore", "embed", "trees", "pairs", "paths",
    "reference", "preference", "imitation", "evaluate", "report",
)  # fmt: skip


def main() -> int:
    """Parse the command line, keep to the threads that the stage table declares, run the stage."""
    parser = argparse.ArgumentParser(prog="python -m w2sg.stages", description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    for option in ("environment", "role", "kind", "method", "group"):
        parser.add_argument(f"--{option}")
    parser.add_argument("--seed", type=int)
    options = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    stage = options.pop("stage")
    try:
        settings = params.load()
        threads.limit(threads.declared(stage))
        importlib.import_module(f"w2sg.stages.{stage}").main(settings, **options)
    except UserError as error:
        for line in str(error).splitlines():
            print(f"{stage}: {line}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
