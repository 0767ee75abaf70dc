"""The official ALFWorld games (`alfworld-download`), translated as they are."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from w2sg.contracts.errors import UserError
from w2sg.contracts.tasks import Task
from w2sg.environments.alfworld.tasks.games import shipped_rules
from w2sg.environments.alfworld.world.environment import make_task
from w2sg.environments.alfworld.world.rules import GOAL, split_goal
from w2sg.environments.alfworld.world.translation import save, translate

FOLDERS = {"train": "train", "seen": "valid_seen", "unseen": "valid_unseen"}
"""Splits and the folders of the official layout, <data>/json_2.1.1/<folder>/<goal>/<trial>/game.tw-pddl."""

GAME_FILE = "game.tw-pddl"


def game_folders(root: Path) -> list[Path]:
    """Folders with a game below `root`, sorted; those with sliced or movable things are left out, as in ALFWorld."""
    folders = sorted(path.parent for path in root.rglob(GAME_FILE))
    return [f for f in folders if not any("movable" in part or "Sliced" in part for part in f.relative_to(root).parts)]


def read_game(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The game file of a folder and the goal's `traj_data.json` (type and parameters only; empty where absent).

    Raises:
        UserError: a file is damaged.
    """
    game = _read(folder / GAME_FILE)
    trajectory = _read(folder / "traj_data.json") if (folder / "traj_data.json").exists() else {}
    return game, {key: trajectory[key] for key in ("task_type", "pddl_params") if key in trajectory}


def official_tasks(
    data_dir: Path, directory: Path, *, counts: Mapping[str, int], task_types: Sequence[str], max_steps: int
) -> list[Task]:
    """Translate games of the official folders into `directory` and return their tasks.

    Of each split `counts[split]` games are taken, in an order that mixes types and is the same on every machine. If
    the games disagree on the verb for putting things down (train files of old releases beside newer validation
    files), all get the grammar of the installed alfworld package, because an agent trained on one fails on the other.

    Raises:
        UserError: a split's folder is missing or has too few games.
    """
    chosen = {split: list(_choose(data_dir, split, count, task_types)) for split, count in counts.items() if count}
    verbs = {"put {o} in/on {r}" in game["grammar"] for games in chosen.values() for _, game, _ in games}
    tasks = []
    for split, games in chosen.items():
        for name, data, trajectory in games:
            game = translate(_modern(data) if len(verbs) > 1 else data, trajectory)
            save(directory, name, game)
            tasks.append(make_task(name, game, split=split, max_steps=max_steps))
    return tasks


def _choose(
    data_dir: Path, split: str, count: int, task_types: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    roots = [root for root in (data_dir, *sorted(data_dir.glob("json_2.1.*"))) if (root / FOLDERS[split]).is_dir()]
    if not roots:
        raise UserError(
            f"environments.alfworld.data_dir: {data_dir} has no folder {FOLDERS[split]} or json_2.1.*/{FOLDERS[split]}"
        )
    root = roots[-1] / FOLDERS[split]
    named = {"-".join(folder.relative_to(root).parts): folder for folder in game_folders(root)}
    found = 0
    for name in sorted(named, key=lambda n: hashlib.sha256(n.encode()).digest()):
        game, trajectory = read_game(named[name])
        if not game.get("solvable") or trajectory.get("task_type") not in task_types:
            continue
        yield name, game, trajectory
        found += 1
        if found == count:
            return
    raise UserError(f"environments.alfworld.tasks.{split}: {count} games asked for, {found} such games found in {root}")


def _modern(data: Mapping[str, Any]) -> dict[str, Any]:
    _, words = split_goal(data["grammar"])
    domain, grammar = shipped_rules()
    return {**data, "pddl_domain": domain, "grammar": grammar.replace(GOAL, words)}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable JSON file ({str(error).splitlines()[0]})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object")
    return content
