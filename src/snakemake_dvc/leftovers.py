"""What killed processes leave beside the files that they were about to write."""

import contextlib
import glob
import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from snakemake_dvc.files import beside
from snakemake_dvc.stages import LOCK, Stage
from snakemake_dvc.writes import Repo, cache_folder, forget_the_dead, is_of_the_dead


def remove_leftovers(repo: Repo, stages: Iterable[Stage], *, busy: Collection[str]) -> None:
    """Take away what nobody will finish; DVC's lock must be held.

    That is DVC's notes on the dead, its temporary files and, beside an output NAME of a stage of which nothing lives,
    files and folders called `.NAME.*.tmp`.
    """
    forget_the_dead(repo)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside(LOCK))
    folders = {cache_folder(repo)}
    for stage in stages:
        for out in stage.outs:
            parent, name = os.path.split(out)
            folders |= {parent, out}
            if stage.name not in busy:
                for left in Path(parent).glob(f".{glob.escape(name)}.*.tmp"):
                    remove(str(left))
    for folder in folders:
        for top, _, names in os.walk(folder):
            for name in names:
                if name.endswith(".tmp") and is_of_the_dead(path := os.path.join(top, name)):
                    remove(path)


def remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)
