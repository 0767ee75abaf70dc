"""GPU hours of a configuration, LLaMA-2 7B and 13B, worked out: `python benchmarks/paper_hours.py [params/paper.yaml]`.

Needs no GPU. Play: a cohort takes `--step` seconds for a token, and lasts as long as its longest episode, to the step
cap; a turn is twice the mean answer, as the longest of a cohort is. Training and scoring: operations of the model
(benchmarks/gpu.py), activations computed twice, at `--mfu` of the card's peak. Reading openings is left out, some 4 %
of play. The default step was measured on one H100 (7B in bfloat16, 64 conversations of some 900 tokens, drawn on the
card): it is the time of launches, so that smaller cohorts take it too. The share of the peak is a guess.
`python benchmarks/gpu.py` measures both on a card of one's own.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from gpu import CARD, ENVIRONMENTS, Sizes

from w2sg.config import params
from w2sg.config.overlays import merged
from w2sg.contracts.command_line import Parser, positive, status
from w2sg.environments.scienceworld.tasks.splits import STEP_CAPS

NAMES = {"alfworld": "ALFWorld", "scienceworld": "ScienceWorld", "webshop": "WebShop"}
# Pairs a task, of the default run's trees of ten samples (docs/budget.md); of whole trajectories one.
PAIRS = {"alfworld": 196 / 120, "scienceworld": 96 / 120, "webshop": 91 / 120}
PACKED = 0.4  # distinct tokens of packed pairs of trees, as a share of both sides
WEAK, STRONG = CARD
HOUR = 3600


def hours(settings: params.Params, name: str, options: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """GPU hours of each kind of stage in one environment, under one seed, alone on the card."""
    lengths, world = ENVIRONMENTS[NAMES[name]], settings.environment(name)
    cap = world.max_steps or fmean(STEP_CAPS[kind] for kind in world.task_types)
    whole = lengths.draw(100)

    def play(model: Sizes, episodes: int, cohort: int) -> float:
        tokens = math.ceil(episodes / cohort) * cap * 2 * lengths.answer
        return tokens * options.step * model.layers / WEAK.layers / HOUR

    def read(model: Sizes, conversations: float, *, passes: float) -> float:
        """`passes` forward passes: 1 scores, 3 train adapters with activations computed twice."""
        scored = round((fmean(whole) - lengths.opening) * lengths.answer / (lengths.answer + lengths.observation))
        operations = fmean(model.forward([each], scored=scored) for each in whole)
        return conversations * passes * operations / (options.mfu * options.peak) / HOUR

    train = min(settings.experts.tasks, world.tasks.train)
    explored = min(settings.explore.tasks, world.tasks.train)
    judged = min(settings.evaluate.seen, world.tasks.seen) + min(settings.evaluate.unseen, world.tasks.unseen)
    cohort = options.cohort or settings.explore.cohort
    judges = options.cohort or settings.evaluate.cohort
    taught = len(settings.preference) + len(settings.imitation)
    sft, imitate, dpo = (each.optimization for each in (settings.sft, settings.imitate, settings.dpo))
    pairs = sum(
        explored * (2 * PACKED * PAIRS[name] if method.data in ("tree", "shuffled", "expert") else 2)
        for method in settings.preference.values()
    )

    for role, model in (("weak", WEAK), ("strong", STRONG)):
        yield f"SFT {role}", read(model, train * sft.epochs, passes=3)
    for role, model in (("weak", WEAK), ("strong", STRONG)):
        if role in settings.explore.roles:
            yield f"explore {role}", play(model, explored * settings.explore.samples, cohort)
    yield "reference", read(WEAK, pairs, passes=1)
    yield f"preference, {len(settings.preference)}", read(STRONG, pairs * dpo.epochs, passes=3)
    paths = len(settings.imitation) * explored
    yield f"imitation, {len(settings.imitation)}", read(STRONG, paths * imitate.epochs, passes=3)
    yield "evaluate bases, SFT", 2 * sum(play(model, judged, judges) for model in (WEAK, STRONG))
    yield f"evaluate methods, {taught}", taught * play(STRONG, judged, judges)
    for method, entry in settings.inference.items():
        yield f"evaluate {method}", play(STRONG, judged * entry.samples, judges)


def configuration(file: Path) -> tuple[params.Params, list[str]]:
    """A configuration, and which of its environments are the paper's."""
    settings = params.validated(merged(file).values, source=file)
    present = dict(settings.environments.items())
    return settings, [name for name in NAMES if name in present]


def main() -> int:
    """Print a table: a row a stage, hours by environment."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("params", type=Path, nargs="?", default=Path("params/paper.yaml"))
    parser.add_argument("--cohort", type=positive, help="in the place of explore.cohort and evaluate.cohort")
    parser.add_argument("--step", type=float, default=0.037, help="seconds for a token of a cohort, 7B")
    parser.add_argument("--mfu", type=float, default=0.4, help="share of the peak that training reaches")
    parser.add_argument("--peak", type=float, default=989e12, help="operations a second, bfloat16")
    options = parser.parse_args()
    settings, chosen = configuration(options.params)
    columns = [dict(hours(settings, name, options)) for name in chosen]
    names = [NAMES[name] for name in chosen]
    print(f"| GPU hours, one seed | {' | '.join(names)} |\n|---|{'---:|' * len(names)}")
    for stage in columns[0]:
        print(f"| {stage} | {' | '.join(f'{column[stage]:.1f}' for column in columns)} |")
    totals = [sum(column.values()) for column in columns]
    print(f"| **sum** {sum(totals):.0f} | {' | '.join(f'{total:.1f}' for total in totals)} |")
    return 0


if __name__ == "__main__":
    sys.exit(status("paper_hours", main))
