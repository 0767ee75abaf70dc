"""In which type weights are held and matrices multiplied."""

import sys
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:  # else benchmarks/gpu.py would need pydantic
    from w2sg.config.training import Lora, Optimization


def native_bf16() -> bool:
    """Whether the GPU, or else the processor, multiplies bfloat16 matrices in hardware."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Private in torch 2.13; where a later version drops one of them, "auto" falls back to single precision.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, bool)() for probe in probes)


def mixed(optimization: "Optimization") -> bool:
    """Whether matrices are multiplied in bfloat16 while a model is trained."""
    return optimization.precision == "bf16" or (optimization.precision == "auto" and native_bf16())


def trained_as(optimization: "Optimization", lora: "Lora | None") -> torch.dtype:
    """The type of the weights that training starts from.

    Adapters learn in single precision beside weights that stay as they are, and those may be in bfloat16. Weights that
    are trained themselves are in single precision: an update is often smaller than a step of bfloat16.
    """
    return torch.bfloat16 if lora is not None and mixed(optimization) else torch.float32


def played_as(stored: torch.dtype | None) -> torch.dtype:
    """The type of the weights of a model that plays or scores, from that in which they are stored.

    Half precision where the hardware has bfloat16, else single. (float16, as LLaMA-2 is stored, overflows in training.)
    """
    half = stored in (torch.bfloat16, torch.float16)
    return torch.bfloat16 if half and native_bf16() else torch.float32


def warn_of_emulation(optimization: "Optimization", *, name: str) -> None:
    """Say in one line that bfloat16 is asked for where it is emulated."""
    if optimization.precision == "bf16" and not native_bf16():
        print(
            f"{name}: warning: precision is bf16, which this machine emulates, some 50 times slower; "
            "precision: auto takes fp32 here",
            file=sys.stderr,
        )
