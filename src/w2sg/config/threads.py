"""Threads: the stage table declares them, Snakemake schedules them, torch and worker pools use just as many."""

import os
from pathlib import Path

from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.errors import UserError, shown


def declared(stage: str, *, key: str = "threads", table: Path = Path("dvc.yaml")) -> int:
    """Threads of a stage as the stage table declares them (`meta: {threads: …}`), or its `gpu`; 1 where it does not.

    Raises:
        UserError: there is no stage table here, or it declares something that is no number.
    """
    stages = read_yaml(table).get("stages")
    # `evaluate --group sft` is the stage evaluate-sft of the table; its siblings declare the same.
    found = [1]
    for name, entry in stages.items() if isinstance(stages, dict) else ():
        if name == stage or name.startswith(f"{stage}-"):
            meta = entry.get("meta") if isinstance(entry, dict) else None
            count = meta.get(key, 1) if isinstance(meta, dict) else 1
            if type(count) is not int or count < 0:
                raise UserError(f"{table}: stages.{name}.meta.{key} is {shown(count)}; write a whole number, 0 or more")
            found.append(count)
    return max(found[1:], default=1)


def limit(count: int) -> None:
    """Keep the numeric libraries of this process, and those it starts, to `count` threads; call before importing them.

    Two jobs with torch's default of all cores each were 4.3 times slower than with their share; and another number of
    threads sums in another order, so the bytes of a model depend on it.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = str(count)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
