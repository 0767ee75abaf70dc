"""Games for the ALFWorld tests: small generated ones, and real ones where the shared data is at hand."""

import json
import os
import tarfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from w2sg.environments.alfworld.tasks.games import TASK_TYPES, GameSettings, draw_game
from w2sg.environments.alfworld.world.translation import Game, translate

SMALL = GameSettings(max_receptacles=6, distractors=4, goal_texts="one")
SHARED = Path(os.environ.get("W2SG_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def small_files(task_type: str, *, index: int = 0, split: str = "train") -> tuple[dict[str, Any], dict[str, Any]]:
    """Game and trajectory file of a small game of a type."""
    return draw_game(SMALL, split=split, index=TASK_TYPES.index(task_type) + 6 * index, seed=1)


@lru_cache(maxsize=64)
def small_game(task_type: str, *, index: int = 0) -> Game:
    """A small translated game of a type."""
    return translate(*small_files(task_type, index=index))


@lru_cache(maxsize=4)
def real_files(archive: str, count: int) -> tuple[dict[str, dict[str, Any]], ...]:
    """The first `count` real games of an archive that have a game file: file name -> content."""
    path = SHARED / "alfworld" / archive
    if not path.exists():
        pytest.skip(f"no real ALFWorld games: {path.name} is not in $W2SG_SHARED_DATA")
    return tuple(files for files, _ in zip(_folders(path), range(count), strict=False))


def _folders(path: Path) -> Iterator[dict[str, dict[str, Any]]]:
    files: dict[str, dict[str, Any]] = {}
    folder = ""
    with tarfile.open(path, "r|xz") as archive:
        for member in archive:
            parent, _, name = member.name.rpartition("/")
            if parent != folder:
                if "game.tw-pddl" in files:
                    yield files
                files, folder = {}, parent
            content = archive.extractfile(member) if name.endswith((".json", ".tw-pddl")) else None
            if content is not None:
                files[name] = json.loads(content.read())
    if "game.tw-pddl" in files:
        yield files


def write_official(folder: Path, game: dict[str, Any], trajectory: dict[str, Any]) -> Path:
    """Write a game in the official layout into `folder`."""
    folder.mkdir(parents=True)
    (folder / "game.tw-pddl").write_text(json.dumps(game))
    (folder / "traj_data.json").write_text(json.dumps(trajectory))
    return folder


def older(game: dict[str, Any]) -> dict[str, Any]:
    """The game in the words of the older grammar, which old official files have."""
    grammar = game["grammar"].replace("move {o} to {r}", "put {o} in/on {r}")
    grammar = grammar.replace("You move the {o.name} to the {r.name}.", "You put the {o.name} in/on the {r.name}.")
    return {**game, "grammar": grammar.replace("You arrive at {r.name}.", "You arrive at {lend.name}.")}
