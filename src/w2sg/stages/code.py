"""Stage code: what each stage's outputs depend on in the source and the lock file, a small text for each.

Run as `python -m w2sg.stages.code`: the runner reads dvc.yaml and params.yaml, on which this stage does not depend.
"""

import shutil
import sys
from pathlib import Path

from w2sg.contracts.errors import UserError
from w2sg.stages.digests import Source, digest, read_pins

SOURCE, LOCK, DIGESTS = Path("src"), Path("requirements.lock"), Path("data/code")
ROLES = ("weak", "strong")


def texts(source: Source, pins: dict[str, str]) -> dict[Path, str]:
    """The digests by their place below data/code: one a stage, or one for each environment or role of it."""
    found = {}
    for stage, option in source.stages().items():
        if option == "environment":
            for name in source.environments():
                found[Path(stage, f"{name}.txt")] = digest(source, stage, environment=name, pins=pins)
        else:
            text = digest(source, stage, pins=pins)
            places = [Path(stage, f"{role}.txt") for role in ROLES] if option == "role" else [Path(f"{stage}.txt")]
            found |= dict.fromkeys(places, text)
    return found


def main() -> int:
    """Read src and requirements.lock, write data/code."""
    try:
        digests = texts(Source(SOURCE), read_pins(LOCK))
    except UserError as error:
        print(f"code: {error}", file=sys.stderr)
        return 2
    shutil.rmtree(DIGESTS, ignore_errors=True)
    for place, text in digests.items():
        (DIGESTS / place).parent.mkdir(parents=True, exist_ok=True)
        (DIGESTS / place).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
