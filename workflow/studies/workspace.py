"""Make a workspace with another configuration: `python workflow/studies/workspace.py params/smoke.yaml .smoke`.

The folder gets the project's files as they are now and the given parameters; its outputs and its DVC cache stay its
own. Called again, it refreshes the files and keeps the outputs, so nothing is computed twice.
"""

import shutil
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Copy, then swap the parameters."""
    if len(sys.argv) != 3 or not Path(sys.argv[1]).is_file():
        print(
            "usage: python workflow/studies/workspace.py PARAMS.yaml FOLDER (PARAMS.yaml must exist)", file=sys.stderr
        )
        return 2
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.split("\0"):
        file = Path(name)
        # dvc.lock records this workspace's outputs, the copy writes its own, and its own grid.
        own = name == "dvc.lock" or (file.parts[:1] == ("results",) and (target / file).exists())
        if name and not own and file.is_file():
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target / file)
    shutil.copy2(source, target / "params.yaml")
    if not (target / ".git").exists():
        subprocess.run(["git", "init", "--quiet", str(target)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
