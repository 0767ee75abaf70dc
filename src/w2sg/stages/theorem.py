"""Stage theorem: the quantities of theorem 1 (section 3.3, eq. 10). A diagnostic: nothing is trained on what it plays.

The stand-in for pi* plays held-out tasks at temperature 1, and the mean of log pi*(e) - log pi_w(e) over its own
trajectories estimates KL(pi* || pi_w), because the environment's share cancels. Expert trajectories in their place
would give a difference of cross-entropies. Texts are scored, not the tokens that were sampled: where a model writes
tokens that the tokenizer would not make of the text (untrained ones do), the estimate is biased, even below 0.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from w2sg.agents import rollout
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.files import write_json
from w2sg.contracts.messages import Message
from w2sg.contracts.pairs import Pair, ReferenceTurn
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory, read_trajectories
from w2sg.environments.prompts import prompt
from w2sg.evaluation.measures.theorem import Quantities, divergence
from w2sg.stages.rollouts import playing
from w2sg.training import bases
from w2sg.training.reference import conversation_logprobs, side_logprobs, turn_logprobs


def main(params: Params, *, environment: str, seed: int) -> None:
    """Read pairs, reference, exploration and three checkpoints; write the quantities."""
    settings = params.theorem
    cohort = params.evaluate.cohort
    superior = layout.preference(environment, seed, settings.superior)
    tasks = Task.read(layout.tasks(environment))
    held_out = [task for split in ("unseen", "seen") for task in tasks if task.split == split][: settings.tasks]
    with playing(params, stage="theorem", environment=environment, seed=seed, cohort=cohort) as rollouts:
        play = rollouts.player(superior, name=settings.superior)
        trajectories = play([rollout.Request(task, 0, 1.0, 1.0) for task in held_out])
        del play  # its model need not stay in memory beside those that score
        quantities = _quantities(params, trajectories, environment=environment, seed=seed)
        write_json(layout.theorem(environment, seed), quantities.as_json())


def _quantities(params: Params, trajectories: list[Trajectory], *, environment: str, seed: int) -> Quantities:
    """The quantities, from trajectories of the stand-in for pi*, one for each of some held-out tasks."""
    settings = params.theorem
    batch = params.reference.batch
    reference = params.preference[settings.method].reference
    pairs = Pair.read(layout.pairs(environment, seed, settings.method))
    turns = ReferenceTurn.read(layout.reference(environment, seed, settings.method))
    weak = read_trajectories(layout.explore(environment, seed, "weak"))
    checkpoints = {name: layout.preference(environment, seed, name) for name in (settings.superior, settings.method)}

    text = prompt(environment, style=params.environment(environment).prompt)
    conversations = [answered(each).messages(prompt=text) for each in trajectories]
    ranked = {name: _ranked(checkpoint, pairs, turns, batch=batch) for name, checkpoint in checkpoints.items()}
    superior = _logprobs(checkpoints[settings.superior], conversations, batch=batch)
    prior = _logprobs(layout.sft(environment, seed, reference.removeprefix("sft_")), conversations, batch=batch)
    kl, error = divergence([one - other for one, other in zip(superior, prior, strict=True)])

    return Quantities(
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
