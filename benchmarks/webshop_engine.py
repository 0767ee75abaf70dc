"""Our WebShop engine: time and memory to open a catalogue, and steps per second of random shoppers.

    python benchmarks/webshop_engine.py [--data FOLDER] [--products N] [--episodes N]

FOLDER holds a catalogue in the original's format; without it, one of N products is generated. The original (Flask,
BeautifulSoup and Lucene on the 1,000 products of its small catalogue, two busy cores) takes 4.2 s and 248 MB to open
and does 117 resets and 14 to 18 steps a second.
"""

import argparse
import random
import resource
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from w2sg.contracts.command_line import Parser, positive, status
from w2sg.environments.webshop.world.goals import draw_goals
from w2sg.environments.webshop.world.session import Session, Shop, open_shop


def resident() -> float:
    """The most memory that the process has held so far, in MB (Linux counts KB, macOS bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def shop_about(shop: Shop, *, episodes: int) -> dict[str, list[float]]:
    """Random shoppers who search for words of their goal; seconds of each reset and step, by the page it led to."""
    rng = random.Random(0)
    goals = draw_goals(shop.catalogue, shop.prices, random.Random(0), human=True)
    goals = goals or draw_goals(shop.catalogue, shop.prices, random.Random(0), human=False)
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(episodes):
        goal = rng.choice(goals)
        words = goal.instruction_text.split()
        start = time.perf_counter()
        session = Session(shop, goal)
        times["reset"].append(time.perf_counter() - start)
        for _ in range(10):
            searches = not session.page.clickables or rng.random() < 0.2 or session.page.has_search_bar
            query = " ".join(rng.sample(words, min(len(words), rng.randint(1, 8))))
            action = f"search[{query}]" if searches else f"click[{rng.choice(session.clickables)}]"
            start = time.perf_counter()
            session.act(action)
            times[session.page.name or "index"].append(time.perf_counter() - start)
    return times


def main() -> int:
    """Print the figures."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--products", type=positive, default=100_000)
    parser.add_argument("--episodes", type=positive, default=500)
    options = parser.parse_args()
    import nltk.stem.porter  # noqa: F401  # its import takes seconds and is the same for every catalogue

    with tempfile.TemporaryDirectory() as scratch:
        folder = options.data
        if folder is None:
            from w2sg.environments.webshop.tasks.generator import generate

            folder = Path(scratch)
            generate(folder, products=options.products, seed=0)
        before, start = resident(), time.perf_counter()
        shop = open_shop(folder, seed=0)
        opened = time.perf_counter() - start
        print(f"{len(shop.catalogue.products):,} products, opened in {opened:.1f} s")
        times = shop_about(shop, episodes=options.episodes)
    resets = times.pop("reset")
    steps = [second for seconds in times.values() for second in seconds]
    print(f"{len(resets) / sum(resets):,.0f} resets/s, {len(steps) / sum(steps):,.0f} steps/s")
    print(f"{resident():.0f} MB in all, of which {before:.0f} MB before opening")
    for page, seconds in sorted(times.items()):
        print(f"{page:<16}{1000 * sum(seconds) / len(seconds):>8.3f} ms{len(seconds):>8} steps")
    return 0


if __name__ == "__main__":
    sys.exit(status("webshop_engine", main))
