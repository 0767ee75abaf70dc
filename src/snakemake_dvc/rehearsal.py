"""What a stage would make now, without making it: its command runs in a copy of its declared inputs."""

import copy
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snakemake_dvc.jobs import environment_of_jobs, redirected
from snakemake_dvc.patches import DvcOutput, DvcStage, run_command_of
from snakemake_dvc.stages import BridgeError, one_line_errors, overlap


class Rehearsal:
    """The rehearsals of one plan, each in a folder of its own below `folder`, which is whoever's made it to remove."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Path] = {}  # outputs made here, by their path in the workspace

    def __call__(self, stage: DvcStage, coming: Mapping[str, DvcOutput]) -> list[DvcOutput]:
        """Run the stage's command; its outputs, with the hashes and the content they have got.

        `coming` are outputs, by path, of which the workspace does not have what the stage would find: they are made by
        an earlier rehearsal or are in the cache. Raises BridgeError when the command fails.
        """
        from dvc.fs import localfs
        from dvc.ignore import DvcIgnoreFilter
        from dvc_data.hashfile.build import build

        root = Path(stage.repo.root_dir)
        if outside := [out for out in stage.outs if not out.is_in_repo]:
            raise BridgeError(f"its output {outside[0]} is outside of the repository")
        self._folder.mkdir(parents=True, exist_ok=True)
        # As deep as the repository, so that a path out of it stays within what is made here.
        scratch = Path(tempfile.mkdtemp(dir=self._folder)).joinpath(*root.parts[1:])
        scratch.mkdir(parents=True)
        for dep in stage.deps:
            self._bring(dep, coming, root, scratch)
        for out in stage.outs:
            place = scratch / Path(out.fs_path).relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            if out.persist and out.exists:
                self._bring(out, {}, root, scratch)
        if (root / ".dvcignore").exists():
            shutil.copy2(root / ".dvcignore", scratch)
        self._run(stage, scratch, scratch / Path(stage.wdir).relative_to(root))
        ignore = DvcIgnoreFilter(localfs, str(scratch))
        outs = []
        for out in stage.outs:
            place = scratch / Path(out.fs_path).relative_to(root)
            if not place.exists():
                raise BridgeError(f"its command does not make {out}")
            made = copy.copy(out)
            odb = out.cache if out.use_cache else out.local_cache
            _, made.meta, made.obj = build(odb, str(place), localfs, out.hash_name, ignore=ignore, dry_run=True)
            made.hash_info = made.obj.hash_info
            self._made[out.fs_path] = place
            outs.append(made)
        return outs

    def _bring(self, item: DvcOutput, coming: Mapping[str, DvcOutput], root: Path, scratch: Path) -> None:
        """Copy an input to its place in the scratch folder; one outside of the repository is found by a link there."""
        if item.protocol != "local":
            return
        if not Path(item.fs_path).is_relative_to(root):
            if not os.path.isabs(item.def_path) and not os.path.lexists(place := _place_outside(item, root, scratch)):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(item.fs_path)
            return
        # What DVC does not see is no input: .dvcignore, and .git, .dvc where the input is the whole repository.
        for name in item.dvcignore.find(item.fs, item.fs_path) if os.path.isdir(item.fs_path) else [item.fs_path]:
            if os.path.exists(name):
                _copy(Path(name), scratch / Path(name).relative_to(root))
        for path, out in coming.items():
            if overlap(item.fs_path, path):
                place = scratch / Path(path).relative_to(root)
                _remove(place)
                if path in self._made:
                    _copy(self._made[path], place)
                else:
                    _check_out(out, place)

    def _run(self, stage: DvcStage, scratch: Path, wdir: Path) -> None:
        """What the command prints is shown to nobody but its last line, if it fails."""
        wdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile() as screen:
            nothing = os.open(os.devnull, os.O_RDONLY)
            said = os.dup(screen.fileno())
            try:
                with environment_of_jobs(), redirected({0: nothing, 1: said, 2: said}), one_line_errors():
                    run_command_of(stage, root=str(scratch), wdir=str(wdir))
            except BridgeError as error:
                screen.seek(0)
                lines = screen.read().decode(errors="replace").split("\n")
                last = next((line.strip() for line in reversed(lines) if line.strip()), "")
                raise BridgeError(f"{error}{last and f' ({last})'}") from error


def _place_outside(item: DvcOutput, root: Path, scratch: Path) -> Path:
    """Where a command finds an input that its stage names by a path out of the repository."""
    return Path(os.path.normpath(scratch / Path(item.stage.wdir).relative_to(root) / item.def_path))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _check_out(out: DvcOutput, place: Path) -> None:
    """Put an output that the cache holds to another place than its own."""
    from dvc.fs import localfs
    from dvc_data.hashfile.checkout import checkout

    content: Any = out.get_obj()
    place.parent.mkdir(parents=True, exist_ok=True)
    checkout(str(place), localfs, content, out.cache, force=True, quiet=True)
