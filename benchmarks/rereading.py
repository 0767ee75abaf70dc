"""A cohort beside the loop of the paper's public code, trained models, whole episodes, in a finished run.

    python benchmarks/rereading.py [--environment NAME ...] [--tasks 60] [--looped 12]

SFT strong plays tasks of the seen split, greedy. The loop plays one episode after the other: for every turn the text of
all that was said is encoded and read again, then one `generate`, whose cache lasts for the turn. Its episodes are the
first ones of the cohort, since a step of it takes as long however many there are. Prints steps for each second of this
process's time (ScienceWorld's Java machine is another) on one thread, and how many episodes have the same texts.
`benchmarks/rollouts.py` does so with larger models of random weights.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np
import torch

from w2sg.agents.policies import Policy, TransformersPolicy, context
from w2sg.agents.rollout import Request, play_cohort, reset_all
from w2sg.config import params
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.command_line import Parser, positive, status
from w2sg.contracts.messages import Message
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory
from w2sg.environments.opener import opener
from w2sg.environments.prompts import prompt
from w2sg.training import bases


class Rereading:
    """See Policy and Batch: one conversation, read anew for every turn."""

    def __init__(self, policy: TransformersPolicy) -> None:
        self._model, self._tokenizer = policy._model, policy._tokenizer
        self._messages: list[Message] = []

    def start(self, rows: int, before: Sequence[Sequence[Message]] | None = None) -> "Rereading":
        """See Policy."""
        assert rows == 1
        self._messages = [message for each in before or () for message in each]
        return self

    def respond(
        self,
        rows: Sequence[int],
        observations: Sequence[str],
        *,
        temperature: Sequence[float],
        top_p: Sequence[float],
        uniforms: np.ndarray,
    ) -> list[str]:
        """See Batch; greedy whatever the temperature."""
        self._messages.append(Message(role="user", content=observations[0]))
        text = self._tokenizer.apply_chat_template(self._messages, tokenize=False, add_generation_prompt=True)
        ids = self._tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"].to(self._model.device)
        most = uniforms.shape[1]
        if ids.shape[1] + most > context(self._model.config, self._tokenizer):
            return [""]
        with torch.inference_mode():
            # The last token of a turn is its end, in the cohort too.
            new = self._model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=most - 1, do_sample=False, pad_token_id=0
            )
        answer = self._tokenizer.decode(new[0, ids.shape[1] :], skip_special_tokens=True)
        self._messages.append(Message(role="assistant", content=answer))
        return [answer]


def played(
    settings: Params, environment: str, policy: Policy, requests: Sequence[Request]
) -> tuple[list[Trajectory], float]:
    """One cohort: episodes, processor seconds without those of the resets."""
    environments = [opener(environment, settings)() for _ in requests]
    openings = reset_all(environments, requests, seed=0)
    start = time.process_time()
    found = play_cohort(
        policy,
        environments,
        requests,
        openings=openings,
        name="benchmark",
        prompt=prompt(environment, style=settings.environment(environment).prompt),
        seed=0,
        max_new_tokens=settings.explore.max_new_tokens,
    )
    seconds = time.process_time() - start
    for each in environments:
        each.close()
    return found, seconds


def main() -> int:
    """Print a line for each environment."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    settings = params.load()
    names = settings.environments.names
    parser.add_argument("--environment", nargs="+", choices=names, default=names)
    parser.add_argument("--tasks", type=positive, default=60, help="episodes of the cohort")
    parser.add_argument("--looped", type=positive, default=12, help="episodes of the loop")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| steps a second of processor time | cohort | loop | ratio | same texts |\n|---|---:|---:|---:|---:|")
    for environment in options.environment:
        policy = TransformersPolicy(*bases.load(layout.sft(environment, settings.seeds[0], "strong")))
        tasks = [task for task in Task.read(layout.tasks(environment)) if task.split == "seen"][: options.tasks]
        requests = [Request(task, 0, 0.0, 1.0) for task in tasks]
        played(settings, environment, policy, requests[:1])  # what is set up once is nobody's
        together, quick = played(settings, environment, policy, requests)
        alone = [played(settings, environment, Rereading(policy), [each]) for each in requests[: options.looped]]
        slow = sum(seconds for _, seconds in alone)
        rates = (
            sum(len(each.steps) for each in together) / quick,
            sum(len(each.steps) for (each,), _ in alone) / slow,
        )
        same = sum(one.steps == other.steps for one, ((other,), _) in zip(together, alone, strict=False))
        print(
            f"| {environment}, {len(tasks)} episodes and {len(alone)} | {rates[0]:.1f} | {rates[1]:.1f} | "
            f"{rates[0] / rates[1]:.1f} | {same} of {len(alone)} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(status("rereading", main))
