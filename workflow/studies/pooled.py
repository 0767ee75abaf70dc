"""The report of several seeds, each played elsewhere or earlier, from their archives alone.

What the report reads is what dvc.yaml says that it depends on: here no file has a name.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from archives import unpack, within
from seeds import Record
from w2sg.commands.run import stage_table
from w2sg.commands.run.stage_table import PARAMS, TABLE, Stage
from w2sg.contracts import files


def outputs(values: Mapping[str, Any], seed: int) -> list[str]:
    """What stages write for this seed or for all of them, and the report depends on; sorted.

    Args:
        values: the parameters, whose own seeds do not count.
    """
    report, outs = _stages({**values, "seeds": [seed]})
    return sorted(out for out in outs if any(within(out, dep) for dep in report.deps))


def report(
    archives: Path,
    kept: Mapping[int, Record],
    values: Mapping[str, Any],
    *,
    text: str,
    folder: Path,
    instead: Mapping[str, str],
) -> int:
    """Make the report of the seeds that are kept, with the project's code; the exit code of its stage.

    Args:
        archives: where the archives lie.
        values: the parameters, whose own seeds do not count.
        text: the same as a file, with the seeds that are kept.
        folder: is replaced; it has the results below it as any workspace does.
        instead: texts of files that the report takes for those of the project, by their names.

    Raises:
        UserError: see `archives.unpack`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    unpack(archives, list(kept.values()), {seed: outputs(values, seed) for seed in kept}, into=folder)
    stage, outs = _stages(values)
    own = [dep for dep in stage.deps if not any(within(dep, out) or within(out, dep) for out in outs)]
    for name in (str(TABLE), *own):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name in instead:
            files.write_text(folder / name, instead[name])
        else:
            shutil.copy2(name, folder / name)
    files.write_text(folder / PARAMS, text)
    (folder / "src").symlink_to(Path("src").resolve())
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return subprocess.run(stage.command, shell=True, cwd=folder, env=os.environ | {"PATH": path}).returncode


def _stages(values: Mapping[str, Any]) -> tuple[Stage, list[str]]:
    """The report, and what all stages before it write."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(TABLE, folder)
        (Path(folder) / PARAMS).write_text(yaml.safe_dump(dict(values)), encoding="utf-8")
        with contextlib.chdir(folder):
            stages = stage_table.read()
    (report,) = (stage for stage in stages if stage.name == "report")
    return report, [out for stage in stages if stage is not report for out in stage.outs]
