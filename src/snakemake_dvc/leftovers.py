"""What killed processes leave beside the files that they were about to write."""

import contextlib
import glob
import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from snakemake_dvc.files import beside
from snakemake_dvc.stages import LOCK, Stage
from snakemake_dvc.writes import Repo, cache_folder, forget_the_dead, is_of_the_dead, lives

# Git's references to an experiment under way.
EXPERIMENT = ("refs/exps/exec/EXEC_BASELINE", "refs/exps/exec/EXEC_MERGE")


def remove_leftovers(repo: Repo, stages: Collection[Stage], *, busy: Collection[str]) -> None:
    """Take away what nobody will finish; DVC's lock must be held.

    That is DVC's notes on the dead, its temporary files and, beside an output NAME of a stage of which nothing lives,
    files and folders called `.NAME.*.tmp`.
    """
    forget_the_dead(repo)
    folders = {cache_folder(repo)}
    written = {LOCK, *(os.path.join(os.path.dirname(out), ".gitignore") for stage in stages for out in stage.outs)}
    for path in map(beside, written):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
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


def killed_experiment(repo: Repo) -> str | None:
    """The line about a `dvc exp run` that was killed in the workspace; None if there is no sign of one.

    DVC puts aside in git's stash what is not committed, sets the parameters, both for moments, and works on a detached
    HEAD.
    """
    from scmrepo.git import Git

    scm = repo.scm
    if not isinstance(scm, Git):
        return None
    signs = []
    if not str(scm.get_ref("HEAD", follow=False)).startswith("refs/"):
        signs.append("`git switch --force BRANCH`, as HEAD is detached")
    if len(scm.stash):
        signs.append("`git stash pop`, if what was not committed is missing")
    if not signs or not (any(map(scm.get_ref, EXPERIMENT)) or _died_with_the_workspace(repo)):
        return None
    return f"a `dvc exp run` is at work in this folder, or was killed: then {' and '.join(signs)}"


def _died_with_the_workspace(repo: Repo) -> bool:
    notes = Path(repo.tmp_dir) / "exps/rwlock"
    try:
        return not lives(json.loads(notes.read_text())["write"]["workspace"]["pid"], at=notes.stat().st_mtime)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)
