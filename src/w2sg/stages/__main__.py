"""Run one stage: `python -m w2sg.stages trees --environment alfworld --seed 0` (the commands of dvc.yaml)."""

import importlib
import inspect
import os
import sys
import time
from typing import Any, get_args

from w2sg.config import data, launching, params, threads
from w2sg.contracts import processes, progress_bars
from w2sg.contracts.command_line import Parser
from w2sg.contracts.errors import UserError, named, told
from w2sg.contracts.layout import EVALUATION_GROUPS
from w2sg.stages import launch

STAGES = (
    "tasks", "experts", "play", "tokenizer", "pretrain", "sft", "diversify", "explore", "embed", "trees",
    "merging", "pairs", "paths", "reference", "preference", "imitation", "evaluate", "theorem", "report",
)  # fmt: skip
SECONDS_TO_SPEAK = 3.0


def main() -> int:
    """Parse the command line, keep to the threads and GPUs that the stage table declares, run the stage."""
    progress_bars.hide()
    parser = Parser(prog="python -m w2sg.stages", description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    for option in ("environment", "role", "method", "group"):
        parser.add_argument(f"--{option}")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpu", type=int, default=1)
    options = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    stage, count, gpus = options.pop("stage"), options.pop("threads"), options.pop("gpu")
    try:
        settings = params.load()
        # DVC runs a stage again when its command changes, not when its meta does.
        if count != (declared := threads.declared(stage)):
            raise UserError(f"dvc.yaml: meta.threads is {declared}; the command must end with --threads {declared}")
        # The number of processes decides in which order sums are made, as that of threads does.
        wanted = max(1, threads.declared(stage, key="gpu")) if stage in launch.TRAINING else 1
        if gpus != wanted:
            raise UserError(f"dvc.yaml: meta.gpu is {wanted}; the command must end with --gpu {wanted}")
        if (started := processes.count()) not in (1, wanted):
            os.environ["RANK"] = "0"  # each of them says so, as they are not ours
            raise UserError(
                f"WORLD_SIZE={started} in the environment: the stage table says how many processes there are, here "
                f"{wanted}; unset it"
            )
        if stage in launch.TRAINING:
            launching.check_mpi()
        threads.limit(count)
        run = importlib.import_module(f"w2sg.stages.{stage}").main
        _check(settings, stage=stage, options=options, wanted=list(inspect.signature(run).parameters)[1:])
        if gpus > 1 and processes.count() == 1:
            return launch.side_by_side(sys.argv[1:], count=gpus)
        if gpus > 1:
            launch.take_device()
        run(settings, **options)
    except (UserError, OSError) as error:
        if processes.first():
            for line in told(error):
                print(f"{stage}: {line}", file=sys.stderr)
        else:
            time.sleep(SECONDS_TO_SPEAK)  # the launcher ends all processes when one has ended
        return 2
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which only some stages import
            raise
        print(f"{stage}: {_out_of_memory(error)}", file=sys.stderr)
        return 2
    return 0


def _out_of_memory(error: RuntimeError) -> str:
    """One line, with the keys that memory depends on."""
    first = str(error).partition(". ")[0]
    keys = "micro_tokens of its optimization, reference.batch, explore.cohort or evaluate.cohort"
    return f"{first}; lower {keys}, or use a larger device"


def _check(settings: params.Params, *, stage: str, options: dict[str, Any], wanted: list[str]) -> None:
    """Refuse options that the stage does not have, and values that the parameters do not know."""
    allowed = {
        "environment": [name for name, _ in settings.environments.items()],
        "role": get_args(data.Role),
        "method": settings.imitation if stage in ("paths", "imitation") else settings.preference,
        "group": EVALUATION_GROUPS,
    }
    if missing := [f"--{name}" for name in wanted if name not in options]:
        raise UserError(f"{', '.join(missing)}: missing")
    for name, value in options.items():
        if name not in wanted:
            raise UserError(f"--{name}: unknown; allowed are {', '.join(f'--{each}' for each in wanted) or 'none'}")
        if name in allowed and value not in allowed[name]:
            raise UserError(f"--{name} {named(str(value))}: unknown; allowed are {', '.join(allowed[name])}")


if __name__ == "__main__":
    sys.exit(main())
