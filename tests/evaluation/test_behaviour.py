"""What went wrong in the episodes."""

from dataclasses import replace

from w2sg.contracts.episodes import Episode
from w2sg.evaluation.measures import behaviour
from w2sg.evaluation.measures.episodes import GroupedEpisodes

from .builders import step, trajectory


def test_repeated_steps_are_those_that_say_again_what_the_step_before_said() -> None:
    assert behaviour.repeated(trajectory(["look", "look", "look", "go"])) == 0.5
    assert behaviour.repeated(trajectory(["look"])) == 0.0


def test_behaviours_count_what_went_wrong() -> None:
    steps = (
        step("look"),
        step("fly", answer="Nothing happens."),
        step("fly", answer="Nothing happens."),
        step("mumble", answer="Nothing happens.", valid=False),
    )
    episode = Episode("sft_weak", 0, "seen", replace(trajectory(["look"]), steps=steps))
    (row,) = behaviour.behaviours(GroupedEpisodes([episode]))
    assert (row.episodes, row.steps) == (1, 4.0)
    assert (row.unparsed, row.refused, row.repeated) == (0.25, 0.5, 0.25)


def test_no_refusals_are_counted_where_the_environment_has_no_words_for_them() -> None:
    episode = Episode("sft_weak", 0, "seen", trajectory(["click[Nowhere]"], environment="webshop"))
    (row,) = behaviour.behaviours(GroupedEpisodes([episode]))
    assert row.refused is None


def test_the_words_of_one_environment_refuse_nothing_in_another() -> None:
    answered = step("fly", answer="Nothing happens.")
    assert behaviour.refused(answered, "alfworld") and not behaviour.refused(answered, "scienceworld")
