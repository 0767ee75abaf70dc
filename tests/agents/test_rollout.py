"""The rollout engine with a real model: keyed randomness, cohorts, and killed runs that go on as if nothing was."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from w2sg.agents import rollout
from w2sg.agents.policies import TransformersPolicy
from w2sg.agents.rollout import NO_ACTION, Request, cohorts, play, play_cohort, reset_all, uniforms
from w2sg.contracts.environment import StepResult
from w2sg.contracts.tasks import Task


class Letters:
    """A toy world that answers with the length of the action; an action of even length wins after the first step."""

    name = "letters"
    opened = 0

    def __init__(self):
        type(self).opened += 1
        self.resets = []

    def reset(self, task, *, seed=0):
        self.task, self.steps = task, 0
        self.resets.append((task.task_id, seed))
        return task.instruction, {}

    def step(self, action):
        assert self.steps < self.task.max_steps
        self.steps += 1
        won = self.steps > 1 and bool(action) and len(action) % 2 == 0
        truncated = not won and self.steps == self.task.max_steps
        return StepResult(f"{len(action)} letters", 1.0 if won else 0.0, won, truncated, {})

    def admissible(self):
        return []

    def close(self):
        type(self).opened -= 1


class Scripted:
    """A policy with a fixed list of turns for every conversation; it keeps what it was asked."""

    def __init__(self, *turns):
        self.turns, self.asked = turns, []

    def start(self, rows, before=None):
        self.count = [0] * rows
        self.before = before
        return self

    def respond(self, rows, observations, *, temperature, top_p, uniforms):
        self.asked.append((list(rows), list(observations), list(temperature), list(top_p), uniforms.copy()))
        texts = []
        for row in rows:
            texts.append(self.turns[self.count[row] % len(self.turns)])
            self.count[row] += 1
        return texts


class Killed(Exception):
    """The process dies here."""


class Dying:
    """A policy that dies when its n-th cohort starts; it counts the cohorts it played."""

    def __init__(self, policy, *, at=None):
        self.policy, self.at, self.played = policy, at, 0

    def start(self, rows, before=None):
        if self.played == self.at:
            raise Killed
        self.played += 1
        return self.policy.start(rows, before)


def requests(count=7, *, max_steps=3, samples=1):
    return [
        Request(
            Task("letters", f"task-{number}", "train", "spell", f"Spell {number}.", "{}", max_steps), sample, 1.0, 0.95
        )
        for number in range(count)
        for sample in range(samples)
    ]


def run(policy, store, *, asked=None, cohort=3, seed=0, prompt=""):
    return play(
        policy,
        Letters,
        requests() if asked is None else asked,
        name="sft_weak",
        prompt=prompt,
        seed=seed,
        cohort=cohort,
        max_new_tokens=8,
        store=store,
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(autouse=True)
def nobody_has_a_world():
    Letters.opened = 0  # one test's failure is not the next one's


@pytest.fixture
def policy(model, own_tokenizer):
    return TransformersPolicy(model, own_tokenizer)


def test_two_runs_give_the_same_bytes(policy, tmp_path):
    first, second = run(policy, tmp_path / "1"), run(policy, tmp_path / "2")
    assert first == second
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert [trajectory.task_id for trajectory in first] == [f"task-{number}" for number in range(7)]
    assert len({trajectory.steps[0].response for trajectory in first}) > 3, "the model samples"
    assert Letters.opened == 0


@pytest.mark.parametrize("at", [0, 1, 2])
def test_killed_and_resumed(policy, tmp_path, at):
    """The bytes of an uninterrupted run, and no finished cohort is played again."""
    whole = run(policy, tmp_path / "whole")
    with pytest.raises(Killed):
        run(Dying(policy, at=at), tmp_path / "store")
    assert Letters.opened == 0
    assert (sorted(contents(tmp_path / "store")) if at else []) == [f"cohort-{n:04d}.parquet" for n in range(at)]
    again = Dying(policy)
    assert run(again, tmp_path / "store") == whole
    assert again.played == 3 - at
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")
    nothing = Dying(policy, at=0)
    assert run(nothing, tmp_path / "store") == whole


def test_killed_inside_a_cohort(policy, tmp_path, monkeypatch):
    """Half a cohort leaves nothing behind."""
    whole = run(policy, tmp_path / "whole")
    steps = iter(range(12))
    step = Letters.step

    def dying_step(self, action):
        if next(steps, None) is None:
            raise Killed
        return step(self, action)

    with monkeypatch.context() as patched:
        patched.setattr(Letters, "step", dying_step)
        with pytest.raises(Killed):
            run(policy, tmp_path / "store")
    assert list(contents(tmp_path / "store")) == ["cohort-0000.parquet"]
    assert run(policy, tmp_path / "store") == whole


@pytest.mark.parametrize("damage", ["empty", "cut", "of other tasks"])
def test_a_damaged_cohort_is_played_again(policy, tmp_path, capsys, damage):
    """It is dropped with a note, and alone; the bytes are those of an undisturbed run."""
    whole = run(policy, tmp_path / "whole")
    run(policy, tmp_path / "store")
    file = tmp_path / "store/cohort-0001.parquet"
    content = (tmp_path / "store/cohort-0000.parquet").read_bytes() if damage == "of other tasks" else file.read_bytes()
    file.write_bytes({"empty": b"", "cut": content[: len(content) // 2]}.get(damage, content))
    capsys.readouterr()
    again = Dying(policy)
    assert run(again, tmp_path / "store") == whole
    assert again.played == 1
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")
    (note,) = [line for line in capsys.readouterr().err.splitlines() if "cohort-0001.parquet" in line]
    assert note.endswith("; removed, this cohort is played again")
    assert Letters.opened == 0


def test_seeds_and_samples_differ(policy, tmp_path):
    played = run(policy, tmp_path / "0", asked=requests(2, samples=3))
    other = run(policy, tmp_path / "1", asked=requests(2, samples=3), seed=1)
    assert [(each.task_id, each.sample) for each in played] == [(f"task-{t}", s) for t in range(2) for s in range(3)]
    responses = [trajectory.steps[0].response for trajectory in played + other]
    assert len(set(responses)) == len(responses)


def test_one_row_does_not_depend_on_the_others(policy, tmp_path):
    """Its numbers are its own; only the last bits of the logits could tell, which is why cohorts are fixed."""
    together = run(policy, tmp_path / "1", cohort=7)
    alone = run(policy, tmp_path / "2", cohort=1)
    assert together == alone


def test_cohort_boundaries(tmp_path):
    assert [list(part) for part in cohorts(list(range(7)), size=3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [list(part) for part in cohorts(list(range(6)), size=3)] == [[0, 1, 2], [3, 4, 5]]
    assert list(cohorts([], size=3)) == []
    assert run(Scripted("x"), tmp_path, asked=[]) == []
    for cohort, sizes in ((3, [3, 3, 1]), (7, [7]), (100, [7])):
        script = Scripted("Thought: t\nAction: a")
        run(script, tmp_path / str(cohort), cohort=cohort)
        assert [len(rows) for rows, *_ in script.asked][::3] == sizes


def test_what_the_policy_is_asked(tmp_path):
    """The prompt opens the first turn alone; every row gets its own settings and numbers; finished rows are out."""
    asked = requests(2)
    asked = [asked[0], replace(asked[1], temperature=0.0, top_p=0.5, task=replace(asked[1].task, max_steps=2))]
    script = Scripted("Thought: t\nAction: abc")
    run(script, tmp_path, asked=asked, prompt="PROMPT", seed=4)
    assert [rows for rows, *_ in script.asked] == [[0, 1], [0, 1], [0]]
    assert script.asked[0][1] == ["PROMPT\nSpell 0.", "PROMPT\nSpell 1."]
    assert script.asked[1][1] == ["3 letters"] * 2
    assert script.asked[0][2:4] == ([1.0, 0.0], [0.95, 0.5])
    assert script.asked[2][2:4] == ([1.0], [0.95])
    for turn, (rows, *_, numbers) in enumerate(script.asked):
        expected = [uniforms(seed=4, request=asked[row], turn=turn, count=8) for row in rows]
        np.testing.assert_array_equal(numbers, expected)


def test_steps_scores_and_ends(tmp_path):
    """A turn without an action costs a step, is told so, and acts as the empty action."""
    script = Scripted("Thought: t\nAction: ab", "no form", "Thought: u\nAction: cd")
    (won,) = run(script, tmp_path / "won", asked=requests(1))
    assert [step.action for step in won.steps] == ["ab", "", "cd"]
    assert [step.thought for step in won.steps] == ["t", "", "u"]
    assert [step.valid for step in won.steps] == [True, False, True]
    assert [step.response for step in won.steps][1] == "no form"
    assert [step.next_observation for step in won.steps] == ["2 letters", NO_ACTION, "2 letters"]
    assert [step.observation for step in won.steps] == ["Spell 0.", "2 letters", NO_ACTION]
    assert won.completed
    assert won.success
    assert (won.policy, won.sample, won.temperature, won.top_p) == ("sft_weak", 0, 1.0, 0.95)
    (cut,) = run(Scripted("nothing"), tmp_path / "cut", asked=requests(1))
    assert len(cut.steps) == 3
    assert not cut.completed
    assert not cut.success


def test_environments_are_reused_and_seeded(tmp_path):
    worlds = [Letters(), Letters()]
    for part in cohorts(requests(4), size=2):
        play_cohort(
            Scripted("x"),
            worlds,
            part,
            openings=reset_all(worlds, part, seed=9),
            name="n",
            prompt="",
            seed=9,
            max_new_tokens=2,
        )
    assert [world.resets for world in worlds] == [[("task-0", 9), ("task-2", 9)], [("task-1", 9), ("task-3", 9)]]
    for world in worlds:
        world.close()


def test_the_next_cohort_is_reset_while_one_plays(tmp_path):
    begun = threading.Event()

    class Watched(Letters):
        def reset(self, task, *, seed=0):
            if task.task_id == "task-2":
                begun.set()
            return super().reset(task, seed=seed)

    class Patient(Scripted):
        def respond(self, rows, observations, **settings):
            assert begun.wait(20), "the second cohort is reset during the first"
            return super().respond(rows, observations, **settings)

    settings = {"name": "n", "prompt": "", "seed": 0, "max_new_tokens": 2, "cohort": 2}
    asked = requests(5)
    trajectories = play(Patient("x"), Watched, asked, store=tmp_path / "ahead", **settings)
    assert [each.task_id for each in trajectories] == [request.task.task_id for request in asked]
    assert Letters.opened == Watched.opened == 0


def test_uniforms_are_keyed_by_all_that_matters():
    (request,) = requests(1)
    asked = {"seed": 0, "request": request, "turn": 0, "count": 100}
    first = uniforms(**asked)
    assert first.shape == (100,)
    assert ((first >= 0) & (first < 1)).all()
    np.testing.assert_array_equal(uniforms(**asked), first)
    np.testing.assert_array_equal(uniforms(**asked | {"count": 10}), first[:10])
    np.testing.assert_array_equal(uniforms(**asked | {"request": replace(request, temperature=0.1)}), first)
    others = [
        asked | {"seed": 1},
        asked | {"turn": 1},
        asked | {"request": replace(request, sample=1)},
        asked | {"request": replace(request, task=replace(request.task, task_id="task-1"))},
        asked | {"request": replace(request, task=replace(request.task, environment="numbers"))},
    ]
    assert all(not np.isin(uniforms(**other), first).any() for other in others)


def test_uniforms_are_the_same_on_every_machine():
    """Golden: a change here changes every trajectory ever recorded."""
    (request,) = requests(1)
    assert uniforms(seed=0, request=request, turn=0, count=3).tolist() == [
        0.13316389284883445,
        0.25896778730495174,
        0.37720572439206757,
    ]


def test_progress_is_one_line_where_it_is_not_a_terminal(capsys, monkeypatch):
    clock = iter([0.0, 1.0, 11.0, 12.0, 13.0])
    monkeypatch.setattr(rollout.time, "monotonic", lambda: next(clock))
    progress = rollout.Progress(total=4, what="sft_weak: episodes")
    for done in (1, 2, 3, 4):
        progress.show(done, note="0 won")
    assert capsys.readouterr().err.splitlines() == [
        "sft_weak: episodes 2/4, 11 s left, 0 won",
        "sft_weak: episodes 4/4, 0 s left, 0 won",
    ]


def test_the_numbers_of_a_turn_are_those_of_its_place_in_the_episode(tmp_path):
    """Turns that were said beforehand count."""
    (asked,) = requests(1)
    asked = replace(asked, prefix=("Thought: t\nAction: abc",))
    script = Scripted("Thought: t\nAction: abc")
    run(script, tmp_path, asked=[asked], seed=4)
    assert len(script.asked) == 2
    for turn, (_, *_, numbers) in enumerate(script.asked, start=1):
        np.testing.assert_array_equal(numbers[0], uniforms(seed=4, request=asked, turn=turn, count=8))


def test_another_sample_of_the_same_tasks_is_played(tmp_path):
    first, second = requests(1, samples=2)
    run(Scripted("x"), tmp_path, asked=[first])
    again = Dying(Scripted("y"))
    (found,) = run(again, tmp_path, asked=[second])
    assert (again.played, found.sample) == (1, 1)
