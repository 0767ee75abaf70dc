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
from w2sg.contracts.trajectories import Step, Trajectory, read_trajectories, write_trajectories
from w2sg.stages import rollouts
from w2sg.stages.sharing import Players
from w2sg.training import bases
from w2sg.training.tokenizer import train_tokenizer

RUN = {"environment": "alfworld", "seed": 0}
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


REQUESTS = [request(number) for number in range(9)]
STEP = Step("o", "t", "a", "r", "n", 0.0)


def mark(folder: Path, name: object) -> list[str]:
    """Leave a name in a folder; all that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(name)).touch()
    return sorted(path.name for path in folder.iterdir())


def written(part, number, store):
    """Stores a cohort; its policy is the process that played it."""
    mark(store.parent / "begun", number)
    played = [Trajectory("house", each.task.task_id, f"{os.getpid()}", 0, 1.0, 1.0, False, (STEP,)) for each in part]
    write_trajectories(rollout._path(store, number), played)


def writer():
    return written


def together(part, number, store):
    """Does not go on before two processes have begun."""
    end = time.monotonic() + 60
    while len(mark(store.parent / "processes", os.getpid())) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    written(part, number, store)


def writes_together():
    return together


def slow(part, number, store):
    """Cohort 0 takes a minute."""
    mark(store.parent / "begun", number)
    mark(store.parent / "processes", os.getpid())
    time.sleep(60.0 if number == 0 else 0.0)


def writes_slowly():
    return slow


class OddError(Exception):
    """Cannot travel between processes."""

    def __init__(self, *, reason):
        super().__init__(f"the reason: {reason}")


def failing(part, number, store, *, error):
    while number == 1 and not (store.parent / "begun" / "0").exists():
        time.sleep(0.05)
    if number == 1:
        raise error
    slow(part, number, store)


def fails():
    return partial(failing, error=UserError("cohort 1: no"))


def fails_oddly():
    return odd


def odd(part, number, store):
    raise OddError(reason="a full disk")


def dying(part, number, store):
    os.kill(os.getpid(), signal.SIGKILL)


def dies():
    return dying


def refuses():
    raise UserError("explore.cohort: no room")


def gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.slow
def test_whoever_is_free_takes_the_next_cohort_that_is_not_stored(tmp_path, capsys):
    store = tmp_path / "store"
    written(REQUESTS[2:4], 1, store)
    rollout._path(store, 4).write_text("half a file")
    players = Players(writes_together, count=2)
    players.play(REQUESTS, cohort=2, store=store, name="weak")
    players.play(REQUESTS, cohort=2, store=store, name="weak")
    players.close()
    cohorts = [rollout.stored(store, number, part) for number, part in enumerate(rollout.cohorts(REQUESTS, size=2))]
    assert [each.task_id for cohort in cohorts for each in cohort] == [f"task {number}" for number in range(9)]
    who = [cohort[0].policy for cohort in cohorts]
    assert who[1] == str(os.getpid())
    assert set(who) - {who[1]} == set(mark(tmp_path / "processes", who[0])) and len(set(who)) == 3
    said = capsys.readouterr().err.splitlines()
    assert "removed, this cohort is played again" in said[0]
    assert said[-1].startswith("weak, 2 processes: episodes 9/9")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prepare", "kind", "said"),
    [
        (fails, UserError, r"^cohort 1: no$"),
        (refuses, UserError, r"^explore\.cohort: no room$"),
        (
            dies,
            UserError,
            "^one of 2 processes that play was killed, perhaps for its memory; finished cohorts are kept",
        ),
        (fails_oddly, RuntimeError, "OddError: the reason: a full disk"),
    ],
)
def test_what_goes_wrong_in_a_process_ends_all_and_is_told_by_the_stage(tmp_path, prepare, kind, said):
    players = Players(prepare, count=2)
    start = time.monotonic()
    with pytest.raises(kind, match=said):
        players.play(REQUESTS, cohort=1, store=tmp_path / "store", name="weak")
    assert time.monotonic() - start < 50, "who plays is not waited for"
    assert not players._players
    if prepare is fails:
        assert mark(tmp_path / "begun", 0) == ["0"], "nothing else is begun"
    assert not (tmp_path / "store").exists()


STAGE = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
sys.path[:0] = {path!r}
from tests.stages.test_sharing import REQUESTS, writes_slowly
from w2sg.stages.sharing import Players
if __name__ == "__main__":
    players = Players(writes_slowly, count=2)
    players.play(REQUESTS[:2], cohort=1, store=Path("store").absolute(), name="weak")
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_processes_end_with_a_stage_that_is_ended(tmp_path, root, number):
    script = tmp_path / "stage.py"
    script.write_text(STAGE.format(path=[str(root), str(root / "src")]))
    with subprocess.Popen([sys.executable, str(script)], cwd=tmp_path, stderr=subprocess.DEVNULL) as stage:
        end = time.monotonic() + 60
        while not ((tmp_path / "processes").exists() and len(list((tmp_path / "processes").iterdir())) == 2):
            assert stage.poll() is None and time.monotonic() < end
            time.sleep(0.1)
        players = [int(path.name) for path in (tmp_path / "processes").iterdir()]
        stage.send_signal(number)
        assert stage.wait(timeout=40)
    end = time.monotonic() + 40
    while not all(gone(each) for each in players):
        assert time.monotonic() < end, "they play on, or wait for work for ever"
        time.sleep(0.1)


def test_a_stage_of_several_siblings_has_the_gpus_of_its_own(trained, tmp_path, monkeypatch):
    project = trained.copy(tmp_path / "project")
    ask_for(project, "evaluate-inference", 2)
    monkeypatch.chdir(project.path)
    for group, count in (("inference", 2), ("sft", 1)):
        with rollouts.playing(params.load(), stage="evaluate", cohort=2, table=f"evaluate-{group}", **RUN) as session:
            assert session._processes() == count
