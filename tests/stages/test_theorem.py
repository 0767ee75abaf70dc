"""Stage theorem with tiny real checkpoints that have learned nothing."""

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from w2sg.config import params
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError
from w2sg.contracts.pairs import Pair
from w2sg.contracts.trajectories import Step, Trajectory, read_trajectories
from w2sg.evaluation.measures.theorem import Quantities
from w2sg.stages import reference, theorem
from w2sg.training import bases
from w2sg.training.tokenizer import train_tokenizer

RUN = {"environment": "alfworld", "seed": 0}
WRITTEN = layout.theorem("alfworld", 0)


@pytest.fixture(scope="module")
def trained(built, tmp_path_factory):
    """The project with the checkpoints that the stage reads and the reference's log-probabilities."""
    project = built.copy(tmp_path_factory.mktemp("trained"))
    with contextlib.chdir(project.path):
        settings = params.load()
        texts = [m["content"] for each in read_trajectories(layout.play("alfworld")) for m in each.messages()]
        tokenizer = train_tokenizer(texts, vocabulary=400, context=1024)
        folders = {
            layout.sft("alfworld", 0, "weak"): settings.models.weak,
            layout.preference("alfworld", 0, "w2s_dpo"): settings.models.strong,
            layout.preference("alfworld", 0, "ceiling"): settings.models.strong,
        }
        for seed, (folder, architecture) in enumerate(folders.items()):
            model = bases.create(architecture, tokenizer=tokenizer, context=1024, seed=seed)
            bases.save(model, tokenizer, folder)
        reference.main(settings, method="w2s_dpo", **RUN)
    return project


@pytest.fixture
def here(trained, tmp_path, monkeypatch) -> Params:
    """The parameters, in a copy of the project that is the working folder."""
    monkeypatch.chdir(trained.copy(tmp_path / "project").path)
    return params.load()


def test_the_quantities(here):
    theorem.main(here, **RUN)
    first = WRITTEN.read_bytes()
    found = Quantities.read(WRITTEN)
    pairs = Pair.read(layout.pairs("alfworld", 0, "w2s_dpo"))
    weak = read_trajectories(layout.explore("alfworld", 0, "weak"))
    assert (found.pairs, found.pair_tasks) == (len(pairs), len({pair.task_id for pair in pairs}))
    assert (found.reference, found.superior, found.trajectories) == ("sft_weak", "ceiling", 4)
    assert (found.explored, found.successful) == (len(weak), sum(each.success for each in weak) / len(weak))
    # Two policies of independent weights are apart, and a trajectory of 8 turns shows it. In which direction is not
    # known: untrained models write token sequences that no tokenizer makes of the text, and the text is what is scored.
    assert abs(found.kl) > 2 * found.kl_error > 0.0
    assert set(found.ranked) == {"ceiling", "w2s_dpo"} and all(0.0 <= share <= 1.0 for share in found.ranked.values())
    assert list(Path(".resume").iterdir()) == []
    theorem.main(here, **RUN)
    assert WRITTEN.read_bytes() == first


def test_a_policy_is_at_no_distance_from_itself(here, trained):
    """The ceiling's checkpoint in the place of SFT weak: log-ratios of 0, and nothing ranked higher or lower."""
    weak, superior = layout.sft("alfworld", 0, "weak"), layout.preference("alfworld", 0, "ceiling")
    model, tokenizer = bases.load(weak)
    bases.save(model, tokenizer, superior)
    theorem.main(here, **RUN)
    found = Quantities.read(WRITTEN)
    assert (found.kl, found.kl_error) == (0.0, 0.0)
    assert found.ranked["ceiling"] == 0.0


def test_what_was_not_answered_is_not_scored():
    steps = tuple(Step("o", "t" if text else "", "a", text, "o", 0.0) for text in ("Thought: t\nAction: a", "", ""))
    played = Trajectory("alfworld", "t", "ceiling", 0, 1.0, 1.0, False, steps)
    assert theorem.answered(played).steps == steps[:1]
    assert theorem.answered(replace(played, steps=steps[:1])).steps == steps[:1]
    assert theorem.answered(replace(played, steps=steps[1:])).steps == steps[1:2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"superior": "oracle"}, r"theorem\.superior: no method 'oracle' in preference; allowed are w2s_dpo, "),
        ({"superior": "w2s_dpo"}, r"theorem\.superior: w2s_dpo is theorem\.method already"),
    ],
)
def test_who_is_who_must_be_in_the_roster(empty_project, tmp_path, changes, message):
    project = empty_project.copy(tmp_path)
    project.edit(theorem=changes)
    with pytest.raises(UserError, match=message):
        params.load(project.path / "params.yaml")
