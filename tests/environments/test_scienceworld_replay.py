"""`w2sg replay scienceworld`: solutions played twice, and what a solution that does not win costs."""

import pytest

from w2sg.contracts.errors import UserError
from w2sg.environments.scienceworld import replay
from w2sg.environments.scienceworld.world.simulator import Simulator, Variations

from .scienceworld_examples import running


def test_solutions_win_twice_in_the_same_words(capsys: pytest.CaptureFixture[str]) -> None:
    with running():
        pass
    assert replay.compare("lifespan-longest-lived,find-plant", 2) == 0
    assert capsys.readouterr().out == "score 1.0: 4 of 4; identical: 4 of 4\n"


def test_a_solution_that_does_not_win_is_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running():
        pass
    # As that of `freeze` 19, which burns what it should freeze, but quicker.
    whole = Simulator.gold_path
    monkeypatch.setattr(Simulator, "gold_path", lambda *arguments: whole(*arguments)[:1])
    assert replay.compare("lifespan-longest-lived", 1) == 1
    shown = capsys.readouterr()
    assert shown.out == "score 1.0: 0 of 1; identical: 1 of 1\n"
    assert shown.err == "lifespan-longest-lived 0: score 0.00\n"


@pytest.mark.parametrize(
    ("tasks", "variations", "message"),
    [("boil,fry", 1, "--tasks fry: unknown; allowed are all, boil, "), ("all", 0, "--variations 0: allowed is 1 or")],
)
def test_arguments_that_cannot_be_are_users_errors(tasks: str, variations: int, message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}"):
        replay.compare(tasks, variations)


def test_variations_are_spread_over_the_whole_range() -> None:
    ten = Variations(train=[0, 1, 2, 3, 4], dev=[5, 6], test=[7, 8, 9])
    assert replay.spread(ten, 3) == [0, 4, 9]
    assert replay.spread(ten, 1) == [0]
    assert replay.spread(ten, 99) == list(range(10))
