"""Stage theorem: the quantities of theorem 1 (eq. 10; M18). A diagnostic: nothing is trained on what it plays.

The stand-in for pi* plays held-out tasks at temperature 1, and the mean of log pi*(e) - log pi_w(e) over its own
trajectories estimates KL(pi* || pi_w), because the environment's share cancels. Expert trajectories in their place
would give a difference of cross-entropies. Texts are scored, not the tokens that were sampled: where a model writes
tokens that the tokenizer would not make of the text (untrained ones do), the estimate is biased, even below 0.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from w2sg.agents import rollout
from w2sg.agents.policies import TransformersPolicy
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.files import write_json
from w2sg.contracts.records import Message, Pair, ReferenceTurn, Task, Trajectory, read_trajectories
from w2sg.environments.opener import opener
from w2sg.environments.prompts import prompt
from w2sg.evaluation.measures.theorem import Quantities, divergence
from w2sg.training import bases
from w2sg.training.reference import conversation_logprobs, side_logprobs, turn_logprobs


def main(params: Params, *, environment: str, seed: int) -> None:
    """Read pairs, reference, exploration and three checkpoints; write the quantities."""
    settings = params.theorem
    batch = params.reference.batch
    reference = params.preference[settings.method].reference
    pairs = Pair.read(layout.pairs(environment, seed, settings.method))
    turns = ReferenceTurn.read(layout.reference(environment, seed, settings.method))
    weak = read_trajectories(layout.explore(environment, seed, "weak"))
    checkpoints = {name: layout.preference(environment, seed, name) for name in (settings.superior, settings.method)}

    trajectories, store = _sampled(params, environment, seed, checkpoints[settings.superior])
    text = prompt(environment, style=params.environment(environment).prompt)
    conversations = [answered(each).messages(prompt=text) for each in trajectories]
    ranked = {name: _ranked(checkpoint, pairs, turns, batch=batch) for name, checkpoint in checkpoints.items()}
    superior = _logprobs(checkpoints[settings.superior], conversations, batch=batch)
    prior = _logprobs(layout.sft(environment, seed, reference.removeprefix("sft_")), conversations, batch=batch)
    kl, error = divergence([one - other for one, other in zip(superior, prior, strict=True)])

    quantities = Quantities(
        environment=environment,
        seed=seed,
        method=settings.method,
        superior=settings.superior,
        reference=reference,
        delta=settings.delta,
        pairs=len(pairs),
        pair_tasks=len({pair.task_id for pair in pairs}),
        kl=kl,
        kl_error=error,
        trajectories=len(conversations),
        turns=float(np.mean([len(messages) / 2 for messages in conversations])),
        ranked=ranked,
        successful=float(np.mean([each.success for each in weak])),
        mean_score=float(np.mean([each.score for each in weak])),
        explored=len(weak),
    )
    write_json(layout.theorem(environment, seed), quantities.as_json())
    shutil.rmtree(store)


def _sampled(params: Params, environment: str, seed: int, checkpoint: Path) -> tuple[list[Trajectory], Path]:
    """One trajectory of a model per held-out task, the unseen first, at temperature 1; and the finished cohorts."""
    everything = Task.read(layout.tasks(environment))
    held_out = [task for split in ("unseen", "seen") for task in everything if task.split == split]
    style = params.environment(environment)
    model, tokenizer = bases.load(checkpoint)
    read = (params.theorem, params.evaluate.cohort, style, params.explore.max_new_tokens)
    store = rollout.store(
        f"theorem-{layout.run_name(environment, seed)}", checkpoint, layout.tasks(environment), settings=read
    )
    trajectories = rollout.play(
        TransformersPolicy(model, tokenizer),
        opener(environment, params),
        [rollout.Request(task, 0, 1.0, 1.0) for task in held_out[: params.theorem.tasks]],
        name=params.theorem.superior,
        prompt=prompt(environment, style=style.prompt),
        seed=seed,
        cohort=params.evaluate.cohort,
        max_new_tokens=params.explore.max_new_tokens,
        store=store,
    )
    return trajectories, store


def answered(trajectory: Trajectory) -> Trajectory:
    """The steps up to the first that the model left without an answer, its context being full; at least one."""
    empty = [number for number, step in enumerate(trajectory.steps) if not step.response]
    return replace(trajectory, steps=trajectory.steps[: max(1, empty[0])]) if empty else trajectory


def _logprobs(checkpoint: Path, conversations: list[list[Message]], *, batch: int) -> list[float]:
    model, tokenizer = bases.load(checkpoint)
    return conversation_logprobs(model, tokenizer, conversations, batch=batch)


def _ranked(checkpoint: Path, pairs: list[Pair], reference_turns: list[ReferenceTurn], *, batch: int) -> float:
    """Share of the pairs with r(tau+) > r(tau-), r being log pi - log pi_w of the scored turns times any beta > 0."""
    model, tokenizer = bases.load(checkpoint)
    policy = side_logprobs(turn_logprobs(model, tokenizer, pairs, batch=batch))
    reference = side_logprobs(reference_turns)
    score = {key: policy[key] - reference[key] for key in policy}
    return float(np.mean([score[pair.pair_id, "chosen"] > score[pair.pair_id, "rejected"] for pair in pairs]))
