"""Threads: the stage table declares them, Snakemake schedules them, torch and worker pools use just as many."""

import os
from pathlib import Path

from w2sg.config.yaml_files import read_yaml


def declared(stage: str, *, key: str = "threads", table: Path = Path("dvc.yaml")) -> int:
    """Threads of a stage as the stage table declares them (`meta: {threads: …}`), or its `gpu`; 1 where it does not.

    Raises:
        UserError: there is no stage table here.
    """
    stages = read_yaml(table).get("stages") or {}
    # `evaluate --group sft` is the stage evaluate-sft of the table; its siblings declare the same.
    names = [name for name in stages if name == stage or name.startswith(f"{stage}-")]
    return max((int((stages[name].get("meta") or {}).get(key, 1)) for name in names), default=1)


def limit(count: int) -> None:
    """Keep the numeric libraries of this process, and those it starts, to `count` threads; call before importing them.

    Two jobs with torch's default of all cores each were 4.3 times slower than with their share; and another number of
    threads sums in another order, so the bytes of a model depend on it.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = str(count)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
