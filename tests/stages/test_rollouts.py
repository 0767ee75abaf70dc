"""What the stages play is kept until their outputs are written, and belongs to one run alone."""

import math
from pathlib import Path

import pytest
import yaml

from w2sg.agents import rollout
from w2sg.config import params
from w2sg.config.serving import Backend
from w2sg.contracts import layout
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import Step, Trajectory, read_trajectories, write_trajectories
from w2sg.environments.prompts import prompt
from w2sg.stages import rollouts
from w2sg.stages.rollouts import playing
from w2sg.training.encoding import encode
from w2sg.training.tokenizer import train_tokenizer

RUN = {"environment": "alfworld", "seed": 0}


@pytest.fixture
def played(project, monkeypatch):
    """The folder is a built project with a checkpoint that nobody loads; rollout.play writes one file a call."""
    monkeypatch.chdir(project.path)
    checkpoint = layout.sft("alfworld", 0, "weak")
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / "model.safetensors").write_bytes(b"weights")
    calls = []

    def play(policy, make_environment, requests, *, store, **settings):
        calls.append((store, [request.task.task_id for request in requests], settings))
        store.mkdir(parents=True)
        step = Step("o", "t", "a", "r", "n", 0.0)
        return [Trajectory("alfworld", each.task.task_id, "p", 0, 1.0, 1.0, False, (step,)) for each in requests]

    monkeypatch.setattr(rollout, "play", play)
    monkeypatch.setattr(rollouts.bases, "load", lambda path: (path, lambda text: {"input_ids": text.split()}))
    monkeypatch.setattr(rollouts, "check_cohort", lambda model, **sizes: None)
    monkeypatch.setattr(rollouts, "TransformersPolicy", lambda model, tokenizer: (model, tokenizer))
    return calls


def requests(*, temperature=1.0):
    return [rollout.Request(task, 0, temperature, 1.0) for task in Task.read(layout.tasks("alfworld"))[:2]]


def with_backend(settings, **changes):
    """With the same server for both stages that may have one."""
    backend = Backend(url="http://localhost:1/v1", model="x/{checkpoint}", concurrency=3, timeout=9.0)
    backend = backend.model_copy(update=changes)
    explore = settings.explore.model_copy(update={"backend": backend})
    evaluate = settings.evaluate.model_copy(update={"backend": backend})
    return settings.model_copy(update={"explore": explore, "evaluate": evaluate})


def play_once(*, stage="explore", cohort=5, name="sft_weak", settings=None, asked=None):
    settings = settings or params.load()
    with playing(settings, stage=stage, cohort=cohort, **RUN) as session:
        return session.player(layout.sft("alfworld", 0, "weak"), name=name)(asked or requests())


def test_what_was_played_goes_with_the_end_of_the_block(played):
    settings = params.load()
    with playing(settings, stage="explore", cohort=5, **RUN) as session:
        for name in ("sft_weak", "other"):
            assert len(session.player(layout.sft("alfworld", 0, "weak"), name=name)(requests())) == 2
        assert all(store.exists() for store, *_ in played)
        assert len(list(Path(".resume").iterdir())) == 2
    assert list(Path(".resume").iterdir()) == []
    assert played[0][1] == [request.task.task_id for request in requests()]
    assert played[0][2] == {
        "name": "sft_weak",
        "prompt": "",
        "seed": 0,
        "cohort": 5,
        "max_new_tokens": 12,
        "first": 0,
        "show": True,
    }


def test_who_plays_is_told_the_prompt(played):
    """The default's is none."""
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["environments"]["alfworld"]["prompt"] = "paper"
    Path("params.yaml").write_text(yaml.safe_dump(values))
    play_once()
    assert played[0][2]["prompt"] == prompt("alfworld", style="paper") != ""


def test_what_was_played_stays_when_the_outputs_are_not_written(played):
    with pytest.raises(OSError, match="disk is full"), playing(params.load(), stage="s", cohort=5, **RUN) as session:
        session.player(layout.sft("alfworld", 0, "weak"), name="sft_weak")(requests())
        raise OSError("the disk is full")
    assert played[0][0].exists()


def test_nothing_played_leaves_nothing(played):
    with playing(params.load(), stage="s", cohort=5, **RUN) as session:
        session.player(layout.sft("alfworld", 0, "weak"), name="sft_weak")
    assert not Path(".resume").exists() or list(Path(".resume").iterdir()) == []


def test_every_run_has_a_store_of_its_own(played):
    """Whatever changes an episode changes the folder: stage, name, cohort, requests, settings, weights, tasks."""
    settings = params.load()
    longer = settings.model_copy(update={"explore": settings.explore.model_copy(update={"max_new_tokens": 13})})
    play_once()
    play_once()
    assert played[0][0] == played[1][0], "the same run goes on"
    play_once(stage="evaluate")
    play_once(name="other")
    play_once(cohort=4)
    play_once(asked=requests(temperature=0.5))
    play_once(asked=requests()[:1])
    play_once(settings=longer)
    (layout.sft("alfworld", 0, "weak") / "model.safetensors").write_bytes(b"other weights")
    play_once()
    asked = requests()
    Task.write(layout.tasks("alfworld"), Task.read(layout.tasks("alfworld"))[1:])
    play_once(asked=asked)
    play_once(asked=asked, settings=with_backend(settings))
    play_once(asked=asked, settings=with_backend(settings, url="http://localhost:2/v1"))
    stores = [store for store, *_ in played[1:]]
    assert len(set(stores)) == len(stores) == 11


@pytest.mark.parametrize(("stage", "key"), [("explore", "explore.cohort"), ("theorem", "evaluate.cohort")])
def test_a_cohort_without_room_is_refused_before_it_plays(played, monkeypatch, stage, key):
    asked = []
    monkeypatch.setattr(rollouts, "check_cohort", lambda model, **sizes: asked.append(sizes))
    settings = params.load()
    play_once(stage=stage, cohort=7, settings=settings)
    words = len(prompt("alfworld", style=settings.environment("alfworld").prompt).split())
    (sizes,) = asked
    sizes.pop("longest")
    assert sizes == {"cohort": 7, "opening": words, "turn": settings.explore.max_new_tokens, "key": key}


def test_the_longest_episode_is_told_by_the_demonstrations(played, monkeypatch):
    """Prompt and the steps that an episode may have, each as long as a demonstrated one."""
    asked = []
    text = prompt("alfworld", style=params.load().environment("alfworld").prompt)
    tokenizer = train_tokenizer([text], vocabulary=400, context=100_000)
    monkeypatch.setattr(rollouts, "check_cohort", lambda model, **sizes: asked.append(sizes["longest"]))
    monkeypatch.setattr(rollouts.bases, "load", lambda path: (path, tokenizer))
    play_once()
    steps = Task.read(layout.tasks("alfworld"))[0].max_steps
    opening = len(tokenizer(text)["input_ids"])
    experts = layout.experts("alfworld")
    experts.unlink(missing_ok=True)
    assert asked[0]() == opening
    for shown in (1, 3):
        step = Step("o" * shown, "t", "a", "r", "n", 0.0)
        write_trajectories(experts, [Trajectory("alfworld", "x", "p", 0, 1.0, 1.0, True, (step,) * shown)])
        whole = len(encode(tokenizer, read_trajectories(experts)[0].messages(prompt=text), name="x")[0])
        assert asked[0]() == opening + math.ceil(steps * (whole - opening) / shown)


@pytest.mark.parametrize(("stage", "served"), [("explore", True), ("evaluate", True), ("theorem", False)])
def test_a_server_plays_a_checkpoint_by_its_name(played, monkeypatch, stage, served):
    """Nothing is loaded here then; Theorem 1 needs log-probabilities of what it samples, so it always plays here."""
    made = []
    monkeypatch.setattr(rollouts, "ServerPolicy", lambda **settings: made.append(settings))
    if served:
        monkeypatch.setattr(rollouts.bases, "load", lambda path: pytest.fail("loaded"))
    play_once(stage=stage, settings=with_backend(params.load()))
    wanted = {"url": "http://localhost:1/v1", "model": "x/models/sft/alfworld-0/weak", "concurrency": 3, "timeout": 9.0}
    assert made == ([wanted | {"key": f"{stage}.backend"}] if served else [])
