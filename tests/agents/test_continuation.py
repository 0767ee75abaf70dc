"""Episodes that go on from the middle: the toy world, a real model, kills, and what the environment answers."""

from dataclasses import replace

import pytest

from w2sg.agents.continuation import Start, check_heard, play_on
from w2sg.agents.policies import TransformersPolicy
from w2sg.contracts.errors import UserError
from w2sg.contracts.trajectories import conversation

from .test_rollout import Dying, Killed, Letters, Scripted, contents, requests

SAID = ("Thought: t\nAction: abc", "no form")


class Endless(Letters):
    """Nothing wins, so that every episode has all its steps."""

    def step(self, action):
        return super().step(f"{action}{'' if len(action) % 2 else '!'}")


def task(number=0, *, max_steps=5):
    return requests(number + 1, max_steps=max_steps)[number].task


def run(policy, store, starts, *, world=Letters, temperature=0.0, cohort=3, seed=0, prompt=""):
    return play_on(
        policy, world, starts, temperature=temperature, top_p=0.95, name="sft_weak", prompt=prompt, seed=seed,
        cohort=cohort, max_new_tokens=8, store=store,
    )  # fmt: skip


@pytest.fixture
def policy(letters_pair):
    return TransformersPolicy(*letters_pair)


def test_what_was_said_acts_and_the_policy_goes_on(tmp_path):
    """The environment answers every turn anew; the policy is shown the conversation and asked for the rest."""
    script = Scripted("Thought: u\nAction: cd")
    (played,) = run(script, tmp_path, [Start(task(), SAID, 4)], prompt="PROMPT")
    assert [step.response for step in played.steps] == [*SAID, "Thought: u\nAction: cd"]
    assert [step.action for step in played.steps] == ["abc", "", "cd"]
    assert [step.observation for step in played.steps][:2] == ["Spell 0.", "3 letters"]
    assert (played.sample, played.success, played.completed) == (4, True, True)
    assert script.before == [conversation(played.steps[:2], prompt="PROMPT")]
    assert script.asked[0][1] == [played.steps[2].observation], "the prompt opens the first turn alone"


def test_a_continuation_is_the_episode_that_was_never_left(policy, tmp_path):
    """Greedy, from every turn, beside continuations of other lengths."""
    (whole,) = run(policy, tmp_path / "whole", [Start(task(), (), 0)], world=Endless)
    said = tuple(step.response for step in whole.steps)
    assert len(said) == 5 and len(set(said)) > 3, "the model listens"
    starts = [Start(task(), said[:length], 0) for length in (3, 0, 5, 1, 4, 2)]
    assert run(policy, tmp_path / "parts", starts, world=Endless) == [whole] * 6


def test_samples_prefixes_and_seeds_have_numbers_of_their_own(policy, tmp_path):
    starts = [Start(task(), said, sample) for said in ((), SAID[:1], SAID) for sample in range(3)]
    played = run(policy, tmp_path / "0", starts, temperature=1.0)
    assert [each.sample for each in played] == [0, 1, 2] * 3
    drawn = [each.steps[len(start.said)].response for start, each in zip(starts, played, strict=True)]
    other = run(policy, tmp_path / "1", starts, temperature=1.0, seed=1)
    drawn += [each.steps[len(start.said)].response for start, each in zip(starts, other, strict=True)]
    assert len(set(drawn)) == len(drawn)


def test_one_alone_is_the_one_among_others(policy, tmp_path):
    starts = [Start(task(number), SAID[: number % 3], 0) for number in range(7)]
    together = run(policy, tmp_path / "all", starts, temperature=1.0, cohort=7)
    alone = [run(policy, tmp_path / f"{n}", [start], temperature=1.0)[0] for n, start in enumerate(starts)]
    assert together == alone
    assert [each.task_id for each in together] == [start.task.task_id for start in starts]


def test_killed_and_resumed(policy, tmp_path):
    starts = [Start(task(number), SAID[: number % 3], 0) for number in range(7)]
    whole = run(policy, tmp_path / "whole", starts, temperature=1.0)
    with pytest.raises(Killed):
        run(Dying(policy, at=2), tmp_path / "store", starts, temperature=1.0)
    again = Dying(policy)
    assert run(again, tmp_path / "store", starts, temperature=1.0) == whole
    assert again.played == 1
    (kept,), (expected,) = (list((tmp_path / name).iterdir()) for name in ("store", "whole"))
    assert kept.name == expected.name and contents(kept) == contents(expected)
    others = [replace(start, said=("another",)) for start in starts]
    assert run(policy, tmp_path / "store", others, temperature=1.0)[0].steps[0].response == "another"
    assert Letters.opened == 0


def test_turns_that_end_the_episode_leave_nothing_to_play(tmp_path):
    won = ("Thought: t\nAction: ab",) * 2
    script = Scripted("Thought: u\nAction: x")
    ended, cut, on = run(
        script,
        tmp_path,
        [Start(task(), (*won, "never said"), 0), Start(task(max_steps=1), SAID[:1], 0), Start(task(1), won[:1], 0)],
    )
    assert ended.success and [step.response for step in ended.steps] == list(won)
    assert not cut.completed and len(cut.steps) == 1
    assert len(on.steps) == 5
    assert script.asked and all(rows == [1] for rows, *_ in script.asked), "only the third, in the order of lengths"


def test_what_is_heard_must_be_what_was_heard(tmp_path):
    (played,) = run(Scripted("x"), tmp_path, [Start(task(), SAID, 0)], prompt="PROMPT")
    messages = conversation(played.steps[:2], prompt="PROMPT")
    check_heard(played, messages, prompt="PROMPT")
    check_heard(played, messages[:3], prompt="PROMPT")
    whole = conversation(played.steps, prompt="PROMPT")
    with pytest.raises(UserError, match=r"was played on other words than it is now"):  # it ends earlier now
        check_heard(played, [*whole, *whole[-2:]], prompt="PROMPT")
    messages[2]["content"] = "4 letters"
    with pytest.raises(UserError, match=r"^task task-0: turn 1 was played on other words than it is now; the tasks"):
        check_heard(played, messages, prompt="PROMPT")
