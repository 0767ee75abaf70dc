"""accelerate.yaml says how processes start, and nothing of what they compute."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from w2sg.config import launching, params
from w2sg.contracts.errors import UserError

WRITTEN = {  # by `accelerate config`
    "compute_environment": "LOCAL_MACHINE",
    "distributed_type": "MULTI_GPU",
    "downcast_bf16": "no",
    "mixed_precision": "no",
    "num_processes": 2,
}


SPLIT = {
    "distributed_type": "FSDP",
    "fsdp_config": {
        "fsdp_activation_checkpointing": False,
        "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "fsdp_cpu_ram_efficient_loading": True,
        "fsdp_offload_params": False,
        "fsdp_reshard_after_forward": True,
        "fsdp_state_dict_type": "SHARDED_STATE_DICT",
        "fsdp_version": 2,
    },
}


@pytest.fixture
def file(values: dict[str, Any], tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "accelerate.yaml"


def test_a_launcher_s_file_is_taken(file: Path) -> None:
    params.load(file.with_name("params.yaml"))
    for text in (yaml.safe_dump(WRITTEN), yaml.safe_dump(WRITTEN | SPLIT), "mixed_precision: no\ndynamo_config: {}\n"):
        file.write_text(text)
        params.load(file.with_name("params.yaml"))


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("mixed_precision", "bf16", "'bf16', which would train otherwise than params.yaml says; write no"),
        ("mixed_precision", "fp8", "'fp8', which would train otherwise"),
        (
            "dynamo_config",
            {"dynamo_backend": "INDUCTOR"},
            "dict, which would train otherwise than params.yaml says; remove it",
        ),
        ("distributed_type", "DEEPSPEED", "'DEEPSPEED', which is not supported; choose MULTI_GPU or FSDP"),
    ],
)
def test_what_would_train_another_model_is_refused(file: Path, key: str, value: object, why: str) -> None:
    file.write_text(yaml.safe_dump(WRITTEN | {key: value}))
    with pytest.raises(UserError) as told:
        params.load(file.with_name("params.yaml"))
    (line,) = str(told.value).splitlines()
    assert line.startswith(f"{file}: {key} is {why}"), line


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("fsdp_version", 1, "1, which is not supported; write 2"),
        ("fsdp_version", None, "None, which is not supported; write 2"),
        ("fsdp_offload_params", True, "True, which is not supported; write false"),
        ("fsdp_activation_checkpointing", True, "True, which is not supported; write false"),
    ],
)
def test_of_split_weights_what_was_never_tried_is_refused(file: Path, key: str, value: object, why: str) -> None:
    file.write_text(yaml.safe_dump(WRITTEN | SPLIT | {"fsdp_config": SPLIT["fsdp_config"] | {key: value}}))
    with pytest.raises(UserError) as told:
        params.load(file.with_name("params.yaml"))
    assert str(told.value) == f"{file}: fsdp_config.{key} is {why}"


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("ACCELERATE_MIXED_PRECISION", "bf16", "'bf16' in the environment would train otherwise than params.yaml says"),
        ("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR", "'INDUCTOR' in the environment would train otherwise"),
        ("ACCELERATE_USE_DEEPSPEED", "true", "'true' in the environment would train otherwise"),
        ("ACCELERATE_USE_MEGATRON_LM", "1", "'1' in the environment would train otherwise"),
    ],
)
def test_variables_of_accelerate_that_would_train_another_model_are_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str
) -> None:
    """They reach each stage over the parameters, and no tool would see a change."""
    for harmless in ("", "no"):
        monkeypatch.setenv(name, harmless)
        params.load(file.with_name("params.yaml"))
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError) as told:
        params.load(file.with_name("params.yaml"))
    assert str(told.value).startswith(f"{name}={why}") and str(told.value).endswith("; unset it")


@pytest.mark.parametrize(
    ("ranks", "why"),
    [
        ({"LOCAL_RANK": "0"}, "LOCAL_RANK=0 in the environment is not of a launcher, which sets both; unset it"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2 in the environment is not of a launcher, which sets both; unset it"),
        ({"LOCAL_RANK": "0", "WORLD_SIZE": "two"}, "WORLD_SIZE='two' in the environment is no number; unset it"),
        ({"LOCAL_RANK": "", "WORLD_SIZE": "2"}, "LOCAL_RANK='' in the environment is no number; unset it"),
    ],
)
def test_half_of_a_launcher_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch, ranks: dict[str, str], why: str
) -> None:
    for harmless in ({}, {"WORLD_SIZE": "1"}, {"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "2"}, ranks):
        for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in harmless.items():
            monkeypatch.setenv(name, value)
        if harmless is not ranks:
            params.load(file.with_name("params.yaml"))
    with pytest.raises(UserError) as told:
        params.load(file.with_name("params.yaml"))
    assert str(told.value) == why


@pytest.mark.parametrize(("name", "value"), [("OMPI_COMM_WORLD_SIZE", "2"), ("PMI_SIZE", "two")])
def test_processes_of_mpi_are_refused_where_something_is_trained(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for harmless in ("", "1"):
        monkeypatch.setenv(name, harmless)
        launching.check_mpi()
    monkeypatch.setenv(name, value)
    params.load(file.with_name("params.yaml"))
    with pytest.raises(UserError, match=rf"^{name}='{value}' in the environment: a stage starts its processes itself"):
        launching.check_mpi()
