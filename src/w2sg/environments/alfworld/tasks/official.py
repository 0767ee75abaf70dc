"""The official ALFWorld games (`alfworld-download`), translated as they are."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from w2sg.contracts import files
from w2sg.contracts.errors import UserError, shown, within
from w2sg.contracts.tasks import Task
from w2sg.environments.alfworld.tasks.games import shipped_rules
from w2sg.environments.alfworld.world.engine import Engine
from w2sg.environments.alfworld.world.environment import make_task
from w2sg.environments.alfworld.world.rules import GOAL, split_goal
from w2sg.environments.alfworld.world.translation import Game, check_texts, save, translate

FOLDERS = {"train": "train", "seen": "valid_seen", "unseen": "valid_unseen"}
"""Splits and the folders of the official layout, <data>/json_2.1.1/<folder>/<goal>/<trial>/game.tw-pddl."""

GAME_FILE, GOAL_FILE = "game.tw-pddl", "traj_data.json"
REMEDY = "fetch it again, or remove its folder"


def game_folders(root: Path) -> list[Path]:
    """Folders with a game below `root`, sorted; those with sliced or movable things are left out, as in ALFWorld."""
    folders = sorted(path.parent for path in root.rglob(GAME_FILE))
    return [f for f in folders if not any("movable" in part or "Sliced" in part for part in f.relative_to(root).parts)]


def read_game(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The game file of a folder and the goal's `traj_data.json` (type and parameters only; empty where absent).

    Raises:
        UserError: a file is damaged or lacks what is read of it.
    """
    game = files.read_object(folder / GAME_FILE, remedy=REMEDY)
    with within(folder / GAME_FILE):
        check_texts(game)
    path = folder / GOAL_FILE
    trajectory = files.read_object(path, remedy=REMEDY) if path.exists() else {}
    for key, kind in (("task_type", str), ("pddl_params", dict)):
        if not isinstance(value := trajectory.get(key, kind()), kind):
            raise UserError(f"{path}: {key} is {shown(value)}, expected a {kind.__name__}; {REMEDY}")
    return game, {key: trajectory[key] for key in ("task_type", "pddl_params") if key in trajectory}


def playable(folder: Path, game: Mapping[str, Any], trajectory: Mapping[str, Any]) -> Game:
    """The translated game of a folder (see read_game), opened once, which is when a broken grammar shows.

    Raises:
        UserError: it cannot be translated or opened.
    """
    with within(folder / GAME_FILE):
        translated = translate(game, trajectory)
        engine = Engine(translated)
        engine.intro()
        engine.commands()
    return translated


def official_tasks(
    data_dir: Path, directory: Path, *, counts: Mapping[str, int], task_types: Sequence[str], max_steps: int
) -> list[Task]:
    """Translate games of the official folders into `directory` and return their tasks.

    Of each split `counts[split]` games are taken, in an order that mixes types and is the same on every machine. If
    the games disagree on the verb for putting things down (train files of old releases beside newer validation
    files), all get the grammar of the installed alfworld package, because an agent trained on one fails on the other.

    Raises:
        UserError: a split's folder is missing or has too few games, or a game is broken.
    """
    chosen = {split: list(_choose(data_dir, split, count, task_types)) for split, count in counts.items() if count}
    verbs = {"put {o} in/on {r}" in game["grammar"] for games in chosen.values() for _, _, game, _ in games}
    tasks = []
    taken: dict[str, Path] = {}
    for split, games in chosen.items():
        for name, folder, data, trajectory in games:
            if (other := taken.setdefault(name, folder)) != folder:
                raise UserError(f"{folder}: its game is named {name}, as that in {other}; rename one of the folders")
            with within(folder / GAME_FILE):
                data = _modern(data) if len(verbs) > 1 else data
            game = playable(folder, data, trajectory)
            save(directory, name, game)
            tasks.append(make_task(name, game, split=split, max_steps=max_steps))
    return tasks


def _choose(
    data_dir: Path, split: str, count: int, task_types: Sequence[str]
) -> Iterator[tuple[str, Path, dict[str, Any], dict[str, Any]]]:
    roots = [root for root in (data_dir, *sorted(data_dir.glob("json_2.1.*"))) if (root / FOLDERS[split]).is_dir()]
    if not roots:
        raise UserError(
            f"environments.alfworld.data_dir: {data_dir} has no folder {FOLDERS[split]} or json_2.1.*/{FOLDERS[split]}"
        )
    root = roots[-1] / FOLDERS[split]
    named: dict[str, Path] = {}
    for folder in game_folders(root):
        if (other := named.setdefault("-".join(folder.relative_to(root).parts), folder)) is not folder:
            raise UserError(f"{folder}: its game is named as that in {other}; rename one of the folders")
    if strange := [folder for name, folder in named.items() if not _utf8(name)]:
        raise UserError(f"{strange[0]}: its name is not UTF-8, as a task's must be; rename it")
    found = 0
    for name in sorted(named, key=lambda n: hashlib.sha256(n.encode()).digest()):
        game, trajectory = read_game(named[name])
        if not game.get("solvable") or trajectory.get("task_type") not in task_types:
            continue
        yield name, named[name], game, trajectory
        found += 1
        if found == count:
            return
    raise UserError(f"environments.alfworld.tasks.{split}: {count} games asked for, {found} such games found in {root}")


def _modern(data: Mapping[str, Any]) -> dict[str, Any]:
    _, words = split_goal(data["grammar"])
    domain, grammar = shipped_rules()
    return {**data, "pddl_domain": domain, "grammar": grammar.replace(GOAL, words)}


def _utf8(name: str) -> bool:
    """Whether a file's name is text; Python shows each byte that is none as half of a character."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
