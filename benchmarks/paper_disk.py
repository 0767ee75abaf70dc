"""Disk of a configuration, LLaMA-2 7B and 13B, counted: `python benchmarks/paper_disk.py [params/paper.yaml]`.

The first table has models, of all environments under one seed: adapters as the stages keep them, in single precision
(without adapters, all weights), and what merged copies in single precision would take. A base of the hub is a
reference; its files, in half precision, are in the hub's own cache. The second has what is played and made of it, by
the sizes of the default's run: its episodes are shorter than those of full-size games, and of small models.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gpu import CARD, Sizes
from paper_hours import NAMES, configuration

from w2sg.config.params import Params
from w2sg.config.training import Lora
from w2sg.contracts.command_line import Parser, status

WEAK, STRONG = CARD
SINGLE, HALF = 4, 2
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
FEEDFORWARD = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Kept:
    """Bytes of the default's run (dvc.lock; 120 explored tasks, 6 samples of each of two models, 140 judged tasks).

    Attributes:
        explored: an episode that was explored.
        embedded, grown: embeddings and trees, for an episode of the weak model.
        paired, scored: pairs and their reference, for a task and a method of preference.
        paths: for a task and a method of imitation.
        judged: an episode of the evaluation, or the best of several.
    """

    explored: int
    embedded: int
    grown: int
    paired: int
    scored: int
    paths: int
    judged: int


KEPT = {
    "alfworld": Kept(explored=144, embedded=2880, grown=1564, paired=250, scored=119, paths=176, judged=236),
    "scienceworld": Kept(explored=74, embedded=635, grown=628, paired=132, scored=52, paths=92, judged=124),
    "webshop": Kept(explored=242, embedded=2965, grown=2033, paired=305, scored=66, paths=124, judged=291),
}


def weights(model: Sizes) -> int:
    """Parameters of a LLaMA-2: what every token passes, embeddings, head, and norms."""
    return model.body + 2 * model.vocabulary * model.hidden + (2 * model.layers + 1) * model.hidden


def adapters(model: Sizes, lora: Lora) -> int:
    """Parameters of its adapters: two narrow matrices beside each one that they go to."""
    targets = ATTENTION + FEEDFORWARD if lora.all_linear else lora.targets
    widths = {name: 2 * model.hidden for name in ATTENTION}
    widths |= {name: model.hidden + model.feedforward for name in FEEDFORWARD}
    return model.layers * lora.r * sum(widths[target] for target in targets)


def models(settings: Params, environments: int) -> Iterator[tuple[str, float, float]]:
    """Each kind of checkpoint with its bytes as merged copies and as they are kept, under one seed."""

    def both(model: Sizes, loras: list[Lora | None]) -> tuple[float, float]:
        whole = SINGLE * weights(model)
        kept = sum(whole if lora is None else SINGLE * adapters(model, lora) for lora in loras)
        return environments * len(loras) * whole, environments * kept

    cache = HALF * (weights(WEAK) + weights(STRONG))
    yield "the hub's cache, once for all projects", cache, cache
    yield "both bases: copies, references", SINGLE * (weights(WEAK) + weights(STRONG)), 0.0
    for role, model in (("weak", WEAK), ("strong", STRONG)):
        # With neither settings nor training the base counts as the model after SFT.
        yield f"SFT {role}", *both(model, [settings.sft.lora] if settings.sft.optimization else [])
    preference = [(method.dpo or settings.dpo).lora for method in settings.preference.values()]
    yield f"preference, {len(preference)}", *both(STRONG, preference)
    imitation = [(method.imitate or settings.imitate).lora for method in settings.imitation.values()]
    yield f"imitation, {len(imitation)}", *both(STRONG, imitation)


def made(settings: Params, name: str) -> Iterator[tuple[str, float, int]]:
    """Each kind of table with its bytes a task, and how many tasks, in one environment under one seed."""
    kept, tasks = KEPT[name], settings.environment(name).tasks
    explored = min(settings.explore.tasks, tasks.train)
    samples, methods = settings.explore.samples, len(settings.preference)
    yield "explore", samples * len(settings.explore.roles) * kept.explored, explored
    yield "embed", samples * kept.embedded, explored
    yield "trees", samples * kept.grown, explored
    yield "pairs", methods * kept.paired, explored
    yield "reference", methods * kept.scored, explored
    yield "paths", len(settings.imitation) * kept.paths, explored
    rows = 4 + methods + len(settings.imitation) + len(settings.inference)
    judged = min(settings.evaluate.seen, tasks.seen) + min(settings.evaluate.unseen, tasks.unseen)
    yield "evaluate", rows * kept.judged, judged


def main() -> int:
    """Print both tables."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("params", type=Path, nargs="?", default=Path("params/paper.yaml"))
    settings, chosen = configuration(parser.parse_args().params)
    count = {1: "one environment", 2: "two environments", 3: "three environments"}[len(chosen)]
    print(f"| GB, {count}, one seed | merged copies | adapters |\n|---|---:|---:|")
    rows = list(models(settings, len(chosen)))
    for kind, merged, kept in rows:
        print(f"| {kind} | {merged / 1e9:,.1f} | {kept / 1e9:.1f} |")
    merged, kept = (sum(row[column] for row in rows) for column in (1, 2))
    print(f"| **sum** | {merged / 1e9:,.1f} | {kept / 1e9:.1f} |\n")

    print(f"| KB a task (MB in all) | {' | '.join(NAMES[name] for name in chosen)} |\n|---|{'---:|' * len(chosen)}")
    columns = [list(made(settings, name)) for name in chosen]
    for row in zip(*columns, strict=True):
        cells = [f"{size / 1e3:.1f} ({size * tasks / 1e6:.1f})" for _, size, tasks in row]
        print(f"| {row[0][0]} | {' | '.join(cells)} |")
    sums = [sum(size * tasks for _, size, tasks in column) / 1e6 for column in columns]
    print(f"| **sum** {sum(sums):.0f} MB | {' | '.join(f'({each:.1f})' for each in sums)} |")
    return 0


if __name__ == "__main__":
    sys.exit(status("paper_disk", main))
