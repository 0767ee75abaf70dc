"""accelerate.yaml: how the processes of one training stage are started. What they compute is params.yaml's to say."""

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
