"""The official layout: reading it, and replaying what lies in it."""

import json
from pathlib import Path

import numpy as np
import pytest

from w2sg.contracts.errors import UserError
from w2sg.environments.alfworld.experts.demonstrations import expert_trajectory
from w2sg.environments.alfworld.replay import compare
from w2sg.environments.alfworld.shipped_experts import as_put
from w2sg.environments.alfworld.tasks.games import TASK_TYPES
from w2sg.environments.alfworld.tasks.official import game_folders, official_tasks
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
    (recorded / TASK_TYPES[1] / "trial" / "gt_traj.json").write_text("[3]")
    with pytest.raises(UserError, match="not a dialogue"):
        compare(recorded, "recorded", jobs=1)


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
            write_official(root / "json_2.1.2" / folder / f"goal-{number}" / "trial", game, trajectory)
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


def test_missing_official_games_are_refused(tmp_path: Path) -> None:
    data = official(tmp_path / "data", old_train=False)
    with pytest.raises(UserError, match=r"tasks\.train: 9 games asked for, 4 such games found"):
        official_tasks(data, tmp_path / "out", counts={"train": 9}, task_types=TASK_TYPES, max_steps=40)
    with pytest.raises(UserError, match="has no folder valid_seen"):
        official_tasks(tmp_path, tmp_path / "out", counts={"seen": 1}, task_types=TASK_TYPES, max_steps=40)


def test_sliced_and_movable_games_are_left_out(tmp_path: Path) -> None:
    game, trajectory = small_files("pick_and_place_simple")
    for name in ("pick-AppleSliced-None", "pick_and_place_with_movable_recep-Mug", "pick-Apple-None"):
        write_official(tmp_path / name, game, trajectory)
    assert [folder.name for folder in game_folders(tmp_path)] == ["pick-Apple-None"]
