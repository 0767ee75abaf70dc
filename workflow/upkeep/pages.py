"""What all pages have in common that are kept equal to what they are made of: they are compared, or written."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from w2sg.contracts import files
from w2sg.contracts.command_line import Parser, status


def main(name: str, make: Callable[[], Mapping[Path, str]], *, source: str, about: str | None) -> int:
    """Parse the command line of `name`.py, compare or write what `make` makes of `source`.

    Args:
        about: the text of the module.

    Returns:
        0; 1 where a file differs and is not to be written; 2 where what it is made of is wrong.
    """
    parser = Parser(description=(about or "").partition(": ")[0])
    parser.add_argument("--write", action="store_true", help="write what differs, which else is told with exit code 1")
    options = parser.parse_args()
    return status(name, lambda: _follow(options, name, make(), source))


def _follow(options: argparse.Namespace, name: str, wanted: Mapping[Path, str], source: str) -> int:
    differing = [path for path, text in wanted.items() if not path.exists() or path.read_bytes() != text.encode()]
    for path in differing:
        if options.write:
            files.write_text(path, wanted[path])
        else:
            print(f"{path}: differs from {source}; run `python workflow/upkeep/{name}.py --write`", file=sys.stderr)
    return int(bool(differing) and not options.write)
