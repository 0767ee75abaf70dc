"""How the stages explore, evaluate and theorem let checkpoints play; what they play survives a kill."""

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from transformers import PreTrainedTokenizerBase

from w2sg.agents import rollout
from w2sg.agents.policies import Policy, TransformersPolicy
from w2sg.agents.server import ServerPolicy
from w2sg.config import threads
from w2sg.config.params import Params
from w2sg.config.serving import Backend
from w2sg.contracts import layout
from w2sg.contracts.environment import Environment
from w2sg.contracts.files import digest
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Trajectory, read_trajectories
from w2sg.environments.opener import opener
from w2sg.environments.prompts import prompt
from w2sg.stages.cards import check_cards
from w2sg.stages.sharing import PlayCohort, Players
from w2sg.training import bases
from w2sg.training.cohorts import check_cohort
from w2sg.training.encoding import encode

Play: TypeAlias = Callable[[Sequence[rollout.Request]], list[Trajectory]]


@dataclass(frozen=True)
class Rollouts:
    """All that one stage plays in one environment under one seed.

    Attributes:
        cohort: episodes that are played at the same time.
        stores: folders of finished cohorts, one for each player so far.
        players: processes that play beside this one, of the last player.
        table: the stage's name in the stage table, where it is another one.
    """

    params: Params
    stage: str
    environment: str
    seed: int
    cohort: int
    stores: list[Path] = field(default_factory=list)
    players: list[Players] = field(default_factory=list)
    table: str | None = None

    def player(self, checkpoint: Path, *, name: str) -> Play:
        """Load a checkpoint; return what plays requests with it. The model is let go with the function.

        Args:
            name: the policy's name in the trajectories, another one for every player of the stage.
        """
        params = self.params
        settings = params.environment(self.environment)
        store = rollout.store(
            f"{self.stage}-{layout.run_name(self.environment, self.seed)}-{name}",
            checkpoint,
            layout.tasks(self.environment),
            layout.code(self.stage, self.environment),
            settings=(settings, self.cohort, params.explore.max_new_tokens, self._backend()),
        )
        self.stores.append(store)
        self.let_go()
        if (count := self._processes()) > 1:
            return self._dealt(checkpoint, name=name, store=store, count=count)
        policy = self.policy(checkpoint)

        def play(requests: Sequence[rollout.Request]) -> list[Trajectory]:
            make_environment = opener(self.environment, params)
            return self.play(policy, make_environment, requests, name=name, store=_own(store, requests))

        return play

    def _dealt(self, checkpoint: Path, *, name: str, store: Path, count: int) -> Play:
        """What plays requests in so many processes."""
        travelling = replace(self, stores=[], players=[])
        players = Players(partial(_prepared, travelling, checkpoint, name=name), count=count)
        self.players.append(players)

        def play(requests: Sequence[rollout.Request]) -> list[Trajectory]:
            own = _own(store, requests)
            players.play(requests, cohort=self.cohort, store=own, name=name)
            found = []
            for number, part in enumerate(rollout.cohorts(requests, size=self.cohort)):
                found += rollout.stored(own, number, part) or []
            return found

        return play

    def play(
        self,
        policy: Policy,
        make_environment: Callable[[], Environment],
        requests: Sequence[rollout.Request],
        *,
        name: str,
        store: Path,
        first: int = 0,
        show: bool = True,
    ) -> list[Trajectory]:
        """Play requests in this process; see rollout.play."""
        settings = self.params.environment(self.environment)
        return rollout.play(
            policy,
            make_environment,
            requests,
            name=name,
            prompt=prompt(self.environment, style=settings.prompt),
            seed=self.seed,
            cohort=self.cohort,
            max_new_tokens=self.params.explore.max_new_tokens,
            store=store,
            first=first,
            show=show,
        )

    def let_go(self) -> None:
        """Let the processes that play beside this one end, and their models with them."""
        while self.players:
            self.players.pop().close()

    def _processes(self) -> int:
        """How many play the stage's cohorts, as the stage table says."""
        plays = self.stage in ("explore", "evaluate")
        count = threads.declared(self.table or self.stage, key="gpu") if plays else 1
        if count <= 1 or self._backend() is not None:
            return 1
        check_cards(self.stage, count=count)
        return count

    def policy(self, checkpoint: Path) -> Policy:
        """A checkpoint that plays here, if its cohort has room, or the server that plays it."""
        if (backend := self._backend()) is not None:
            return ServerPolicy(
                url=backend.url,
                model=backend.model.replace("{checkpoint}", checkpoint.as_posix()),
                concurrency=backend.concurrency,
                timeout=backend.timeout,
                key=f"{self.stage}.backend",
            )
        model, tokenizer = bases.load(checkpoint)
        text = prompt(self.environment, style=self.params.environment(self.environment).prompt)
        opening = len(tokenizer(text)["input_ids"])
        check_cohort(
            model,
            cohort=self.cohort,
            opening=opening,
            turn=self.params.explore.max_new_tokens,
            longest=lambda: opening + self._lost(tokenizer, text, opening=opening),
            key="explore.cohort" if self.stage == "explore" else "evaluate.cohort",
        )
        return TransformersPolicy(model, tokenizer)

    def _lost(self, tokenizer: PreTrainedTokenizerBase, text: str, *, opening: int) -> int:
        """Tokens after the prompt of an episode that takes all its steps, by those that a demonstrated step has."""
        experts = layout.experts(self.environment)
        shown = read_trajectories(experts) if experts.is_file() else []
        tokens = sum(len(encode(tokenizer, each.messages(prompt=text), name=str(experts))[0]) for each in shown)
        steps = sum(len(each.steps) for each in shown)
        most = max(task.max_steps for task in Task.read(layout.tasks(self.environment)))
        return math.ceil(most * (tokens - opening * len(shown)) / max(1, steps))

    def _backend(self) -> Backend | None:
        """The server that plays in this stage."""
        return {"explore": self.params.explore.backend, "evaluate": self.params.evaluate.backend}.get(self.stage)


def _own(store: Path, requests: Sequence[rollout.Request]) -> Path:
    """The folder of some of the requests that one player gets."""
    return store / digest(text=repr(list(requests)))


def _prepared(rollouts: Rollouts, checkpoint: Path, *, name: str) -> PlayCohort:
    """What one process of several plays cohorts with."""
    policy = rollouts.policy(checkpoint)
    make_environment = opener(rollouts.environment, rollouts.params)
    kept = make_environment()  # what environments share, as a Java machine, ends with the last that is open

    def play(requests: Sequence[rollout.Request], number: int, store: Path) -> None:
        assert kept is not None
        rollouts.play(policy, make_environment, requests, name=name, store=store, first=number, show=False)

    return play


@contextmanager
def playing(
    params: Params, *, stage: str, environment: str, seed: int, cohort: int, table: str | None = None
) -> Iterator[Rollouts]:
    """Let checkpoints play; write the stage's outputs inside the block.

    Finished cohorts lie under .resume/ and go when the block ends well: a killed stage repeats at most the rest.
    """
    rollouts = Rollouts(params, stage, environment, seed, cohort, table=table)
    try:
        yield rollouts
    finally:
        rollouts.let_go()
    for store in rollouts.stores:
        if store.exists():
            shutil.rmtree(store)
