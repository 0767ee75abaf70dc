"""accelerate.yaml: how the processes of one training stage are started. What they compute is params.yaml's to say."""

import os
from pathlib import Path

from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.errors import UserError, shown

# What accelerate would hand to every process, over the parameters and unseen by any stage; and what says nothing.
OF_PARAMETERS: dict[str, tuple[object, ...]] = {
    "mixed_precision": ("no", False, None),
    "dynamo_config": ({}, None),
    "fp8_config": ({}, None),
}
KINDS = ("NO", "MULTI_GPU", "MULTI_CPU", "FSDP", None)
# Of FSDP, what these stages were not made for: the older version, weights that lie on the host, and blocks that are
# computed twice, which each training decides by the memory it has.
OF_SPLIT: dict[str, tuple[object, ...]] = {
    "fsdp_version": (2,),
    "fsdp_offload_params": (False, None),
    "fsdp_activation_checkpointing": (False, None),
}

# What accelerate would read from the environment of a stage in the same way; in small letters.
OF_ENVIRONMENT = {
    "ACCELERATE_MIXED_PRECISION": ("", "no"),
    "ACCELERATE_DYNAMO_BACKEND": ("", "no"),
    "ACCELERATE_USE_DEEPSPEED": ("", "0", "false", "no"),
    "ACCELERATE_USE_MEGATRON_LM": ("", "0", "false", "no"),
}
OF_MPI = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def check_environment() -> None:
    """Refuse variables of accelerate with which the same parameters would train another model, or none.

    Raises:
        UserError: one of them says so.
    """
    for name, nothing in OF_ENVIRONMENT.items():
        if (found := os.environ.get(name, "")).lower() not in nothing:
            raise UserError(
                f"{name}={shown(found)} in the environment would train otherwise than params.yaml says; unset it"
            )
    ranks = {name: os.environ[name] for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE") if name in os.environ}
    for name, value in ranks.items():
        if not value.isdigit():
            raise UserError(f"{name}={shown(value)} in the environment is no number; unset it")
    if ("LOCAL_RANK" in ranks) != ("WORLD_SIZE" in ranks) and ranks.get("WORLD_SIZE") != "1":
        alone = "LOCAL_RANK" if "LOCAL_RANK" in ranks else "WORLD_SIZE"
        raise UserError(f"{alone}={ranks[alone]} in the environment is not of a launcher, which sets both; unset it")


def check_mpi() -> None:
    """Refuse variables of MPI with which a training would wait for processes that nobody has started.

    Raises:
        UserError: there are several.
    """
    for name in OF_MPI:
        if (found := os.environ.get(name, "")) not in ("", "1"):
            raise UserError(
                f"{name}={shown(found)} in the environment: a stage starts its processes itself (`gpu` in dvc.yaml); "
                "unset it"
            )


def check(path: Path) -> None:
    """Refuse a file with which the same parameters would train another model.

    Raises:
        UserError: it is no YAML, asks for DeepSpeed or for kinds of FSDP that these stages were not made for, or sets a
            precision or a compiler.
    """
    if not path.is_file():
        return
    values = read_yaml(path)
    for key, nothing in OF_PARAMETERS.items():
        if (found := values.get(key)) not in nothing:
            raise UserError(
                f"{path}: {key} is {shown(found)}, which would train otherwise than params.yaml says; "
                f"{'write no' if key == 'mixed_precision' else 'remove it'} (`precision` is a key of each training)"
            )
    if (found := values.get("distributed_type")) not in KINDS:
        raise UserError(f"{path}: distributed_type is {shown(found)}, which is not supported; choose MULTI_GPU or FSDP")
    if found == "FSDP":
        split = values.get("fsdp_config")
        for key, right in OF_SPLIT.items():
            if (value := split.get(key) if isinstance(split, dict) else None) not in right:
                remedy = f"write {str(right[0]).lower()}"
                raise UserError(f"{path}: fsdp_config.{key} is {shown(value)}, which is not supported; {remedy}")
