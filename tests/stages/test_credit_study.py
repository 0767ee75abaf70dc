"""`make credit` on a small run: which paths, from where is played on, what is written, kills and refusals."""

import contextlib
import csv
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

import credit
from credit_paths import chosen, outcomes, plan, starts
from w2sg.agents import rollout
from w2sg.agents.continuation import play_on
from w2sg.config import params
from w2sg.contracts import layout
from w2sg.contracts.command_line import INTERRUPTED
from w2sg.contracts.errors import UserError
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.trajectories import read_trajectories, write_trajectories
from w2sg.environments.alfworld.redraw import Redraws
from w2sg.environments.opener import opener
from w2sg.evaluation.measures.credit import credits
from w2sg.evaluation.measures.statistics import Resampling
from w2sg.training import bases
from w2sg.training.tokenizer import train_tokenizer

RUN = {"environment": "alfworld", "seed": 0}
KEPT = frozenset({"data/tasks", "data/games", "data/play", "data/explore", "data/paths"})


@pytest.fixture(scope="module")
def trained(built, tmp_path_factory):
    """The project with a weak model that has learned nothing, and a strong one that fails all but the first task."""
    project = built.copy(tmp_path_factory.mktemp("trained"), only=KEPT)
    with contextlib.chdir(project.path):
        settings = params.load()
        texts = [
            message["content"] for each in read_trajectories(layout.play("alfworld")) for message in each.messages()
        ]
        tokenizer = train_tokenizer(texts, vocabulary=400, context=512)
        model = bases.create(settings.models.weak, tokenizer=tokenizer, context=512, seed=0)
        bases.save(model, tokenizer, layout.sft("alfworld", 0, "weak"))
        explored = read_trajectories(layout.explore("alfworld", 0, "weak"))
        first = explored[0].task_id
        lost = [each if each.task_id == first else replace(each, steps=each.steps[:1]) for each in explored]
        write_trajectories(layout.explore("alfworld", 0, "strong"), lost)
    return project


@pytest.fixture
def paths(here):
    return chosen(here, **RUN, most=40)


class Idle:
    """Says the same for ever, which wins nothing."""

    def start(self, rows, before=None):
        return self

    def respond(self, rows, observations, **settings):
        return ["Thought: wait\nAction: look"] * len(rows)


def played_on(paths, settings, policy, folder, *, samples=3):
    redraws = Redraws(layout.games("alfworld"), folder / "games")
    planned = list(plan(paths, samples=samples, redraws=redraws))
    wanted = starts(planned)
    played = play_on(
        policy, opener("alfworld", settings, folder=folder / "games"), wanted, temperature=1.0, top_p=1.0,
        name="idle", prompt="", seed=0, cohort=50, max_new_tokens=4, store=folder,
    )  # fmt: skip
    return planned, outcomes(planned, dict(zip(wanted, played, strict=True)), prompt="")


def test_paths_are_of_tasks_that_the_weak_model_alone_solves(here, paths):
    weak = [each for each in read_trajectories(layout.explore("alfworld", 0, "weak")) if each.sample < 3]
    solved = {each.task_id for each in weak if each.success} - {weak[0].task_id}
    assert solved and {path.task.task_id for path in paths} == solved
    for path in paths:
        assert path.outcome == 1.0 and path.actions[-1].startswith(("move", "put"))
        own = [each for each in weak if each.task_id == path.task.task_id and each.success]
        if path.kind == "best_of_m":
            assert len(path.said) == min(len(each.steps) for each in own)
    by_kind = {kind: [path for path in paths if path.kind == kind] for kind in ("best_of_m", "mcts")}
    assert len(by_kind["best_of_m"]) == len(solved)
    stored = DemonstrationPath.read(layout.paths("alfworld", 0, "w2s_mcts"))
    assert [path.messages for path in by_kind["mcts"]] == [p.messages for p in stored if p.task_id in solved]
    assert len({path.task.task_id for path in chosen(here, **RUN, most=1)}) == 1


def test_who_does_nothing_owes_all_to_the_last_step(here, paths, tmp_path):
    """Whose worth is 1, in every state: before it nothing is won, and it wins wherever what was seen is so."""
    planned, found = played_on(paths, here, Idle(), tmp_path)
    assert len(found) == 2 * len(paths) and len(planned) == 2 * sum(len(path.said) for path in paths)
    for each in found:
        assert [step.worth for step in each.steps] == [0.0] * (len(each.steps) - 1) + [1.0]
        assert (each.start, each.skill, each.luck) == (0.0, 1.0, 0.0)
        assert all(len(step.before) == len(step.after) == 3 for step in each.steps)
    measured = credits(found, resampling=Resampling(100, 0.95, 0))
    assert {each.value.mean for each in measured if each.measure == "right"} == {1.0}
    assert {each.value.mean for each in measured if each.measure == "kind state"} == {0.0}


def test_states_are_redrawn_before_the_step_and_shared_by_its_two_sides(paths, tmp_path):
    redraws = Redraws(layout.games("alfworld"), tmp_path)
    planned = list(plan(paths, samples=3, redraws=redraws))
    around = [each for each in planned if each.states == "redrawn" and each.path is paths[0]]
    assert [each.step for each in around] == list(range(len(paths[0].said)))
    for each in around:
        assert [start.task for start in each.before] == [start.task for start in each.after]
        assert {start.said for start in each.before} == {paths[0].said[: each.step]}
        assert {start.said for start in each.after} == {paths[0].said[: each.step + 1]}
    assert len({start.task.task_id for start in around[0].before}) == 3, "nothing is seen yet"
    recorded = [each for each in planned if each.states == "recorded" and each.path is paths[0]]
    assert all(one.after == other.before for one, other in pairwise(recorded))
    assert recorded[-1].after is None
    assert {each.states for each in plan(paths, samples=3, redraws=None)} == {"recorded"}


def test_another_world_than_the_recorded_is_noticed(here, paths, tmp_path):
    told = [dict(message) for message in paths[0].messages]
    told[2]["content"] += "?"
    with pytest.raises(UserError, match="turn 1 was played on other words than it is now"):
        played_on([replace(paths[0], messages=told)], here, Idle(), tmp_path)


def run(monkeypatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["credit", *words])
    return credit.main()


def test_the_tables_are_those_of_an_undisturbed_run(trained, tmp_path, monkeypatch, capsys):
    """A kill costs the cohort that was played; the page says what was measured."""
    project = trained.copy(tmp_path / "project").path
    words = ("--run", str(project), "--environments", "alfworld", "--samples", "2", "--tasks", "1")
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *words, "--output", "whole") == 0
    assert not list((project / ".resume").glob("*")), "what was kept goes with the end"
    play_cohort = rollout.play_cohort
    left = iter(range(3))

    def dying(*arguments, **settings):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return play_cohort(*arguments, **settings)

    with monkeypatch.context() as patched:
        patched.setattr(rollout, "play_cohort", dying)
        assert run(monkeypatch, *words, "--output", "again") == INTERRUPTED
    assert len(list((project / ".resume").rglob("cohort-*.parquet"))) == 3 and not Path("again").exists()
    assert run(monkeypatch, *words, "--output", "again") == 0
    for name in ("credit.csv", "steps.csv"):
        assert Path("whole", name).read_bytes() == Path("again", name).read_bytes()
    with Path("whole/steps.csv").open() as file:
        steps = list(csv.DictReader(file))
    assert {len(step[side].split()) for step in steps for side in ("before", "after")} == {2}
    with Path("whole/credit.csv").open() as file:
        rows = list(csv.DictReader(file))
    states = {(row["kind"], row["states"]) for row in rows}
    assert states == {(kind, state) for kind in ("best_of_m", "mcts") for state in ("recorded", "redrawn")}
    (right,) = [row for row in rows if (row["kind"], row["states"], row["measure"]) == ("mcts", "redrawn", "right")]
    own = [step for step in steps if (step["kind"], step["states"]) == ("mcts", "redrawn")]
    assert float(right["value"]) == pytest.approx(sum(step["right"] == "True" for step in own) / len(own), abs=1e-5)
    assert int(right["steps"]) == len(own)
    page = Path("whole/README.md").read_text()
    assert "## Steps" in page and "## Skill and luck" in page and "| ALFWorld | e* | redrawn | 1 |" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--environments", "nowhere"), "--environments nowhere: the run has "),
        (("--samples", "13"), "--samples 13: allowed is 1 to 12"),
        (("--tasks", "0"), "--tasks 0: allowed is 1 or more"),
        (("--temperature", "0"), "--temperature 0.0 --top-p 1.0: allowed are above 0"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_line(trained, monkeypatch, capsys, words, said):
    try:
        code = run(monkeypatch, "--run", str(trained.path), *words)
    except SystemExit as error:
        code = int(str(error.code))
    assert code == 2 and said in capsys.readouterr().err.splitlines()[-1]


def test_a_run_without_such_tasks_is_refused(trained, tmp_path, monkeypatch, capsys):
    project = trained.copy(tmp_path / "project").path
    weak = read_trajectories(project / layout.explore("alfworld", 0, "weak"))
    write_trajectories(project / layout.explore("alfworld", 0, "strong"), [w for w in weak if w.sample == 0])
    assert run(monkeypatch, "--run", str(project), "--environments", "alfworld") == 2
    assert "no task that the weak model alone solves" in capsys.readouterr().err
