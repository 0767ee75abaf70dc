"""Environments are found by their folders: what one lacks is said in one line that names it."""

import shutil

import pytest

from w2sg.config.environments import FOLDER, NAMES
from w2sg.contracts.episodes import Episode
from w2sg.contracts.errors import UserError
from w2sg.contracts.trajectories import Step, Trajectory
from w2sg.environments.parts import provided
from w2sg.environments.prompts import prompt
from w2sg.evaluation.measures.behaviour import behaviours
from w2sg.evaluation.measures.episodes import GroupedEpisodes

PARTS = [
    ("settings", "Settings"),
    ("prompt", "PROMPT"),
    ("refusals", "REFUSALS"),
    ("world", "open"),
    ("tasks", "make"),
    ("experts", "expert"),
    ("experts", "play"),
]


def test_prompt_of_appendix_f():
    paper = prompt("alfworld", style="paper")
    assert paper.startswith("Interact with a household to solve a task.")
    assert paper.endswith("Thought: <your thoughts>\nAction: <your next action>")
    assert "3. move obj to recep\n" in paper
    assert "  " not in paper
    assert not any(written.endswith(" ") for written in paper.splitlines())
    assert prompt("alfworld", style="short") == ""


def test_the_folders_with_settings_are_the_environments():
    assert {"alfworld", "scienceworld", "webshop"} <= set(NAMES)
    assert all((FOLDER / name / "settings.py").is_file() for name in NAMES)


@pytest.mark.parametrize(("part", "what"), PARTS)
@pytest.mark.parametrize("name", NAMES)
def test_every_environment_has_every_part(name, part, what):
    assert provided(f"w2sg.environments.{name}.{part}", what) is not None


@pytest.mark.parametrize("name", NAMES)
def test_the_report_counts_what_an_environment_calls_a_refusal(name):
    refusals = provided(f"w2sg.environments.{name}.refusals", "REFUSALS")
    steps = [Step("", "", "", "", answer, 0.0) for answer in refusals or ("A page",)]
    episode = Episode("sft_weak", 0, "seen", Trajectory(name, "t", "sft_weak", 0, 1.0, 1.0, False, tuple(steps)))
    (row,) = behaviours(GroupedEpisodes([episode]))
    assert row.refused == (1.0 if refusals else None)


@pytest.fixture
def unfinished():
    """An environment without experts, and with a world that cannot be opened."""
    folder = FOLDER / "unfinished"
    (folder / "world").mkdir(parents=True)
    (folder / "world/__init__.py").write_text("")
    (folder / "__init__.py").write_text("")
    yield
    shutil.rmtree(folder)


@pytest.mark.parametrize(("part", "what"), [("experts", "play"), ("world", "open")])
def test_what_is_missing_is_named(unfinished, part, what):
    with pytest.raises(UserError) as error:
        provided(f"w2sg.environments.unfinished.{part}", what)
    assert str(error.value) == f"environments/unfinished: {part} is missing or has no {what}"


def test_a_missing_library_is_not_taken_for_a_missing_part(unfinished):
    (FOLDER / "unfinished/tasks").mkdir()
    (FOLDER / "unfinished/tasks/__init__.py").write_text("import no_such_library")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        provided("w2sg.environments.unfinished.tasks", "make")
