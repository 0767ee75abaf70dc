"""ALFWorld's games: the official files and what they are translated into, their PDDL and their grammar."""

import copy
import gzip
import json
import random
import shutil
from pathlib import Path
from typing import Any

from environments.alfworld_examples import small_files, write_official
from w2sg.environments.alfworld.replay import replay
from w2sg.environments.alfworld.tasks.games import TASK_TYPES
from w2sg.environments.alfworld.tasks.official import GAME_FILE, GOAL_FILE, playable, read_game
from w2sg.environments.alfworld.world import translation
from w2sg.environments.alfworld.world.engine import Engine

from . import hostile
from .outcomes import Case

PDDL = (
    "(", ")", "(and ", "(or ", "(not ", "(exists (?x - object) ", "(forall (?x - object) ", "(when ", "(imply ", "?o",
    "?a", " - ", ":goal", ":init", ":objects", ":precondition", ":effect", "agent1", "receptacle", "inReceptacle",
    ";", "(= ", "=",
)  # fmt: skip
GRAMMAR = (
    "#", "{", "}", "{o.name}", "{r}", "#intro#", "|", "[", "]", '"""', '"', ";", "::", "grammar ::", "action ",
    "template ::", "feedback ::", "rhs", "condition", "&", "(o)", "objectType", ":", ",", "+", " or ", "None",
)  # fmt: skip
ACTIONS = ("problem", "domain", "grammar", "grammar", "keys", "goal", "bytes", "transcript", "translated")
TURNS = (("human", "look"), ("gpt", "look"), ("human", "a"))


class Kind:
    """See the package."""

    weight = 2

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "trial"
        self._games = [small_files(kind) for kind in TASK_TYPES]
        self._translated = [translation.translate(*files) for files in self._games]

    def case(self, rng: random.Random) -> Case:
        shutil.rmtree(self._folder, ignore_errors=True)
        action = rng.choice(
            ["problem", "domain", "grammar", "grammar", "keys", "goal", "bytes", "transcript", "translated"]
        )
        if action == "translated":
            return self._stored(rng)
        game, trajectory = copy.deepcopy(rng.choice(self._games))
        turns: Any = [
            {"from": "human", "value": "look"},
            {"from": "gpt", "value": "look"},
            {"from": "human", "value": "a"},
        ]
        if action in ("problem", "domain"):
            game[f"pddl_{action}"] = hostile.misspelt(rng, game[f"pddl_{action}"], PDDL)
        elif action == "grammar":
            game["grammar"] = hostile.misspelt(rng, game["grammar"], GRAMMAR)
        elif action == "keys":
            hostile.changed(rng, game, times=rng.choice([1, 2]))
        elif action == "goal":
            hostile.changed(rng, trajectory, times=rng.choice([1, 2]))
        elif action == "transcript":
            turns = hostile.changed(rng, turns, times=rng.choice([1, 2]))
        write_official(self._folder, game, trajectory)
        (self._folder / "gt_traj.json").write_text(json.dumps(turns))
        if action == "bytes":
            file = self._folder / rng.choice([GAME_FILE, GOAL_FILE, "gt_traj.json"])
            file.write_bytes(hostile.damaged(rng, file.read_bytes()))
        if action == "transcript" or rng.random() < 0.2:
            return Case(action, lambda: replay(self._folder, expert="recorded"), str(self._folder))
        return Case(action, self._read, str(self._folder))

    def _read(self) -> None:
        """What stage tasks does, and a few steps of play."""
        game = playable(self._folder, *read_game(self._folder))
        try:
            _play(game)
        except ValueError as error:  # the environment says which game it is
            raise type(error)(f"{self._folder}: {error}") from None

    def _stored(self, rng: random.Random) -> Case:
        translation.save(self._folder, "game", rng.choice(self._translated))
        file = rng.choice(sorted(self._folder.glob("*.gz")))
        action = rng.choice(["bytes", "content", "content"])
        if action == "bytes":
            file.write_bytes(hostile.damaged(rng, file.read_bytes()))
        else:
            content = hostile.changed(rng, json.loads(gzip.decompress(file.read_bytes())), times=rng.choice([1, 3]))
            file.write_bytes(gzip.compress(json.dumps(content).encode()))
        translation.load.cache_clear()
        translation._read_rules.cache_clear()

        def read() -> None:
            game = translation.load(self._folder, "game")
            try:
                _play(game)
            except ValueError as error:
                raise type(error)(f"{self._folder}: {error}") from None

        return Case(f"{file.name}: {action}", read, str(self._folder))


def _play(game: translation.Game) -> None:
    engine = Engine(game)
    engine.intro()
    for _ in range(3):
        commands = engine.commands()
        for text in (*commands[:1], *commands[-1:], "look", hostile.HALF):
            engine.act(text)
        engine.won()
