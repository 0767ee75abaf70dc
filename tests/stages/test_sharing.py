"""`gpu: 2` in the meta of a stage that plays: two processes, the episodes of one."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml

from w2sg.agents import rollout
from w2sg.config import params
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import read_trajectories
from w2sg.stages import rollouts
from w2sg.stages.sharing import Players
from w2sg.training import bases
from w2sg.training.tokenizer import train_tokenizer

WORDS = {
    "explore": ("explore", "--environment", "alfworld", "--seed", "0", "--role", "weak"),
    "evaluate-inference": ("evaluate", "--environment", "alfworld", "--seed", "0", "--group", "inference"),
}
OUTPUTS = {
    "explore": [layout.explore("alfworld", 0, "weak")],
    "evaluate-inference": [layout.episodes("alfworld", 0, "inference"), layout.metrics("alfworld", 0, "inference")],
}


@pytest.fixture(scope="module")
def trained(built, tmp_path_factory):
    """The project with checkpoints that have learned nothing, and cohorts of three."""
    project = built.copy(tmp_path_factory.mktemp("shared"), only=frozenset({"data/tasks", "data/games", "data/play"}))
    project.edit(explore={"cohort": 3}, evaluate={"cohort": 2})
    with contextlib.chdir(project.path):
        settings = params.load()
        texts = [each["content"] for one in read_trajectories(layout.play("alfworld")) for each in one.messages()]
        tokenizer = train_tokenizer(texts, vocabulary=400, context=256)
        for seed, role in enumerate(("weak", "strong")):
            model = bases.create(getattr(settings.models, role), tokenizer=tokenizer, context=256, seed=seed)
            bases.save(model, tokenizer, layout.sft("alfworld", 0, role))
    return project


def ask_for(project, stage: str, count: int) -> None:
    table = yaml.safe_load((project.path / "dvc.yaml").read_text())
    table["stages"][stage]["meta"] = {"gpu": count}
    (project.path / "dvc.yaml").write_text(yaml.safe_dump(table))


@pytest.mark.slow
@pytest.mark.parametrize("stage", WORDS)
def test_two_processes_play_the_episodes_of_one(trained, tmp_path, stage):
    one, two = trained.copy(tmp_path / "one"), trained.copy(tmp_path / "two")
    assert one.run(*WORDS[stage])[0] == 0
    ask_for(two, stage, 2)
    code, said = two.run(*WORDS[stage])
    assert code == 0, said
    assert any("torch sees no GPU; 2 processes share the processor" in line for line in said)
    assert any("2 processes: episodes" in line for line in said)
    for output in OUTPUTS[stage]:
        assert (one.path / output).read_bytes() == (two.path / output).read_bytes()
    assert not list((two.path / ".resume").iterdir())


def test_more_processes_than_cards_are_refused(trained, tmp_path, monkeypatch):
    project = trained.copy(tmp_path / "project")
    ask_for(project, "explore", 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert project.run(*WORDS["explore"]) == (
        2,
        ["explore: dvc.yaml: meta.gpu is 3, and this machine has 2 GPUs"],
    )


def test_a_server_plays_alone(trained, tmp_path, monkeypatch):
    """It has cards of its own."""
    project = trained.copy(tmp_path / "project")
    ask_for(project, "explore", 2)
    monkeypatch.chdir(project.path)
    session = rollouts.Rollouts(params.load(), "explore", "alfworld", 0, 3)
    assert session._processes() == 2
    ask_for(project, "explore", 0)
    assert session._processes() == 1
    ask_for(project, "explore", 2)
    monkeypatch.setattr(rollouts.Rollouts, "_backend", lambda self: object())
    assert session._processes() == 1
    monkeypatch.undo()
    monkeypatch.chdir(project.path)
    assert rollouts.Rollouts(params.load(), "theorem", "alfworld", 0, 3)._processes() == 1


def request(number: int) -> rollout.Request:
    return rollout.Request(Task("house", f"task {number}", "train", "any", "go", "{}", 5), 0, 1.0, 1.0)


def written(part, number, store, *, pause: float = 0.0):
    """Stores a cohort: who played it."""
    time.sleep(pause)
    store.mkdir(parents=True, exist_ok=True)
    names = [each.task.task_id for each in part]
    rollout.stored(store, number).write_text(f"{os.getpid()} {names}")


def writer(*, pause: float = 0.0):
    return partial(written, pause=pause)


def failing(part, number, store):
    if number == 1:
        raise UserError("cohort 1: no")
    written(part, number, store)


def fails():
    return failing


def dying(part, number, store):
    os.kill(os.getpid(), signal.SIGKILL)


def dies():
    return dying


def refuses():
    raise UserError("explore.cohort: no room")


def test_whoever_is_free_takes_the_next_cohort_that_is_not_stored(tmp_path, capsys):
    written([request(2), request(3)], 1, tmp_path / "store")
    players = Players(partial(writer, pause=0.2), count=2)
    requests = [request(number) for number in range(9)]
    players.play(requests, cohort=2, store=tmp_path / "store", name="weak")
    players.play(requests, cohort=2, store=tmp_path / "store", name="weak")
    players.close()
    files = sorted((tmp_path / "store").iterdir())
    assert [path.name for path in files] == [f"cohort-{number:04d}.parquet" for number in range(5)]
    who, names = zip(*(path.read_text().split(" ", 1) for path in files), strict=True)
    assert names[0] == "['task 0', 'task 1']"
    assert names[-1] == "['task 8']"
    assert who[1] == str(os.getpid())
    assert len(set(who)) == 3, "two others played the rest"
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("weak, 2 processes: episodes 9/9")


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (fails, "cohort 1: no"),
        (refuses, "explore.cohort: no room"),
        (dies, "one of 2 processes that play was killed, perhaps for its memory; finished cohorts are kept"),
    ],
)
def test_what_goes_wrong_in_a_process_is_told_by_the_stage(tmp_path, prepare, said):
    players = Players(prepare, count=2)
    with pytest.raises(UserError, match=f"^{said}"):
        players.play([request(number) for number in range(6)], cohort=1, store=tmp_path, name="weak")
    players.close()


STAGE = """
import sys, time
from functools import partial
from pathlib import Path
sys.path[:0] = {path!r}
from tests.stages.test_sharing import request, writer
from w2sg.stages.sharing import Players
if __name__ == "__main__":
    players = Players(partial(writer, pause=0.0), count=2)
    players.play([request(n) for n in range(8)], cohort=1, store=Path("store"), name="weak")
    print("played", flush=True)
    time.sleep(60)
"""


def test_processes_end_with_a_stage_that_is_killed(tmp_path, root):
    script = tmp_path / "stage.py"
    script.write_text(STAGE.format(path=[str(root), str(root / "src")]))
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, str(script)], cwd=tmp_path, **quiet) as stage:
        assert stage.stdout.readline() == "played\n"
        players = {int(path.read_text().split()[0]) for path in (tmp_path / "store").iterdir()}
        stage.kill()
    end = time.monotonic() + 20
    while any(
        Path(f"/proc/{pid}/stat").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text() for pid in players
    ):
        assert time.monotonic() < end, "they wait for work for ever"
        time.sleep(0.1)
