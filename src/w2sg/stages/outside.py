"""Stage outside: the content of a folder that no stage makes, as one line.

Run as a script, `outside.py NAME FOLDER`: it comes before the stage `code`, whose digests tell the others of it, and so
depends on its one file and imports nothing of the package.
"""

import hashlib
import os
import sys
from pathlib import Path

CONTENTS = Path("data/outside")


def bytes_hash(path: Path) -> str:
    """Hash of a file, or of a folder's files and their names, compiled modules left out."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    state = hashlib.blake2b(digest_size=8)
    for file in files:
        if "__pycache__" not in file.parts:
            with file.open("rb") as content:
                own = hashlib.file_digest(content, "blake2b").hexdigest()
            state.update(os.fsencode(file.relative_to(path)) + f"\0{own}\n".encode())
    return state.hexdigest()


def main() -> int:
    """Read the folder, write data/outside/NAME.txt."""
    name, folder = sys.argv[1:]
    if not Path(folder).is_dir():
        print(f"outside: params.yaml: outside.{name}: {folder} is no folder", file=sys.stderr)
        return 2
    CONTENTS.mkdir(parents=True, exist_ok=True)
    (CONTENTS / f"{name}.txt").write_text(f"outside {name} {bytes_hash(Path(folder))}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
