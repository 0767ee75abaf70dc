"""Stage code: what each stage's outputs depend on besides its inputs and parameters, a small text for each.

The stage that reads a folder outside of the project has its content (stage outside) in the text as well.

Run as `python -m w2sg.stages.code`: the runner reads dvc.yaml, on which this stage cannot depend.
"""

import shutil
import sys
from pathlib import Path

from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.errors import UserError, told
from w2sg.stages.digests import Source, digest, read_pins

SOURCE, LOCK, DIGESTS, PARAMS = Path("src"), Path("requirements.lock"), Path("data/code"), Path("params.yaml")
CONTENTS = Path("data/outside")  # as the stage outside writes them
ROLES = ("weak", "strong")
# The digests that an entry of `outside` goes into, by its name: an environment's, a base's, the embedder's.
READERS = ("tasks/{}.txt", "pretrain/{}.txt", "{}/*.txt")


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
    """Read src, requirements.lock and data/outside, write data/code."""
    try:
        digests = texts(Source(SOURCE), read_pins(LOCK))
        for name in read_yaml(PARAMS).get("outside") or {}:
            content = (CONTENTS / f"{name}.txt").read_text(encoding="utf-8")
            for place in digests:
                if any(place.match(reader.format(name)) for reader in READERS):
                    digests[place] += content
    except (UserError, OSError) as error:
        for line in told(error):
            print(f"code: {line}", file=sys.stderr)
        return 2
    shutil.rmtree(DIGESTS, ignore_errors=True)
    for place, text in digests.items():
        (DIGESTS / place).parent.mkdir(parents=True, exist_ok=True)
        (DIGESTS / place).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
