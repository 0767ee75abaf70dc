"""DVC with less waiting, for many short processes: the same, sooner (benchmarks/pipeline_overhead.py has the times).

It changes inner functions of DVC in this process; tests/workflow/test_overhead.py says what must hold of any version.
"""

import contextlib
import copy
import functools
from collections.abc import Iterator
from typing import Any


@functools.cache
def hurry() -> None:
    """Wait for DVC's lock in short steps, and read no YAML text twice; for the rest of this process."""
    import dvc.lock
    from dvc.utils import strictyaml
    from dvc.utils.serialize import _yaml

    dvc.lock.DEFAULT_TIMEOUT = 0.3  # looks every 50 ms; its own 500 ms would idle short stages

    # Half of a plan went into reading params.yaml twice for each stage, and half of a job into reading dvc.lock.
    parse = functools.lru_cache(maxsize=8)(_yaml.parse_yaml)

    def parse_once(text: str, path: str, typ: str = "safe") -> Any:
        return copy.deepcopy(parse(text, path, typ))

    _yaml.parse_yaml = strictyaml.parse_yaml = parse_once
    # What is updated is dvc.lock, with no comments that the slow way of reading would keep.
    _yaml.parse_yaml_for_update = parse_once


@contextlib.contextmanager
def hashing_unlocked() -> Iterator[None]:
    """Within it, DVC hashes what a command made before it takes its lock again, and under the lock only looks it up."""
    import dvc.stage.run

    run_command = dvc.stage.run.cmd_run

    def run_and_hash(stage: Any, **options: Any) -> None:
        run_command(stage, **options)
        for out in stage.outs:
            if out.exists:
                out.get_hash()

    dvc.stage.run.cmd_run = run_and_hash
    try:
        yield
    finally:
        dvc.stage.run.cmd_run = run_command
