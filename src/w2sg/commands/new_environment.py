"""`w2sg new-environment NAME`: a folder that passes the contract test as it is, to be changed into an environment."""

import keyword
import re
from pathlib import Path

from w2sg.config.environments import FOLDER, NAMES
from w2sg.contracts.errors import UserError, shown
from w2sg.contracts.files import replacing

SKELETON = Path(__file__).parent / "skeleton"
SECTION = """\
  {name}:
    tasks: {{train: 400, seen: 8, unseen: 20}}
    boxes: 6
    max_steps: 12
    prompt: short
"""


def run(name: str) -> int:
    """Write the folder and say what to do next.

    Raises:
        UserError: the name is taken or no name of a Python package.
    """
    target = FOLDER / name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError(
            f"{shown(name)}: allowed are small letters, digits and _, a letter first, no word of Python's own"
        )
    if target.exists() or target.with_suffix(".py").exists():
        raise UserError(f"{name}: w2sg/environments has that already; there are {', '.join(NAMES)}")
    with replacing(target) as folder:
        for source in sorted(SKELETON.rglob("*.txt")):
            written = folder / source.relative_to(SKELETON).with_suffix(".py")
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(source.read_text(encoding="utf-8").replace("NAME", name), encoding="utf-8")
    print(f"{target}: a working environment of boxes; change it into yours")
    print(f"\nTo play it, put into params.yaml, below `environments:`\n\n{SECTION.format(name=name)}")
    print(f"To test it: python -m pytest tests/environments/test_contract.py -k {name}")
    return 0
