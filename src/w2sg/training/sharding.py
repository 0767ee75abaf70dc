"""Weights that the processes of one stage share out between them (FSDP2), as accelerate.yaml asks.

accelerate splits the model when training begins. Before it every process has the whole model; after it the first one,
which writes.
"""

import copy
import os

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import MixedPrecisionPolicy

from w2sg.contracts import processes


def split() -> bool:
    """Whether weights are to be split between processes, which accelerate launch says in the environment."""
    return processes.count() > 1 and os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def policy(*, half: bool) -> MixedPrecisionPolicy:
    """The type in which the gathered weights of a block are computed with; gradients are added up in single precision.

    accelerate's own would add them up in bfloat16.
    """
    return MixedPrecisionPolicy(param_dtype=torch.bfloat16 if half else None, reduce_dtype=torch.float32)


def skeleton(model: torch.nn.Module) -> torch.nn.Module:
    """A copy without weights: its parameters are on the meta device, its buffers are copied."""
    empty = {
        id(weight): torch.nn.Parameter(torch.empty_like(weight, device="meta"), requires_grad=weight.requires_grad)
        for weight in model.parameters()
    }
    return copy.deepcopy(model, empty)


def gather(split: torch.nn.Module, whole: torch.nn.Module) -> None:
    """Give the skeleton of the first process the weights of the model that was split, on the processor.

    Every process calls it; the skeletons of the others stay empty.
    """
    weights = get_model_state_dict(split, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if not processes.first():
        return
    names = dict(whole.named_parameters(remove_duplicate=False))
    found: dict[int, torch.nn.Parameter] = {}  # one for all names of a tied weight, of which the other has one or all
    for name, empty in names.items():
        if id(empty) not in found and isinstance(weight := weights.get(name), torch.Tensor):
            found[id(empty)] = torch.nn.Parameter(weight, requires_grad=empty.requires_grad)
    for name, empty in names.items():
        module, _, last = name.rpartition(".")
        setattr(whole.get_submodule(module), last, found[id(empty)])
    whole.to("cpu")
