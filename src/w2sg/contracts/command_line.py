"""Command lines whose mistakes are one line, as all mistakes are."""

import argparse
from typing import NoReturn

from w2sg.contracts.errors import named


class Parser(argparse.ArgumentParser):
    """A parser that tells a mistake in one line, without the usage before it, and echoes little of what was typed."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(2, f"{self.prog}: {' '.join(named(word) for word in message.split())}; see {self.prog} --help\n")
