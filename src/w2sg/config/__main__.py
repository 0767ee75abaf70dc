"""Whether params.yaml is right: `python -m w2sg.config` says nothing, or a line for each mistake and exits with 2."""

import sys

from w2sg.config import params
from w2sg.contracts.errors import UserError, told


def main() -> int:
    """Read params.yaml of this folder."""
    try:
        params.load()
    except (UserError, OSError) as error:
        print("\n".join(told(error)), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
