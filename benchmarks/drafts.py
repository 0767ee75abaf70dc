"""What drafts save: the same episodes with and without them, in turn, in a finished run.

    python benchmarks/drafts.py [--environment NAME ...] [--tasks 60] [--temperature 0.0 0.9]

SFT strong plays tasks of the seen split, one cohort. Prints processor seconds of this process (ScienceWorld's Java
machine is another), forward passes, and how many episodes have the same texts both ways.
"""

import argparse
import sys
from collections.abc import Sequence

import torch
from rereading import played as cohort

from w2sg.agents import generation
from w2sg.agents.policies import TransformersPolicy
from w2sg.agents.rollout import Request
from w2sg.config import params
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.command_line import Parser, positive, status
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory
from w2sg.training import bases

AHEAD = generation._AHEAD


def played(
    settings: Params, environment: str, policy: TransformersPolicy, requests: Sequence[Request], *, ahead: int
) -> tuple[list[Trajectory], float, int]:
    """One cohort with drafts of so many tokens: episodes, processor seconds, forward passes."""
    generation._AHEAD = ahead
    passes = 0
    former = policy._model.forward

    def counted(*args: object, **options: object) -> object:
        nonlocal passes
        passes += 1
        return former(*args, **options)

    policy._model.forward = counted
    found, seconds = cohort(settings, environment, policy, requests)
    policy._model.forward = former
    return found, seconds, passes


def main() -> int:
    """Print a line for each environment and temperature."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    settings = params.load()
    names = settings.environments.names
    parser.add_argument("--environment", nargs="+", choices=names, default=names)
    parser.add_argument("--tasks", type=positive, default=60)
    parser.add_argument("--temperature", type=float, nargs="+", default=[0.0, 0.9])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':24}{'seconds':>18}{'passes':>16}{'same texts':>14}")
    for environment in options.environment:
        policy = TransformersPolicy(*bases.load(layout.sft(environment, settings.seeds[0], "strong")))
        tasks = [task for task in Task.read(layout.tasks(environment)) if task.split == "seen"][: options.tasks]
        for temperature in options.temperature:
            requests = [Request(task, 0, temperature, 1.0) for task in tasks]
            plain, before, many = played(settings, environment, policy, requests, ahead=0)
            quick, after, few = played(settings, environment, policy, requests, ahead=AHEAD)
            same = sum(one.steps == other.steps for one, other in zip(plain, quick, strict=True))
            seconds, passes = f"{before:.1f} to {after:.1f}", f"{many:,} to {few:,}"
            print(f"{environment:14}{temperature:8.1f}  {seconds:>18}{passes:>16}{same:>6} of {len(tasks):<4}")
    return 0


if __name__ == "__main__":
    sys.exit(status("drafts", main))
