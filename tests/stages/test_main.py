"""A user's mistake at the stage runner: one clear line each, exit code 2, no traceback, nothing written."""

import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from w2sg.contracts import layout
from w2sg.contracts.trajectories import read_trajectories, write_trajectories
from w2sg.stages import __main__ as stages
from w2sg.stages.__main__ import STAGES
from w2sg.trees import tree as trees

RUN = ("--environment", "alfworld", "--seed", "0")
TASKS, GAMES, TREES = layout.tasks("alfworld"), layout.games("alfworld"), layout.trees("alfworld", 0)
EXPLORED, EMBEDDED = layout.explore("alfworld", 0, "weak"), layout.embeddings("alfworld", 0)
# A command and the files that it reads.
INPUTS = [
    (("experts", "--environment", "alfworld"), TASKS),
    (("play", "--environment", "alfworld"), TASKS),
    (("tokenizer",), layout.play("alfworld")),
    (("embed", *RUN), EXPLORED),
    (("trees", *RUN), EXPLORED),
    (("trees", *RUN), EMBEDDED),
    (("pairs", *RUN, "--method", "w2s_dpo"), TREES),
    (("pairs", *RUN, "--method", "random_dpo"), TREES),
    (("pairs", *RUN, "--method", "eto"), layout.explore("alfworld", 0, "strong")),
    (("pairs", *RUN, "--method", "ceiling"), layout.explored_experts("alfworld")),
    (("paths", *RUN, "--method", "w2s_mcts"), TREES),
    (("paths", *RUN, "--method", "best_of_m"), TASKS),
    (("evaluate", *RUN, "--group", "sft"), TASKS),
    (("report",), layout.log("pretrain", "0-weak")),
]


def refused(project, *words: str) -> str:
    """Run a stage that must refuse and write nothing; its one line without the stage's name."""
    before = project.contents()
    code, lines = project.run(*words)
    assert code == 2, lines
    assert len(lines) == 1, lines
    assert project.contents() == before
    assert lines[0].startswith(f"{words[0]}: ")
    return lines[0].removeprefix(f"{words[0]}: ")


@pytest.mark.parametrize(
    ("words", "path"), INPUTS, ids=lambda value: str(value if isinstance(value, Path) else value[0])
)
def test_missing_input(project, words, path):
    (project.path / path).unlink(missing_ok=True)
    assert refused(project, *words) == f"{path}: no such file; run the stage that writes it"


@pytest.mark.parametrize(
    ("words", "path"), INPUTS, ids=lambda value: str(value if isinstance(value, Path) else value[0])
)
def test_truncated_input(project, words, path):
    file = project.path / path
    content = file.read_bytes() if file.exists() else b"[1, 2]"
    for length in (0, len(content) // 2, len(content) - 1):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content[:length])
        assert refused(project, *words).startswith(f"{path}: not a ")


@pytest.mark.parametrize("damage", ["no folder", "no file", "half a file"])
def test_games_that_are_not_there(project, root, damage):
    """The task table alone is not enough. In a fresh process, for games once read are remembered."""
    folder = project.path / GAMES
    if damage == "no folder":
        shutil.rmtree(folder)
    for file in folder.glob("*"):
        if file.is_file():
            content = file.read_bytes()
            file.unlink()
            if damage == "half a file":
                file.write_bytes(content[: len(content) // 2])
    before = project.contents()
    done = command(project, root, "paths", *RUN, "--method", "w2s_mcts")
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"paths: {GAMES}")
    assert project.contents() == before


def command(project, root, *words: str) -> subprocess.CompletedProcess[str]:
    """The command of dvc.yaml in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    words = (sys.executable, "-m", "w2sg.stages", *words)
    return subprocess.run(words, cwd=project.path, env=environment, capture_output=True, text=True, timeout=120)


class Hostile:
    """A pickle that would run a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("words", [("pairs", *RUN, "--method", "w2s_dpo"), ("paths", *RUN, "--method", "w2s_mcts")])
def test_foreign_pickles(project, words):
    mark = project.path / "it ran"
    for value, told in (
        (Hostile(f"touch {str(mark)!r}"), "it asks for posix.system"),
        ({"task": Path("x")}, "it asks for pathlib"),
        ((trees.FORMAT, {"task": 1}), "no trees by task id"),
        ((trees.FORMAT, [1, 2]), "no trees by task id"),
        ({"task": 1}, "of another version"),
    ):
        (project.path / TREES).write_bytes(trees.sealed(pickle.dumps(value)))
        line = refused(project, *words)
        assert line.startswith(f"{TREES}: not a file of trajectory trees")
        assert told in line
    assert not mark.exists()


def test_a_sample_that_is_there_twice(project):
    """As two tables in one would have it; the trees of one would take the place of the other's."""
    explored = read_trajectories(project.path / EXPLORED)
    write_trajectories(project.path / EXPLORED, [*explored, *explored])
    line = refused(project, "trees", *RUN)
    assert line.startswith(f"{EXPLORED}: sample 0 of ") and "is there more than once" in line


@pytest.mark.parametrize("stage", STAGES)
def test_wrong_parameters(empty_project, tmp_path, stage):
    """Every stage refuses them before it does anything, all lines at once."""
    project = empty_project.copy(tmp_path)
    project.edit(tree={"breadht": 3}, dpo={"beta": -1})
    before = project.contents()
    assert project.run(stage) == (
        2,
        [
            f"{stage}: params.yaml: tree.breadht: unknown key; allowed here: breadth, similarity, merge_key",
            f"{stage}: params.yaml: dpo.beta: input should be greater than or equal to 0 (found -1)",
        ],
    )
    assert project.contents() == before


@pytest.mark.parametrize("name", ["params.yaml", "dvc.yaml"])
def test_in_another_folder(empty_project, tmp_path, name):
    project = empty_project.copy(tmp_path)
    (project.path / name).unlink()
    assert refused(project, "tasks", "--environment", "alfworld") == (
        f"{name}: no such file; run this in the folder of the project"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("experts", "--environment", "webshop"), "webshop"),
        (("pairs", "--environment", "webshop", "--seed", "0", "--method", "w2s_dpo"), "webshop"),
        (("pairs", *RUN, "--method", "w2s_mcts"), "w2s_mcts"),
        (("paths", *RUN, "--method", "w2s_dpo"), "w2s_dpo"),
        (("evaluate", *RUN, "--group", "all"), "all"),
        (("reference", *RUN, "--method", "absent"), "absent"),
        (("preference", *RUN, "--method", "absent"), "absent"),
        (("imitation", *RUN, "--method", "w2s_dpo"), "w2s_dpo"),
        (("explore", *RUN, "--role", "middle"), "middle"),
        (("pretrain", "--seed", "0", "--role", "middle"), "middle"),
        (("trees", "--environment", "alfworld"), "--seed"),
        (("tasks",), "--environment"),
        (("tokenizer", "--seed", "0"), "--seed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_that_do_not_fit(project, words, told):
    assert told in refused(project, *words)


def test_nothing_to_learn_from(project):
    """Scores that are all alike leave no pair, and none that is good enough no path."""
    for path in ("data/pairs", "data/paths"):
        shutil.rmtree(project.path / path)
    explored = read_trajectories(project.path / EXPLORED)
    failures = [replace(each, steps=tuple(replace(step, score=0.0) for step in each.steps)) for each in explored]
    write_trajectories(project.path / EXPLORED, failures)
    assert project.run("trees", *RUN)[0] == 0
    assert "no pair of kind tree: no task has both better and worse trajectories" in refused(
        project, "pairs", *RUN, "--method", "w2s_dpo"
    )
    assert "no path scores mcts.minimum_score (0.9) or more" in refused(project, "paths", *RUN, "--method", "w2s_mcts")


def test_threads_that_the_command_does_not_say(project):
    """The command is what makes a stage stale when its threads change."""
    told = "dvc.yaml: meta.threads is 2; the command must end with --threads 2"
    assert refused(project, "tasks", "--environment", "alfworld", "--threads", "1") == told


def test_more_processes_than_the_stage_table_says(project, monkeypatch):
    """As in a shell under torchrun: torch would wait for the other one."""
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    told = "WORLD_SIZE=2 in the environment: the stage table says how many processes there are, here 1; unset it"
    assert refused(project, "trees", *RUN) == told


def test_unknown_stage(project):
    code, lines = project.run("colour")
    assert code == 2
    assert "invalid choice: 'colour'" in lines[-1]


def test_the_real_command(project, root):
    """As dvc.yaml has it: the exit code reaches the shell, and the screen shows no traceback."""
    done = command(project, root, "trees", *RUN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (project.path / EXPLORED).unlink()
    done = command(project, root, "trees", *RUN)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"trees: {EXPLORED}: no such file; run the stage that writes it\n"


def test_a_device_that_is_full_is_told_in_one_line(empty_project, monkeypatch, capsys):
    class OutOfMemoryError(RuntimeError):
        """As torch's, which the runner does not import."""

    def full(*_, **__):
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has 1.00 GiB free.")

    monkeypatch.chdir(empty_project.path)
    monkeypatch.setattr("w2sg.stages.report.main", lambda params: full())
    monkeypatch.setattr(sys, "argv", ["stages", "report"])
    assert stages.main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("report: CUDA out of memory; lower micro_tokens of its optimization, ")
