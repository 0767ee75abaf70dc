"""accelerate.yaml says how processes start, and nothing of what they compute."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from w2sg.config import params
from w2sg.contracts.errors import UserError

WRITTEN = {  # by `accelerate config`
    "compute_environment": "LOCAL_MACHINE",
    "distributed_type": "MULTI_GPU",
    "downcast_bf16": "no",
    "mixed_precision": "no",
    "num_processes": 2,
}


@pytest.fixture
def file(values: dict[str, Any], tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "accelerate.yaml"


def test_a_launcher_s_file_is_taken(file: Path) -> None:
    params.load(file.with_name("params.yaml"))
    for text in (yaml.safe_dump(WRITTEN), "mixed_precision: no\ndynamo_config: {}\n"):
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
        ("distributed_type", "FSDP", "'FSDP', which is not supported; choose MULTI_GPU"),
        ("distributed_type", "DEEPSPEED", "'DEEPSPEED', which is not supported"),
    ],
)
def test_what_would_train_another_model_is_refused(file: Path, key: str, value: object, why: str) -> None:
    file.write_text(yaml.safe_dump(WRITTEN | {key: value}))
    with pytest.raises(UserError) as told:
        params.load(file.with_name("params.yaml"))
    (line,) = str(told.value).splitlines()
    assert line.startswith(f"{file}: {key} is {why}"), line
