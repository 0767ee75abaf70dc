"""`make fuzz N=20000`: the counts by class; exit code 1 if an input was neither read nor refused in one line."""

import argparse
import os
import secrets
import sys
from collections import Counter

from w2sg.config import threads
from w2sg.contracts import progress_bars

from . import running
from .outcomes import ACCEPTED, BAD, REFUSED


def main() -> int:
    """Read N inputs, or one again."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("count", type=int, help="inputs, of all kinds together")
    parser.add_argument("--seed", type=int, help="of the inputs; another one each time unless given")
    parser.add_argument("--kind", choices=running.kinds(), help="this one alone")
    parser.add_argument("--number", type=int, help="this input of the kind again, in this process")
    options = parser.parse_args()
    threads.limit(1)
    progress_bars.hide()
    os.environ["HF_HUB_OFFLINE"] = "1"
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    if options.number is not None:
        for told in running.here(options.kind, seed=seed, first=options.number, count=1):
            print(f"{told.what}\n{told.outcome.kind}: {told.outcome.said}")
        return 0
    shares = {options.kind: options.count} if options.kind else running.shares(options.count)
    counts: dict[str, Counter[str]] = {}
    for kind, count in shares.items():
        counts[kind] = Counter()
        for told in running.apart(kind, seed=seed, first=0, count=count):
            counts[kind][told.outcome.kind] += 1
            if told.outcome.kind in BAD:
                repeat = f"make fuzz N=1 SEED={seed} KIND={kind} NUMBER={told.number}"
                print(f"{told.outcome.kind}: {repeat}: {told.what[:200]}\n{told.outcome.said}", flush=True)
    columns = (ACCEPTED, REFUSED, *BAD)
    print("  ".join(f"{name:>{max(len(name), 6)}}" for name in ("kind".ljust(12), *columns)))
    for kind, found in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        print("  ".join([kind.ljust(12), *(f"{found[name]:>{max(len(name), 6)}}" for name in columns)]))
    return 1 if any(found[name] for found in counts.values() for name in BAD) else 0


if __name__ == "__main__":
    sys.exit(main())
