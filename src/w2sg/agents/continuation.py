"""Re-rollouts: an agent's turns are said again in a fresh environment, and from there a policy plays to the end.

What becomes of it is an unbiased estimate of what the turns so far are worth to that policy, without a model of the
environment or a learned critic: Monte Carlo estimates of step quality (Math-Shepherd, Wang et al., 2024; IPR, Xiong et
al., 2024). The environment may be another one than that in which the turns were first said (a redrawn hidden state).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from w2sg.agents import rollout
from w2sg.agents.policies import Policy
from w2sg.contracts.environment import Environment
from w2sg.contracts.errors import UserError, named
from w2sg.contracts.files import digest
from w2sg.contracts.messages import Message
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory, conversation


@dataclass(frozen=True, slots=True)
class Start:
    """Where one continuation begins.

    Attributes:
        task: whose environment is reset.
        said: the agent's turns so far; none for an episode from its beginning.
        sample: number of the continuation among those of the same task and turns.
    """

    task: Task
    said: tuple[str, ...]
    sample: int

    @property
    def number(self) -> int:
        """Tells it from all others of its task, so that its random numbers are its own."""
        text = repr((self.said, self.sample)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest())


def play_on(
    policy: Policy,
    make_environment: Callable[[], Environment],
    starts: Sequence[Start],
    *,
    temperature: float,
    top_p: float,
    name: str,
    prompt: str,
    seed: int,
    cohort: int,
    max_new_tokens: int,
    store: Path,
) -> list[Trajectory]:
    """Whole episodes, one for each start in their order: the turns that were said, and those of the policy after them.

    Where the turns end the episode, nothing is added. Episodes that begin with as many turns share a cohort, as they
    have about as much to read and as far to go.

    Args:
        store: folder of this policy and these settings; what was played for the same starts is taken from there
            (rollout.play).
    """
    wanted = sorted(dict.fromkeys(starts), key=lambda start: len(start.said))
    requests = [rollout.Request(start.task, start.number, temperature, top_p, prefix=start.said) for start in wanted]
    played = rollout.play(
        policy,
        make_environment,
        requests,
        name=name,
        prompt=prompt,
        seed=seed,
        cohort=cohort,
        max_new_tokens=max_new_tokens,
        store=store / digest(text=repr(requests)),
    )
    found = {start: replace(each, sample=start.sample) for start, each in zip(wanted, played, strict=True)}
    return [found[start] for start in starts]


def check_heard(trajectory: Trajectory, messages: Sequence[Message], *, prompt: str) -> None:
    """See that an episode began with a conversation: that its environment answered the turns as it did at first.

    Args:
        messages: user and assistant in turn, from the start of the episode, no longer than it.

    Raises:
        UserError: it did not.
    """
    again = conversation(trajectory.steps, prompt=prompt)[: len(messages)]
    for turn, (before, now) in enumerate(zip_longest(messages, again)):
        if before != now:
            raise UserError(
                f"task {named(trajectory.task_id)}: turn {turn // 2} was played on other words than it is now; "
                "the tasks, or the environment's version, are not those of the run"
            )
