"""TreeDPO's updates by TRL's own trainer, by ours on padded pairs, and by ours packed, in turn on the same pairs.

    python benchmarks/preference.py ENVIRONMENT [--size 128,3,4,352] [--updates N] [--rounds N] [--by-task]

In the folder of a finished run. Trees of ten samples: the six of the weak exploration and the strong one's first four,
merged where action and observation are the same text; pairs as params.yaml says. The strong model of that run, or one
with random weights of another size (hidden, layers, heads, feedforward). float32, one thread, no LoRA.

TRL: DPOTrainer with prompt, chosen and rejected, its own tokenisation, collator, sampler and head, reference
log-probabilities precomputed and not timed, gradient checkpointing off. Its loss is the plain one, as is ours.

Useful tokens are those of both sides, histories included, without padding, whoever computes how many of them. Each
measurement is a process of its own; seconds are the processor's, memory is the peak above what the loaded model takes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from w2sg.contracts.command_line import Parser, positive, status

WAYS = ("trl", "padded", "packed")
SAMPLES = {"weak": 6, "strong": 4}


def pairs_of(environment: str) -> list[Any]:
    """Pairs of trees of ten samples."""
    from w2sg.config import params
    from w2sg.contracts import layout
    from w2sg.contracts.trajectories import read_trajectories
    from w2sg.environments.prompts import prompt
    from w2sg.trees.merging import build
    from w2sg.trees.pairs import tree_pairs

    settings = params.load()
    samples = [
        trajectory
        for role, count in SAMPLES.items()
        for trajectory in read_trajectories(layout.explore(environment, 0, role))
        if trajectory.sample < count
    ]
    by_task = groupby(sorted(samples, key=lambda each: each.task_id), key=lambda each: each.task_id)
    trees = [build(list(group), merge_key="exact", xi=1.0, embeddings={}) for _, group in by_task]
    return tree_pairs(
        trees,
        minimum_gap=settings.pairs.minimum_gap,
        aggregate=settings.pairs.aggregate,
        turns=settings.pairs.turns,
        prompt=prompt(environment, style=settings.environment(environment).prompt),
    )


def measure(way: str, options: argparse.Namespace) -> dict[str, float]:
    """One measurement in this process."""
    import torch
    from transformers import TrainerCallback

    from w2sg.config import params
    from w2sg.config.models import FromScratch
    from w2sg.contracts import layout
    from w2sg.training import bases, preference, preference_trainer, reference
    from w2sg.training.trainer_log import TrainingLog

    torch.set_num_threads(1)
    settings = params.load()
    pairs = pairs_of(options.environment)
    model, tokenizer = bases.load(layout.sft(options.environment, 0, "strong"))
    if options.size:
        hidden, layers, heads, feedforward = map(int, options.size.split(","))
        sizes = FromScratch(hidden=hidden, layers=layers, heads=heads, feedforward=feedforward)
        model = bases.create(sizes, tokenizer=tokenizer, context=4096, seed=0)
    batch = settings.dpo.optimization.batch
    count = min(options.updates, len(pairs) // batch) * batch
    optimization = settings.dpo.optimization.model_copy(update={"epochs": count / len(pairs), "precision": "fp32"})
    dpo = settings.dpo.model_copy(update={"optimization": optimization})
    took = {"tokens": 0.0, "weights": float(sum(weight.numel() for weight in model.parameters()))}

    class Clock(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
            took["before"], took["seconds"] = _mebibytes("VmRSS"), -time.process_time()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            took["seconds"] += time.process_time()
            took["peak"] = _mebibytes("VmHWM")

    def counting(step: Callable[..., Any]) -> Callable[..., Any]:
        def counted(self: Any, model: Any, inputs: dict[str, Any], *values: Any) -> Any:
            took["tokens"] += float(inputs["attention_mask"].sum())
            return step(self, model, inputs, *values)

        return counted

    if way == "trl":
        _trl(model, tokenizer, pairs, dpo=dpo, clock=Clock(), counting=counting)
    else:
        if way == "padded":
            preference.windows_of = reference.windows_of = lambda *_: None  # type: ignore[assignment]
        trainer = preference_trainer.PreferenceTrainer
        trainer.training_step = counting(trainer.training_step)  # type: ignore[method-assign]
        if options.by_task:
            trainer._get_train_sampler = lambda self, *_: range(len(pairs))  # type: ignore[method-assign]

        class Log(Clock, TrainingLog):
            def on_train_begin(self, *values: Any, **named: Any) -> None:
                TrainingLog.on_train_begin(self, *values, **named)
                Clock.on_train_begin(self)

        preference.TrainingLog = Log  # type: ignore[misc]
        encoded = reference.encode_pairs(tokenizer, pairs)
        scored = sum(len(side.input_ids) for pair in encoded for _, side, _ in pair.sides())
        start = time.process_time()
        turns = reference.score_turns(model, encoded, batch=settings.reference.batch)
        took["scored"] = scored / (time.process_time() - start)
        preference.score_turns = lambda *_, **__: turns  # type: ignore[assignment]
        preference.train_dpo(model, tokenizer, pairs, turns, dpo=dpo, seed=0)
    took["pairs"] = len(pairs)
    return took


def _trl(model: Any, tokenizer: Any, pairs: list[Any], *, dpo: Any, clock: Any, counting: Any) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    from w2sg.training.trainer_setup import trainer_arguments

    class Stock(DPOTrainer):
        def _send_telemetry(self) -> None:
            pass

        training_step = counting(DPOTrainer.training_step)

    rows = [{"prompt": pair.history, "chosen": pair.chosen, "rejected": pair.rejected} for pair in pairs]
    with tempfile.TemporaryDirectory() as folder:
        arguments = trainer_arguments(dpo.optimization, rows=len(rows), folder=folder, seed=0)
        trainer = Stock(
            model=model,
            args=DPOConfig(**arguments, beta=dpo.beta, precompute_ref_log_probs=True),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[clock],
        )
        trainer.train()


def _mebibytes(entry: str) -> float:
    """Of this process, from the kernel's account."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{entry}:"))


def main() -> int:
    """Measure each way in turn, a process each, and print medians of the rounds."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment")
    parser.add_argument("--size", help="hidden,layers,heads,feedforward of a model with random weights")
    parser.add_argument("--updates", type=positive, default=10**9)
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--by-task", action="store_true", help="ours: pairs of one task side by side, not shuffled")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options)))
        return 0
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for number in range(options.rounds):
        for way in WAYS:
            command = [sys.executable, __file__, *sys.argv[1:], "--way", way]
            done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
            if done.returncode:
                print(done.stderr.strip(), file=sys.stderr)
                return done.returncode
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
            last = found[way][-1]
            rate = last["tokens"] / last["seconds"]
            print(f"round {number + 1}: {way:7} {rate:9,.0f} useful tokens/s", file=sys.stderr, flush=True)
    first = found["packed"][0]
    print(f"{options.environment}: {first['pairs']:.0f} pairs, {first['weights'] / 1e6:.2f}M weights")
    rates = {way: [each["tokens"] / each["seconds"] for each in rounds] for way, rounds in found.items()}
    for way in WAYS:
        more = statistics.median(one / other for one, other in zip(rates[way], rates["trl"], strict=True))
        peak = statistics.median(each["peak"] - each["before"] for each in found[way])
        rate = statistics.median(rates[way])
        line = f"{way:7} {rate:9,.0f} useful tokens/s, {more:5.2f} times TRL, peak {peak:7,.0f} MiB"
        if way != "trl":
            line += f"; scores {statistics.median(each['scored'] for each in found[way]):9,.0f} tokens/s"
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(status("preference", main))
