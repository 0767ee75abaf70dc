"""What past edits of the source would have made stale: `python benchmarks/invalidation_history.py FIRST LAST`.

For every commit after FIRST up to LAST that touched src/, the share of stages whose code counts as changed, under four
ways of counting. Every stage is counted once, with all environments. docs/decisions.md has the table.
"""

import ast
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from statistics import fmean

from w2sg.contracts.command_line import Parser, status
from w2sg.contracts.errors import UserError
from w2sg.stages import digests
from w2sg.stages.digests import Source, tree_hash

# The configuration layer, and where it lay before config/ was a package.
CONFIGURATION = (
    "config",
    "params",
    "consistency",
    "sections",
    "rosters",
    "yaml_files",
    "threads",
    "environments.settings",
)


def bytes_of(content: bytes) -> str:
    """A file as it is."""
    return hashlib.blake2b(content).hexdigest()


@cache
def meaning_of(content: bytes) -> str:
    """A module as the digests take it."""
    return tree_hash(ast.parse(content))


# How a module counts, and which modules are left out.
WAYS: dict[str, tuple[Callable[[bytes], str], tuple[str, ...]]] = {
    "bytes of the files": (bytes_of, ()),
    "bytes, without the configuration layer": (bytes_of, CONFIGURATION),
    "syntax trees": (meaning_of, ()),
    "syntax trees, without the configuration layer": (meaning_of, CONFIGURATION),
}


def states(folder: Path) -> dict[str, dict[str, frozenset[str]]]:
    """What the code of each stage comes to in one tree of the source, by way of counting."""
    source = Source(folder)
    return {
        way: {stage: _state(source, stage, value, left_out) for stage in source.stages()}
        for way, (value, left_out) in WAYS.items()
    }


def _state(source: Source, stage: str, value: Callable[[bytes], str], left_out: tuple[str, ...]) -> frozenset[str]:
    digests.CONFIGURATION = tuple(f"w2sg.{name}" for name in left_out)
    modules = source.closure(f"w2sg.stages.{stage}")
    data = {f"{path} {content}" for name in modules for path, content in source.module(name).data.items()}
    return frozenset({f"{name} {value(source.path(name).read_bytes())}" for name in modules} | data)


def commits(first: str, last: str) -> Iterator[str]:
    """Commits after `first` up to `last` that touched src/, oldest first, merges left out as they repeat them."""
    command = ["git", "log", "--no-merges", "--reverse", "--format=%H", f"{first}..{last}", "--", "src"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not done.stdout:
        raise UserError(f"{first}..{last}: no commits of this repository that touched src/")
    yield from done.stdout.split()


def state_at(commit: str) -> dict[str, dict[str, frozenset[str]]]:
    """`states` of the source at a commit."""
    packed = subprocess.check_output(["git", "archive", commit, "src"])
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
        return states(Path(folder, "src"))


def main() -> int:
    """Print the table."""
    parser = Parser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("first")
    parser.add_argument("last")
    arguments = parser.parse_args()
    stale: dict[str, list[float]] = {way: [] for way in WAYS}
    for commit in commits(arguments.first, arguments.last):
        before, after = (state_at(each) for each in (f"{commit}^", commit))
        for way in WAYS:
            shared = [stage for stage in after[way] if stage in before[way]]
            stale[way].append(fmean(after[way][stage] != before[way][stage] for stage in shared))
    print("| what counts | commits that make all stages stale | mean share of stages stale |\n|---|---:|---:|")
    for way, shares in stale.items():
        print(f"| {way} | {sum(share == 1 for share in shares)} of {len(shares)} | {fmean(shares):.0%} |")
    return 0


if __name__ == "__main__":
    sys.exit(status("invalidation_history", main))
