"""What a search of every tree of a file costs, beside the search node by node that tests compare it with.

    python benchmarks/search.py data/trees/alfworld-0.pkl [--iterations N] [--gamma X]

docs/budget.md has what came out. What is left is a microsecond an iteration: four to six UCBs of a tenth each, and
the sums.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from w2sg.contracts.command_line import Parser, positive, status
from w2sg.trees import mcts
from w2sg.trees.tree import load

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.trees import plain_search


def main() -> int:
    """Print the figures; exit with 1 where the two searches differ."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", type=Path)
    parser.add_argument("--iterations", type=positive, default=1000)
    parser.add_argument("--gamma", type=float, default=1.41)
    options = parser.parse_args()
    trees = load(options.trees).values()
    found, milliseconds = [], []
    for search in (plain_search.search, mcts.search):
        rng = np.random.default_rng(0)
        start = time.process_time()
        found.append([search(tree, gamma=options.gamma, iterations=options.iterations, rng=rng) for tree in trees])
        milliseconds.append(1000 * (time.process_time() - start) / len(trees))
    one, other = milliseconds
    print(f"{len(trees)} trees: {one:.2f} ms a tree node by node, {other:.2f} ours, {one / other:.1f} times less")
    print("the same counts" if found[0] == found[1] else "NOT the same counts")
    return 0 if found[0] == found[1] else 1


if __name__ == "__main__":
    sys.exit(status("search", main))
