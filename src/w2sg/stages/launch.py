"""Several processes of one training stage, one a GPU, as `gpu: N` in its meta says (docs/cluster.md).

By torch's own launcher, as torchrun; or, where accelerate.yaml lies beside dvc.yaml, by `accelerate launch` with it.
Where there is no GPU, the processes share the processor.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from w2sg.contracts import processes

TRAINING = ("pretrain", "sft", "diversify", "preference", "imitation")
CONFIGURATION = Path("accelerate.yaml")


def take_device() -> None:
    """Let one process of several work on its own GPU before anything is asked of any."""
    import torch

    if processes.count() > 1 and torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))


def side_by_side(words: Sequence[str], *, count: int) -> int:
    """Run `python -m w2sg.stages WORDS` as `count` processes that train together; the exit code.

    Raises:
        UserError: the machine has GPUs, but fewer.
    """
    from w2sg.stages.cards import check_cards  # torch, which a stage imports when its threads are limited

    check_cards(words[0], count=count)
    if CONFIGURATION.is_file():
        launcher = (
            "-m",
            "accelerate.commands.launch",
            "--config_file",
            str(CONFIGURATION),
            "--num_processes",
            f"{count}",
        )
        # Precision and compilers are for params.yaml to say; accelerate would guess what its file leaves out.
        plain = ("--mixed_precision", "no", "--dynamo_backend", "no")
        command = (sys.executable, *launcher, *plain, "--module", "w2sg.stages", *words)
        return subprocess.run(command, check=False).returncode
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # The first process tells the user what is wrong; the launcher would add a page.
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    one_machine = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id=f"w2sg-{'-'.join(words)}",
        max_restarts=0,
    )
    try:
        elastic_launch(one_machine, sys.executable)("-m", "w2sg.stages", *words)
    except ChildFailedError as error:
        return max(failure.exitcode for failure in error.failures.values()) or 1
    return 0
