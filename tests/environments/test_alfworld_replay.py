"""The official layout: reading it, and replaying what lies in it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from w2sg.contracts.errors import UserError
from w2sg.environments.alfworld.experts.demonstrations import expert_trajectory
from w2sg.environments.alfworld.replay import compare
from w2sg.environments.alfworld.shipped_experts import as_put
from w2sg.environments.alfworld.tasks.games import TASK_TYPES
from w2sg.environments.alfworld.tasks.official import GAME_FILE, GOAL_FILE, game_folders, official_tasks
from w2sg.environments.alfworld.world.environment import AlfworldEnvironment, make_task
from w2sg.environments.alfworld.world.translation import load, save

from .alfworld_examples import older, real_files, small_files, small_game, write_official


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Three games in the official layout with transcripts, the last in the older words."""
    root = tmp_path / "games"
    for number, task_type in enumerate(TASK_TYPES[:3]):
        game, trajectory = small_files(task_type)
        folder = write_official(root / task_type / "trial", game, trajectory)
        save(tmp_path, task_type, small_game(task_type))
        task = make_task(task_type, small_game(task_type), split="train", max_steps=60)
        turns = []
        for step in expert_trajectory(AlfworldEnvironment(tmp_path), task, np.random.default_rng(0)).steps:
            action = as_put(step.action) if number == 2 else step.action
            observation = as_put(step.observation) if number == 2 else step.observation
            turns += [{"from": "human", "value": observation}, {"from": "gpt", "value": action}]
        (folder / "gt_traj.json").write_text(json.dumps(turns))
    return root


@pytest.mark.parametrize("jobs", [1, 2])
def test_transcripts_are_replayed(recorded: Path, capsys: pytest.CaptureFixture[str], jobs: int) -> None:
    assert compare(recorded, "recorded", jobs=jobs) == 0
    assert capsys.readouterr().out == "games won: 3 of 3; observations identical: 3 of 3\n"


def test_a_transcript_that_differs_is_reported(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recorded / TASK_TYPES[0] / "trial" / "gt_traj.json"
    turns = json.loads(path.read_text())
    turns[2]["value"] += " And a lie."
    path.write_text(json.dumps(turns))
    assert compare(recorded, "recorded", jobs=1) == 1
    out, err = capsys.readouterr()
    assert out == "games won: 3 of 3; observations identical: 2 of 3\n"
    assert TASK_TYPES[0] in err and "observations differ" in err


def test_a_transcript_that_stops_early_is_not_won(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recorded / TASK_TYPES[0] / "trial" / "gt_traj.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:2]))
    assert compare(recorded, "recorded", jobs=1) == 1
    assert "games won: 2 of 3; observations identical: 3 of 3" in capsys.readouterr().out


@pytest.mark.parametrize("expert", ["handcoded", "planner"])
def test_the_shipped_experts_win(recorded: Path, capsys: pytest.CaptureFixture[str], expert: str) -> None:
    assert compare(recorded, expert, jobs=1) == 0
    assert capsys.readouterr().out == "games won: 3 of 3; observations identical: 3 of 3\n"


def test_what_cannot_be_replayed_is_refused(tmp_path: Path, recorded: Path) -> None:
    with pytest.raises(UserError, match=r"no folder with game\.tw-pddl"):
        compare(tmp_path / "nowhere", "recorded", jobs=1)
    with pytest.raises(UserError, match="allowed are recorded, handcoded, planner"):
        compare(recorded, "oracle", jobs=1)
    with pytest.raises(UserError, match="--jobs 0: allowed is 1 or more"):
        compare(recorded, "recorded", jobs=0)


def edited(file: str, **values: object) -> Callable[[Path], None]:
    """A change of some keys of a file; None takes the key away."""

    def change(folder: Path) -> None:
        content = json.loads((folder / file).read_text()) | values
        (folder / file).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return change


def swapped(key: str, old: str, new: str) -> Callable[[Path], None]:
    """A change within a text of a game file."""

    def change(folder: Path) -> None:
        content = json.loads((folder / GAME_FILE).read_text())
        assert old in content[key]
        (folder / GAME_FILE).write_text(json.dumps(content | {key: content[key].replace(old, new)}))

    return change


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "a transcript that is none": (lambda f: (f / "gt_traj.json").write_text("[3]"), "gt_traj.json: not a dialogue"),
    "no grammar": (edited(GAME_FILE, grammar=None), "game.tw-pddl: grammar is missing, expected a text"),
    "a grammar that is a number": (edited(GAME_FILE, grammar=3), "game.tw-pddl: grammar is 3, expected a text"),
    "no problem": (edited(GAME_FILE, pddl_problem=None), "game.tw-pddl: pddl_problem is missing"),
    "no parameters": (edited(GOAL_FILE, pddl_params=3), "traj_data.json: pddl_params is 3, expected a dict"),
    "cut": (lambda f: (f / GAME_FILE).write_text('{"grammar'), "game.tw-pddl: not a JSON file ("),
    "a list": (lambda f: (f / GAME_FILE).write_text("[]"), "game.tw-pddl: expected a JSON object, found list"),
    "deep": (lambda f: (f / GAME_FILE).write_text("[" * 99_999), "game.tw-pddl: not a JSON file (nested too deeply)"),
    "half a problem": (edited(GAME_FILE, pddl_problem="(define"), "game.tw-pddl: not a PDDL problem of its domain ("),
    "no domain": (edited(GAME_FILE, pddl_domain="(x)"), "game.tw-pddl: not a PDDL problem of its domain ("),
    "an object twice": (
        swapped("pddl_problem", "(:objects", "(:objects agent1 - agent"),
        "game.tw-pddl: not a PDDL problem of its domain (problem: two objects of one name)",
    ),
    "a fact of nothing": (
        swapped("pddl_problem", "(:init", "(:init (holds agent1 nowhere)"),
        "game.tw-pddl: not a PDDL problem of its domain (:init: (holds agent1 nowhere): no object nowhere)",
    ),
    "a grammar without an end": (
        swapped("grammar", "action GotoLocation", "action GotoLocation x"),
        "game.tw-pddl: not a PDDL domain with a TextWorld grammar (",
    ),
    "an opening that says nothing": (
        swapped("grammar", '"intro"', '"outro"'), "game.tw-pddl: grammar: no rule 'intro' that applies"
    ),
    "a circle": (
        swapped("grammar", "Your task is to: ", "#intro# Your task is to: "),
        "game.tw-pddl: its rules cannot be played (RecursionError: ",
    ),
    "no verb": (
        swapped("grammar", 'template :: "move', 'template :: "{o}'),
        "game.tw-pddl: grammar: its action putobject does not begin with a verb",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_game_is_named_and_left_out(what: str, recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, told = BROKEN[what]
    spoil(recorded / TASK_TYPES[1] / "trial")
    assert compare(recorded, "recorded", jobs=1) == 1
    out, err = capsys.readouterr()
    assert out == "games won: 2 of 2; observations identical: 2 of 2; skipped: 1\n"
    assert err.startswith(f"skipped: {recorded / TASK_TYPES[1] / 'trial'}/{told}") and err.count("\n") == 1


@pytest.mark.parametrize("what", [what for what in BROKEN if what not in ("a transcript that is none", "no verb")])
def test_tasks_are_not_made_of_a_broken_game(what: str, recorded: Path, tmp_path: Path) -> None:
    spoil, told = BROKEN[what]
    spoil(recorded / TASK_TYPES[1] / "trial")
    recorded.rename(tmp_path / "train")
    counts = {"train": 3, "seen": 0, "unseen": 0}
    with pytest.raises(UserError) as caught:
        official_tasks(tmp_path, tmp_path / "out", counts=counts, task_types=TASK_TYPES, max_steps=20)
    assert str(caught.value).startswith(f"{tmp_path / 'train' / TASK_TYPES[1] / 'trial'}/{told}")


def test_real_transcripts_are_replayed(tmp_path: Path) -> None:
    for number, files in enumerate(real_files("train_600.tar.xz", 8)):
        folder = write_official(tmp_path / str(number), files["game.tw-pddl"], files["traj_data.json"])
        (folder / "gt_traj.json").write_text(json.dumps(files["gt_traj.json"]))
    assert compare(tmp_path, "recorded", jobs=1) == 0


def official(root: Path, *, old_train: bool) -> Path:
    for folder, count in (("train", 4), ("valid_seen", 2), ("valid_unseen", 2)):
        for number in range(count):
            game, trajectory = small_files("pick_and_place_simple", index=number, split="train")
            game = older(game) if old_train and folder == "train" else game
            write_official(root / "json_2.1.2" / folder / f"goal-{folder}-{number}" / "trial", game, trajectory)
    return root


def test_official_splits_become_tasks(tmp_path: Path) -> None:
    data = official(tmp_path / "data", old_train=False)
    counts = {"train": 3, "seen": 2, "unseen": 1}
    tasks = official_tasks(data, tmp_path / "out", counts=counts, task_types=TASK_TYPES, max_steps=40)
    assert [task.split for task in tasks] == ["train"] * 3 + ["seen"] * 2 + ["unseen"]
    assert {task.task_type for task in tasks} == {"pick_and_place_simple"}
    rng = np.random.default_rng(0)
    assert all(expert_trajectory(AlfworldEnvironment(tmp_path / "out"), task, rng).success for task in tasks)


@pytest.mark.parametrize(("old_train", "counts"), [(True, {"train": 2}), (True, {"train": 2, "seen": 2})])
def test_mixed_grammars_become_one(tmp_path: Path, old_train: bool, counts: dict[str, int]) -> None:
    data = official(tmp_path / "data", old_train=old_train)
    tasks = official_tasks(data, tmp_path / "out", counts=counts, task_types=TASK_TYPES, max_steps=40)
    verbs = {load(tmp_path / "out", task.task_id).rules.put_verb for task in tasks}
    assert verbs == ({"put"} if "seen" not in counts else {"move"})


@pytest.mark.parametrize("others", ["valid_seen/goal-train-0/trial", "train/goal/train-0-trial"])
def test_two_official_games_of_one_name_are_refused(tmp_path: Path, others: str) -> None:
    """They would be one file, and one task would be played in the other's game."""
    data = official(tmp_path / "data", old_train=False)
    write_official(data / "json_2.1.2" / others, *small_files("pick_and_place_simple", index=9, split="train"))
    if others.startswith("train"):
        shutil.copytree(data / "json_2.1.2" / others, data / "json_2.1.2/train/goal-train/0-trial")
    counts = {"train": 4, "seen": 3}
    with pytest.raises(UserError, match=r"its game is named .*as that in .*; rename one of the folders$"):
        official_tasks(data, tmp_path / "out", counts=counts, task_types=TASK_TYPES, max_steps=40)


def test_missing_official_games_are_refused(tmp_path: Path) -> None:
    data = official(tmp_path / "data", old_train=False)
    with pytest.raises(UserError, match=r"tasks\.train: 9 games asked for, 4 such games found"):
        official_tasks(data, tmp_path / "out", counts={"train": 9}, task_types=TASK_TYPES, max_steps=40)
    with pytest.raises(UserError, match="has no folder valid_seen"):
        official_tasks(tmp_path, tmp_path / "out", counts={"seen": 1}, task_types=TASK_TYPES, max_steps=40)


def test_a_folder_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    data = official(tmp_path / "data", old_train=False)
    games = data / "json_2.1.2/train"
    try:
        (games / "goal-0").rename(games / "goal-\udcff")
    except OSError:
        pytest.skip("file names are UTF-8 here")
    with pytest.raises(UserError, match=r"goal-\udcff/trial: its name is not UTF-8, as a task's must be; rename it$"):
        official_tasks(data, tmp_path / "out", counts={"train": 1}, task_types=TASK_TYPES, max_steps=40)


def test_sliced_and_movable_games_are_left_out(tmp_path: Path) -> None:
    game, trajectory = small_files("pick_and_place_simple")
    for name in ("pick-AppleSliced-None", "pick_and_place_with_movable_recep-Mug", "pick-Apple-None"):
        write_official(tmp_path / name, game, trajectory)
    assert [folder.name for folder in game_folders(tmp_path)] == ["pick-Apple-None"]
