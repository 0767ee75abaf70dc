"""Stage tables and lock files, as `w2sg run` reads them."""

import contextlib
import copy
import json
import random
import shutil
from pathlib import Path
from typing import Any

from w2sg.commands.run import lock_file, stage_table
from w2sg.config.yaml_files import read_yaml

from . import hostile
from .outcomes import Case

ROOT = Path(__file__).parents[2]
LOCK = {
    "schema": "2.0",
    "stages": {
        "code": {
            "cmd": "python -m w2sg.stages.code",
            "deps": [{"path": "src", "hash": "md5", "md5": "0" * 32, "size": 3, "nfiles": 1}],
            "params": {"params.yaml": {"seeds": [0]}},
            "outs": [{"path": "data/code", "hash": "md5", "md5": "0" * 32, "size": 3}],
        }
    },
}
MARKS = (
    ":",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "${",
    "${seeds}",
    "${item.seed}",
    "matrix",
    "foreach",
    "do:",
    "cmd",
    "deps",
    "@",
)


class Kind:
    """See the package."""

    weight = 2

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        shutil.copy(ROOT / "params.yaml", folder)
        shutil.copy(ROOT / "dvc.yaml", folder)
        self._table = read_yaml(ROOT / "dvc.yaml")

    def case(self, rng: random.Random) -> Case:
        shutil.copy(ROOT / "dvc.yaml", self._folder)
        (self._folder / "dvc.lock").write_text(json.dumps(LOCK) + "\n")
        action = rng.choice(["entry", "entry", "table", "text", "bytes", "lock", "lock", "lock bytes"])
        name = "dvc.lock" if action.startswith("lock") else "dvc.yaml"
        path = self._folder / name
        if action in ("entry", "table"):
            table = copy.deepcopy(self._table)
            part = rng.choice(list(table["stages"].values())) if action == "entry" else table
            hostile.changed(rng, part, times=rng.choice([1, 2]))
            path.write_text(json.dumps(table))
        elif action == "lock":
            lock: Any = hostile.changed(rng, copy.deepcopy(LOCK), times=rng.choice([1, 2]))
            path.write_text(json.dumps(lock) + "\n")
        elif action == "text":
            path.write_text(hostile.misspelt(rng, path.read_text(), MARKS), errors="replace")
        else:
            path.write_bytes(hostile.damaged(rng, path.read_bytes()))
        return Case(action, self._read, "")  # a reference names params.yaml, what is read twice its stage

    def _read(self) -> None:
        """What `w2sg run -n` does before it looks at outputs."""
        with contextlib.chdir(self._folder):
            stages = stage_table.needed(stage_table.read(), [])
            stage_table.before(list(stages.values()))
            known, contents = lock_file.read(), lock_file.Contents()
            for name, stage in stages.items():
                if not stage.deps:
                    lock_file.reason(stage, known.get(name), contents)
