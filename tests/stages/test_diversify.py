"""Stages diversify and explore with tiny real checkpoints: who plays which sample, and the policy of eq. 5."""

import contextlib

import pytest

from w2sg.config import params
from w2sg.config.data import Diversity, Explore, Sampling
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError
from w2sg.contracts.files import read_json
from w2sg.contracts.trajectories import Trajectory, read_trajectories
from w2sg.stages import diversify, explore
from w2sg.training import bases
from w2sg.training.tokenizer import train_tokenizer

RUN = {"environment": "alfworld", "seed": 0}
KEPT = frozenset({"data/tasks", "data/games", "data/play", "data/experts"})


@pytest.fixture(scope="module")
def trained(built, tmp_path_factory):
    """The project with four checkpoints that have learned nothing and differ in their random weights."""
    project = built.copy(tmp_path_factory.mktemp("trained"), only=KEPT)
    with contextlib.chdir(project.path):
        settings = params.load()
        texts = [m["content"] for each in read_trajectories(layout.play("alfworld")) for m in each.messages()]
        tokenizer = train_tokenizer(texts, vocabulary=400, context=512)
        for role in ("weak", "strong"):
            for seed, folder in enumerate((layout.base(0, role), layout.sft("alfworld", 0, role))):
                model = bases.create(getattr(settings.models, role), tokenizer=tokenizer, context=512, seed=seed)
                bases.save(model, tokenizer, folder)
    return project


@pytest.fixture
def here(trained, tmp_path, monkeypatch) -> Params:
    """The parameters, in a copy of the project that is the working folder."""
    monkeypatch.chdir(trained.copy(tmp_path / "project").path)
    return params.load()


def exploring(settings: Params, *models: str, diversity: Diversity | None = None) -> Params:
    """A schedule with one entry per model, all at the same temperature."""
    schedule = tuple(Sampling(temperature=0.8, top_p=0.95, model=model) for model in models)
    changes = {"schedule": schedule, "samples": len(models), "tasks": 2, "diversity": diversity}
    return settings.model_copy(update={"explore": Explore(**(dict(settings.explore) | changes))})


def explored(settings: Params, *, role: str) -> list[Trajectory]:
    explore.main(settings, role=role, **RUN)
    return read_trajectories(layout.explore("alfworld", 0, role))


def test_off_leaves_a_note_and_no_model(here):
    assert here.explore.diversity is None
    diversify.main(here, **RUN)
    assert [path.name for path in layout.diverse("alfworld", 0).iterdir()] == ["README.md"]
    assert read_json(layout.log("diversify", "alfworld-0")) == []


def test_an_entry_of_the_schedule_says_who_plays(here):
    """As in the authors' mix: one run of the un-fine-tuned base among those of the fine-tuned model."""
    settings = exploring(here, "sft", "base", "sft")
    found = explored(settings, role="weak")
    assert [(each.sample, each.policy) for each in found] == 2 * [(0, "sft_weak"), (1, "base_weak"), (2, "sft_weak")]
    by_sft = explored(exploring(here, "sft", "sft", "sft"), role="weak")
    # The same random numbers: what differs is the model.
    same = [one == other for one, other in zip(found, by_sft, strict=True)]
    assert same == 2 * [True, False, True]


def test_the_strong_model_plays_all_of_its_own_samples(here):
    found = explored(exploring(here, "sft", "base"), role="strong")
    assert {each.policy for each in found} == {"sft_strong"}


def test_the_second_policy_is_trained_and_plays(here):
    optimization = here.sft.optimization.model_copy(update={"learning_rate": 1e-2, "warmup": 0.0, "epochs": 4})
    diversity = Diversity(weight=0.5, clamp=2.0, optimization=optimization)
    settings = exploring(here, "sft", "diverse", diversity=diversity)
    diversify.main(settings, **RUN)
    log = read_json(layout.log("diversify", "alfworld-0"))
    assert log[0]["kl"] == pytest.approx(0.0, abs=1e-6) and log[-1]["kl"] > 0.0
    card = (layout.diverse("alfworld", 0) / "README.md").read_text()
    assert "weight 0.5, KL clamped at 2 nats a token" in card
    found = explored(settings, role="weak")
    assert [each.policy for each in found] == 2 * ["sft_weak", "diverse_weak"]


DIVERSE = {"temperature": 1.0, "top_p": 1.0, "model": "diverse"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": [DIVERSE]}, r"explore\.schedule: an entry has model diverse"),
        ({"diversity": {"weight": 0.1, "clamp": 1.0}}, r"explore\.diversity: no sample is played by it"),
        ({"schedule": [DIVERSE | {"model": "oracle"}]}, r"explore\.schedule\.0\.model: .*'sft', 'base' or 'diverse'"),
    ],
)
def test_the_schedule_and_the_second_policy_belong_together(empty_project, tmp_path, changes, message):
    project = empty_project.copy(tmp_path)
    if "diversity" in changes:
        optimization = params.load(project.path / "params.yaml").sft.optimization.model_dump()
        changes = {"diversity": changes["diversity"] | {"optimization": optimization}}
    project.edit(explore=changes)
    with pytest.raises(UserError, match=message):
        params.load(project.path / "params.yaml")
