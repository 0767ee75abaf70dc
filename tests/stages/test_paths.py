"""The replay that certifies a path (A6)."""

import contextlib
from dataclasses import replace

import pytest

from w2sg.config import params
from w2sg.contracts import layout
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.tasks import Task
from w2sg.contracts.trajectories import read_trajectories, write_trajectories
from w2sg.environments.certification import act_out
from w2sg.environments.opener import opener
from w2sg.environments.prompts import prompt
from w2sg.stages import paths as stage
from w2sg.trees.tree import load

from .conftest import RUN


@pytest.fixture(scope="module")
def won(built):
    """An open environment, a task, and the steps that win it."""
    with contextlib.chdir(built.path):
        expert = read_trajectories(layout.experts("alfworld"))[0]
        task = next(task for task in Task.read(layout.tasks("alfworld")) if task.task_id == expert.task_id)
        world = opener("alfworld", params.load())()
        yield world, task, expert.steps
        world.close()


def test_what_was_played_is_certified(won):
    world, task, steps = won
    assert act_out(world, task, steps, seed=0) == (1.0, True)
    assert act_out(world, task, steps, seed=0) == (1.0, True)
    assert act_out(world, task, steps[:-1], seed=0) == (0.0, True)
    assert act_out(world, task, [*steps, steps[0]], seed=0) == (1.0, True), "what follows the end is not acted out"


def test_other_observations_are_noticed(won):
    world, task, steps = won
    for number, step in enumerate(steps):
        changed = [*steps[:number], replace(step, observation="elsewhere"), *steps[number + 1 :]]
        assert act_out(world, task, changed, seed=0) == (1.0, False)


def test_a_step_that_leads_elsewhere_is_noticed(won):
    world, task, steps = won
    lost = [replace(steps[0], action="look"), *steps[1:]]
    score, same = act_out(world, task, lost, seed=0)
    assert not same
    assert score in (0.0, 1.0)


def test_a_turn_without_an_action(won):
    """The empty action costs a step; what the agent was told is not the environment's answer, so no difference."""
    world, task, steps = won
    told = replace(steps[0], action="", valid=False, next_observation="Invalid format.")
    second = replace(steps[0], observation="Invalid format.")
    assert act_out(world, task, [told, second, *steps[1:]], seed=0) == (1.0, True)
    assert act_out(world, task, [replace(told, valid=True), second, *steps[1:]], seed=0) == (1.0, False)


def test_the_control_imitates_one_demonstration_for_every_tree(built, tmp_path):
    """In turn, whatever they scored, each certified by its replay; here two, for three trees."""
    project = built.copy(tmp_path)
    with contextlib.chdir(project.path):
        experts = read_trajectories(layout.experts("alfworld"))[:2]
        write_trajectories(layout.experts("alfworld"), experts)
        layout.paths("alfworld", 0, "more_sft").unlink()
    assert project.run("paths", "--environment", "alfworld", "--seed", "0", "--method", "more_sft") == (0, [])
    with contextlib.chdir(project.path):
        found = DemonstrationPath.read(layout.paths("alfworld", 0, "more_sft"))
        style = params.load().environment("alfworld").prompt
        assert len(found) == len(load(layout.trees("alfworld", 0))) == 3
    for number, path in enumerate(found):
        expert = experts[number % 2]
        assert (path.kind, path.task_id) == ("demonstrations", expert.task_id)
        assert path.tree_value == path.replay_score == expert.score and path.certified
        assert path.messages == expert.messages(prompt=prompt("alfworld", style=style))


@pytest.mark.parametrize(
    "kind, own",
    [
        ("first", None),
        ("strong", None),
        ("both", None),
        ("expert", None),
        ("best_of_m", {"minimum_score": 0.0}),
        ("mcts", None),
    ],
)
def test_who_is_imitated(built, tmp_path, kind, own):
    """The first sample, the best of the strong model, of both, of the weak one, the expert; own settings count."""
    project = built.copy(tmp_path)
    with contextlib.chdir(project.path):
        settings = params.load()
    mcts = None if own is None else settings.mcts.model_dump() | own
    entry = {"init": "base_strong", "data": kind, "expert_share": 0.0, "mcts": mcts, "imitate": None}
    project.edit(imitation={"student": entry}, mcts={"minimum_score": 0.9 if own else 0.0})
    assert project.run("paths", "--environment", "alfworld", "--seed", "0", "--method", "student") == (0, [])
    with contextlib.chdir(project.path):
        found = {path.task_id: path for path in DemonstrationPath.read(layout.paths("alfworld", 0, "student"))}
        trees = load(layout.trees("alfworld", 0))
        strong = read_trajectories(layout.explore("alfworld", 0, "strong"))
        experts = {each.task_id: each for each in read_trajectories(layout.explored_experts("alfworld"))}
        text = prompt("alfworld", style=settings.environment("alfworld").prompt)
    assert found.keys() == trees.keys() and {path.kind for path in found.values()} == {kind}
    for task_id, path in found.items():
        weak = trees[task_id].trajectories
        breadth = [each for each in strong if each.task_id == task_id and each.sample < len(weak)]
        others = {"first": weak[:1], "strong": breadth, "both": [*weak, *breadth], "expert": [experts[task_id]]}
        candidates = others.get(kind, weak)
        best = min(candidates, key=lambda each: (-each.score, len(each.steps), each.sample))
        assert path.tree_value == best.score and path.certified
        if kind != "mcts":
            assert path.messages == best.messages(prompt=text)
        else:
            assert path.messages in [each.messages(prompt=text) for each in weak], "every e* is in one sample's words"


@pytest.mark.parametrize("minimum", [0.0, 1.0])
def test_all_wins_are_imitated(built, tmp_path, minimum):
    """Every sample of every tree whose score is high enough, in the trees' order, several of a task among them."""
    project = built.copy(tmp_path)
    with contextlib.chdir(project.path):
        trees = load(layout.trees("alfworld", 0))
        won = [each for tree in trees.values() for each in tree.trajectories if each.score >= minimum]
    entry = {"init": "base_strong", "data": "wins", "expert_share": 0.0, "mcts": None, "imitate": None}
    project.edit(imitation={"student": entry}, mcts={"minimum_score": minimum})
    code, said = project.run("paths", "--environment", "alfworld", "--seed", "0", "--method", "student")
    if not won:
        assert code == 2 and "no path scores mcts.minimum_score (1.0)" in said[-1]
        return
    assert (code, said) == (0, [])
    with contextlib.chdir(project.path):
        found = DemonstrationPath.read(layout.paths("alfworld", 0, "student"))
    assert [(path.task_id, path.source_sample) for path in found] == [(each.task_id, each.sample) for each in won]


def test_a_replay_that_scores_otherwise_certifies_nothing(built, tmp_path, monkeypatch):
    """Though all its observations are the recorded ones."""
    project = built.copy(tmp_path)
    monkeypatch.chdir(project.path)
    monkeypatch.setattr(stage, "act_out", lambda *_, **__: (0.123, True))
    stage.main(params.load(), environment="alfworld", seed=0, method="best_of_m")
    found = DemonstrationPath.read(layout.paths("alfworld", 0, "best_of_m"))
    assert found and not any(path.certified for path in found)


def test_of_equal_samples_the_weak_model_s_is_taken_and_of_the_strong_one_s_only_m(built, tmp_path, monkeypatch):
    """The strong model has the weak one's samples in other words, and one more that is better than any: too late."""
    project = built.copy(tmp_path)
    entry = {"init": "base_strong", "data": "both", "expert_share": 0.0, "mcts": None, "imitate": None}
    project.edit(imitation={"student": entry, "own": entry | {"data": "strong"}}, mcts={"minimum_score": 0.0})
    monkeypatch.chdir(project.path)
    trees, strong = load(layout.trees("alfworld", 0)), []
    for tree in trees.values():
        for each in tree.trajectories:
            steps = tuple(replace(step, response=f"{step.response} strong") for step in each.steps)
            strong.append(replace(each, policy="sft_strong", steps=steps))
        last = replace(tree.trajectories[0].steps[-1], score=1.0)
        strong.append(replace(strong[-1], sample=len(tree.trajectories), steps=(last,)))
    write_trajectories(layout.explore("alfworld", 0, "strong"), strong)
    for method in ("student", "own"):
        assert project.run("paths", *RUN, "--method", method) == (0, [])
    both, own = (DemonstrationPath.read(layout.paths("alfworld", 0, method)) for method in ("student", "own"))
    assert both and own
    assert not any(
        "strong" in turn["content"] for path in both for turn in path.messages if turn["role"] == "assistant"
    )
    assert all(path.source_sample < len(trees[path.task_id].trajectories) for path in own)
