"""What models say: to every environment, from a server, and through the tables into a tree."""

import json
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from w2sg.agents.rollout import Request, play_cohort, reset_all
from w2sg.agents.server import ServerPolicy
from w2sg.config import params
from w2sg.config.environments import NAMES
from w2sg.config.fields import Splits
from w2sg.contracts.environment import Environment
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import read_trajectories, write_trajectories
from w2sg.contracts.turns import format_response
from w2sg.environments.opener import opener
from w2sg.environments.tasks import make_tasks
from w2sg.trees import merging
from w2sg.trees import tree as trees

from . import hostile
from .outcomes import Case

ROOT = Path(__file__).parents[2]
COMPLETION = {
    "id": "1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Thought: a\nAction: look"}}],
}
ACTIONS = (
    "search[{}]", "click[{}]", "go to {}", "take {} from {}", "look around", "{}", "0", "focus on {}", "click[buy now]",
)  # fmt: skip
STATUS = (200, 200, 200, 200, 400, 401, 404, 413, 418, 422)


class _Scripted:
    """Says these texts, one a turn, as our own decoding and the reading of servers give them: whole characters."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = [text.encode(errors="replace").decode() for text in texts]

    def start(self, rows: int, before: object = None) -> "_Scripted":
        return self

    def respond(self, rows: list[int], observations: list[str], **_: Any) -> list[str]:
        for text in observations:
            text.encode()
        return [self._texts.pop() if self._texts else "" for _ in rows]


@dataclass
class _Response:
    status: int
    data: bytes


class _Pool:
    """Answers every request with one response."""

    def __init__(self, response: _Response) -> None:
        self._response = response

    def request(self, *_: Any, **__: Any) -> _Response:
        return self._response


class Kind:
    """See the package."""

    weight = 2

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        settings = params.load(ROOT / "params.yaml")
        self._worlds: dict[str, tuple[Environment, list[Task]]] = {}
        for name in NAMES:
            if name in dict(settings.environments.items()):
                section = settings.environment(name).model_copy(update={"tasks": Splits(train=2, seen=1, unseen=1)})
                changed = settings.environments.model_copy(update={name: section})
                few = settings.model_copy(update={"environments": changed})
                tasks = make_tasks(name, few, folder=folder / name)
                self._worlds[name] = opener(name, few, folder=folder / name)(), tasks

    def close(self) -> None:
        """Release the environments."""
        for world, _ in self._worlds.values():
            world.close()

    def case(self, rng: random.Random) -> Case:
        action = rng.choice(["turns", "turns", "turns", "server", "spec"])
        if action == "server":
            return self._server(rng)
        name = rng.choice(sorted(self._worlds))
        world, tasks = self._worlds[name]
        task = rng.choice(tasks)
        if action == "spec":
            spec = hostile.changed(rng, json.loads(task.spec), times=rng.choice([1, 2]))
            text = json.dumps(spec) if rng.random() < 0.8 else rng.choice(hostile.TEXTS)
            return Case(f"{name}: spec {text}", lambda: world.reset(replace(task, spec=text)), "")
        texts = [self._turn(rng) for _ in range(6)]
        task = replace(task, max_steps=rng.choice([1, 3, 6]))
        return Case(f"{name}: {texts!r}", lambda: self._played(world, task, texts), "")

    def _played(self, world: Environment, task: Task, texts: list[str]) -> None:
        """One episode, written, read, and made a tree that is written and read."""
        requests = [Request(task, 0, 1.0, 1.0)]
        (episode,) = play_cohort(
            _Scripted(texts), [world], requests, openings=reset_all([world], requests, seed=0), name="model",
            prompt="", seed=0, max_new_tokens=4,
        )  # fmt: skip
        path = self._folder / "episode.parquet"
        write_trajectories(path, [episode])
        assert read_trajectories(path) == [episode]
        tree = merging.build([episode], merge_key="exact", xi=1.0, embeddings={})
        trees.dump(self._folder / "tree.pkl", {task.task_id: tree})
        assert trees.load(self._folder / "tree.pkl") == {task.task_id: tree}

    def _turn(self, rng: random.Random) -> str:
        text = hostile.text(rng) if rng.random() < 0.5 else rng.choice(hostile.TEXTS)
        verbs = [
            "search[{}]",
            "click[{}]",
            "go to {}",
            "take {} from {}",
            "look around",
            "{}",
            "0",
            "focus on {}",
            "click[buy now]",
        ]
        action = rng.choice(verbs).replace("{}", text)
        return rng.choice(
            [text, format_response(text, action), f"Action: {action}", f"Thought: Thought: Action: {action}"]
        )

    def _server(self, rng: random.Random) -> Case:
        body = json.dumps(
            hostile.changed(rng, json.loads(json.dumps(COMPLETION)), times=rng.choice([1, 2, 4]))
        ).encode()
        content = rng.choice(
            [body, body, hostile.damaged(rng, body), b"[" * 100_000, b"", b"\xff", b'{"error": "context"}']
        )
        policy = ServerPolicy(url="http://nowhere", model="m", concurrency=1, timeout=1.0)
        policy._pool = _Pool(_Response(rng.choice(STATUS), content))

        def read() -> None:
            batch = policy.start(1)
            (text,) = batch.respond([0], ["hello"], temperature=[1.0], top_p=[1.0], uniforms=np.full((1, 4), 0.5))
            assert isinstance(text, str)
            text.encode()

        return Case(f"server: {content[:200]!r}", read, "backend")
