"""Whether this machine has a GPU for each process that the stage table asks for."""

import sys

import torch

from w2sg.contracts.errors import UserError


def check_cards(stage: str, *, count: int) -> None:
    """See that there is a GPU for each process; without any they share the processor, and a line says so.

    Raises:
        UserError: the machine has GPUs, but fewer.
    """
    if torch.cuda.is_available() and torch.cuda.device_count() < count:
        raise UserError(f"dvc.yaml: meta.gpu is {count}, and this machine has {torch.cuda.device_count()} GPUs")
    if not torch.cuda.is_available():
        print(f"{stage}: torch sees no GPU; {count} processes share the processor", file=sys.stderr)
