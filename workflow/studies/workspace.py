"""Make a workspace with another configuration: `python workflow/studies/workspace.py params/smoke.yaml .smoke`.

The folder gets the project's files as they are now and, as its params.yaml, the given parameters: those of a complete
file, or what an overlay makes of the file that it lies on. Its outputs and its DVC cache stay its own. Called again, it
refreshes the files and keeps the outputs, so nothing is computed twice.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from w2sg.config.overlays import merged
from w2sg.config.params import validated
from w2sg.contracts import files
from w2sg.contracts.errors import UserError


def main() -> int:
    """Merge, copy, write the parameters, say what they are."""
    if len(sys.argv) != 3:
        print("usage: python workflow/studies/workspace.py PARAMS.yaml FOLDER", file=sys.stderr)
        return 2
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        made = merged(source)
        validated(made.values, source=source)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True)
    if listed.returncode:
        said = listed.stderr.decode(errors="replace").strip().partition("\n")[0]
        print(f"{Path.cwd().name}: git cannot list the files of the project: {said}", file=sys.stderr)
        return 2
    for name in os.fsdecode(listed.stdout).split("\0"):
        file = Path(name)
        # dvc.lock records this workspace's outputs, the copy writes its own, and its own grid.
        own = name in ("dvc.lock", "params.yaml")
        own |= file.parts[:1] == ("results",) and (target / file).exists()
        if name and not own and file.is_file():
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target / file)
    files.write_text(target / "params.yaml", made.text())
    print(f"{target / 'params.yaml'}: {made.summary()}")
    if not (target / ".git").exists():
        subprocess.run(["git", "init", "--quiet", str(target)], check=True)
    return 0


def share_cache(folder: Path) -> None:
    """Let a workspace keep its outputs in this project's cache, its own or shared, and find what others have computed.

    Raises:
        UserError: DVC refuses it.
    """
    found = subprocess.run(["dvc", "cache", "dir"], capture_output=True, text=True)
    if found.returncode:
        raise UserError(f"{Path.cwd()}: DVC does not say where its cache is: {found.stderr.strip()}")
    cache = os.path.relpath(found.stdout.strip(), folder)
    command = ["dvc", "cache", "dir", "--local", "--quiet", cache]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{folder}: cannot use the cache {cache}: {done.stderr.strip()}")


if __name__ == "__main__":
    sys.exit(main())
