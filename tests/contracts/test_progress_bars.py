"""No library fills the log of a stage or of a command with a progress bar."""

import os
import subprocess
import sys

import pytest

from w2sg.contracts.progress_bars import VARIABLES

# Each library's own way to a bar: tqdm's, that of transformers for GGUF files, the hub's, that of datasets.
BARS = """
import sys
sys.argv = ["main", "--help"]
from w2sg.stages.__main__ import main
try:
    main()
except SystemExit:
    pass
from tqdm.auto import tqdm
list(tqdm(range(3), desc="bar of tqdm"))
from transformers import modeling_gguf_pytorch_utils
list(modeling_gguf_pytorch_utils.tqdm(range(3), desc="bar of gguf"))
from transformers.utils import logging
list(logging.tqdm(range(3), desc="bar of transformers"))
from huggingface_hub.utils import tqdm
list(tqdm(range(3), desc="bar of the hub", disable=False))
from datasets import Dataset
Dataset.from_list([{"a": 1}]).map(lambda row: row, desc="bar of datasets")
"""
COMMAND = f"""
import os, sys
sys.argv = ["main", "--help"]
from w2sg.commands.__main__ import main
try:
    main()
except SystemExit:
    pass
libraries = {{"tqdm", "transformers", "huggingface_hub", "datasets"}}
print(bool(libraries & set(sys.modules)), *(os.environ[name] for name in {VARIABLES}))
"""


@pytest.mark.parametrize("shown", [True, False])
def test_bars(shown: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    if shown:  # that the bars above would be seen
        environment |= {
            "TQDM_DISABLE": "",
            "HF_HUB_DISABLE_PROGRESS_BARS": "0",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "0",
        }
    done = subprocess.run([sys.executable, "-c", BARS], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("tqdm", "gguf", "transformers", "the hub", "datasets"):
        assert (f"bar of {name}" in done.stderr) is shown, done.stderr


def test_a_command_hides_them_as_a_stage_does() -> None:
    """It sets what the stage above sets, before any library that looks at it is there."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run([sys.executable, "-c", COMMAND], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded, *values = done.stdout.splitlines()[-1].split()
    assert (loaded, values) == ("False", ["1"] * len(VARIABLES))
