"""`w2sg play`: an expert, a person and a model on real tasks."""

import io
import os
import subprocess
import sys

import pytest

from w2sg.commands import __main__ as cli
from w2sg.commands import play as terminal
from w2sg.config import params
from w2sg.config.fields import Splits
from w2sg.contracts import layout
from w2sg.contracts.tasks import Task
from w2sg.environments.opener import opener
from w2sg.environments.tasks import make_tasks


@pytest.fixture
def workspace(tmp_path, monkeypatch, root):
    """A folder with parameters and a few tasks of ALFWorld."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    settings = params.load()
    few = settings.environments.alfworld.model_copy(update={"tasks": Splits(train=1, seen=1, unseen=2)})
    settings = settings.model_copy(update={"environments": settings.environments.model_copy(update={"alfworld": few})})
    folder = layout.games("alfworld")
    folder.mkdir(parents=True)
    Task.write(layout.tasks("alfworld"), make_tasks("alfworld", settings, folder=folder))
    return settings


@pytest.fixture
def call(monkeypatch, capsys):
    def run(*arguments, typed=""):
        monkeypatch.setattr("sys.argv", ["w2sg", "play", *arguments])
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = cli.main()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_the_expert(workspace, call):
    code, printed, _ = call("alfworld", "--number", "1")
    assert code == 0
    assert printed.startswith("You are in the middle of a room.")
    assert "Thought: " in printed and printed.endswith("score 1\n")


def test_a_person(workspace, call):
    world = opener("alfworld", workspace)()
    task = terminal.choose("alfworld", workspace, split="unseen", number=0)
    world.reset(task)
    (first, *_) = [command for command in world.admissible() if command.startswith("go to ")]
    code, printed, _ = call("alfworld", "--human", typed=f"?\n{first}\nfly\n\n")
    assert code == 0
    assert f"  {first}\n" in printed, "? lists what can be done"
    assert f"[1/{task.max_steps}]" in printed and "You arrive at " in printed
    assert "Nothing happens." in printed
    assert printed.endswith("score 0\n"), "an empty line ends it"
    assert call("alfworld", "--human", typed="")[1].endswith("score 0\n"), "so does the end of the input"


def test_agents_without_an_action_are_told_so_and_scores_are_shown(workspace, capsys):
    world = opener("alfworld", workspace)()
    task = terminal.choose("alfworld", workspace, split="unseen", number=0)
    expert = iter(
        [
            "nonsense",
            *(step.response for step in terminal.expert("alfworld", workspace, world, task, rng=None).steps),
        ]
    )
    assert terminal.follow(world, task, lambda observation, turn: next(expert)) == 1.0
    printed = capsys.readouterr().out
    assert "Invalid format" in printed
    assert "(score 0 -> 1)" in printed


def test_an_agent_is_not_told_its_score(workspace, capsys, monkeypatch):
    """It is prompted as in exploration: the score is for who looks on."""
    world = opener("alfworld", workspace)()
    task = terminal.choose("alfworld", workspace, split="unseen", number=0)
    step = world.step
    scores = iter([0.25, 0.5])

    def rising(action):
        result = step(action)
        return result._replace(score=next(scores, result.score))

    monkeypatch.setattr(world, "step", rising)
    asked: list[str] = []

    def agent(observation: str, turn: int) -> str | None:
        asked.append(observation)
        return "Thought: t Action: look" if turn < 2 else None

    terminal.follow(world, task, agent)
    printed = capsys.readouterr().out
    assert "(score 0 -> 0.25)" in printed and "(score 0.25 -> 0.5)" in printed
    assert len(asked) == 3 and not any("score" in text for text in asked)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nethack"], "--environment nethack: unknown; params.yaml has alfworld"),
        (["alfworld", "--number", "2"], "--number 2: split unseen of alfworld has the tasks 0 to 1"),
        (["webshop"], "data/tasks/webshop.parquet: missing; `snakemake --cores all tasks@webshop` makes it"),
        (["alfworld", "--model", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_have_a_line(workspace, call, arguments, line):
    code, _, complaint = call(*arguments)
    assert code == 2
    assert complaint.startswith("w2sg play: ") and line in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [("--seed", "-1", "whole number"), ("--temperature", "nan", "number"), ("--number", "-1", "whole number")],
)
def test_a_value_that_is_no_number_from_zero(option, value, wanted, call, capsys):
    with pytest.raises(SystemExit) as exit:
        call("alfworld", f"{option}={value}")
    assert exit.value.code == 2
    line = f"w2sg play: argument {option}: {value}: must be a {wanted} from 0; see w2sg play --help\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(("encoding", "typed"), [("ascii", "café ☃"), ("utf-8", "café"), ("latin-1", "☃")])
def test_a_terminal_of_another_encoding(workspace, root, encoding, typed):
    """What it cannot hold had ended the game: a letter that was typed, or one that was to be shown."""
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "w2sg.commands", "play", "alfworld", "--human"]
    sent = typed.encode("latin-1" if encoding == "utf-8" else "utf-8")
    done = subprocess.run(command, input=sent + b"\n\n", env=environment, capture_output=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\nNothing happens.\n" in done.stdout and done.stdout.endswith(b"score 0\n")


def test_a_reader_who_leaves_and_a_disk_that_is_full(workspace, root):
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    play = f"{sys.executable} -m w2sg.commands play alfworld"
    for command, out, err in (
        (f"{play} | head -n 1", 1, ""),
        (f"{play} > /dev/full", 0, "w2sg play: standard output: no space left on device; make room\n"),
    ):
        done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, timeout=300)
        assert (done.stdout.count("\n"), done.stderr) == (out, err), command
