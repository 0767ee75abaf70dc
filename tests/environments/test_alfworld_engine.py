"""The engine against TextWorld's own: same words, same commands, same facts, same end."""

import random
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sg.contracts.errors import UserError
from w2sg.environments.alfworld.shipped_experts import plan, translator
from w2sg.environments.alfworld.tasks.games import TASK_TYPES
from w2sg.environments.alfworld.world.engine import NOTHING_HAPPENS, Engine
from w2sg.environments.alfworld.world.facts import Facts, Literal, in_order, solutions
from w2sg.environments.alfworld.world.grammar import read_query
from w2sg.environments.alfworld.world.rules import split_goal
from w2sg.environments.alfworld.world.translation import translate

from .alfworld_examples import real_files, small_files, small_game

BROKEN = ("", "   ", "go to nowhere 1", "GO TO DESK 1", "☃ " * 50, "take a", "help me")


@pytest.fixture(scope="module")
def original() -> Any:
    """TextWorld's engine with ALFWorld's names."""
    import textworld
    from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
    from textworld.envs.pddl.pddl import PddlEnv

    environment = AlfredDemangler(PddlEnv(textworld.EnvInfos(won=True, admissible_commands=True)))
    yield environment
    environment.close()


def known_facts(state: Any) -> set[tuple[str, ...]]:
    facts = ((fact.name, *(argument.name for argument in fact.arguments)) for fact in state["_facts"])
    return {fact for fact in facts if "new-axiom@" not in fact[0]}


def assert_same_episode(original: Any, data: dict[str, Any], commands: list[str], steps: int, seed: int) -> bool:
    """Play `commands`, then random ones, in both engines; return whether the game was won."""
    rng = random.Random(seed)
    argv = list(sys.argv)
    original.load(data)
    state = original.reset()
    sys.argv[:] = argv  # the translator of the original overwrites it
    engine = Engine(translate(data))
    assert engine.intro() == state.feedback
    for number in range(steps):
        offered = engine.commands()
        assert offered == state.admissible_commands
        assert engine.won() == state.won
        assert set(engine.facts) == known_facts(state)
        handling = [c for c in offered if not c.startswith(("go to", "examine", "help", "look", "inventory"))]
        command = rng.choice(handling if handling and rng.random() < 0.5 else offered)
        command = commands[number] if number < len(commands) else command
        command = rng.choice(BROKEN) if rng.random() < 0.05 and number >= len(commands) else command
        state, _, _ = original.step(command)
        assert engine.act(command) == state.feedback, command
        if state.won:
            assert engine.won()
            return True
    return False


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_small_games_are_played_as_the_original_plays_them(original: Any, task_type: str) -> None:
    data, _ = small_files(task_type)
    assert_same_episode(original, data, [], 12, seed=1)


def test_the_end_of_a_game_is_the_original_s(original: Any) -> None:
    data, _ = small_files("pick_clean_then_place_in_recep")
    assert assert_same_episode(original, data, plan(translate(data)), 40, seed=2)


@pytest.mark.slow
@pytest.mark.parametrize("archive", ["train_600.tar.xz", "valid_seen.tar.xz"])
def test_real_games_are_played_as_the_original_plays_them(original: Any, archive: str) -> None:
    assert_same_episode(original, real_files(archive, 1)[0]["game.tw-pddl"], [], 8, seed=0)


@pytest.mark.parametrize("archive", ["train_600.tar.xz", "valid_seen.tar.xz"])
def test_real_games_name_the_verb_of_their_grammar(archive: str) -> None:
    game = translate(real_files(archive, 1)[0]["game.tw-pddl"])
    assert game.rules.put_verb == ("put" if archive.startswith("train") else "move")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_answered(text: str) -> None:
    engine = Engine(small_game("pick_and_place_simple"))
    offered = engine.commands()
    answer = engine.act(text)
    assert answer == NOTHING_HAPPENS or text.strip() in offered
    assert engine.commands() == offered or text.strip() in offered


def test_one_cannot_go_to_where_one_stands() -> None:
    engine = Engine(small_game("pick_and_place_simple"))
    there = next(command for command in engine.commands() if command.startswith("go to"))
    assert engine.act(there) != NOTHING_HAPPENS
    assert there not in engine.commands()
    assert engine.act(there) == NOTHING_HAPPENS


def test_help_and_an_empty_inventory() -> None:
    engine = Engine(small_game("pick_and_place_simple"))
    assert engine.act("inventory") == "You are not carrying anything."
    assert "take (object) from (receptacle)" in engine.act("help")


def test_the_translator_restores_the_command_line_after_errors() -> None:
    before = list(sys.argv)
    with pytest.raises(RuntimeError), translator():
        raise RuntimeError
    assert sys.argv == before


def test_the_grammar_s_queries_are_ordered_and_injective() -> None:
    facts = Facts([("in", "b", "x"), ("in", "a", "x"), ("in", "x", "x")])
    found = list(in_order(read_query("in(o:object, r:receptacle)"), facts, {}))
    assert found == [{"?o": "a", "?r": "x"}, {"?o": "b", "?r": "x"}]


def test_the_domain_s_conditions_may_use_an_object_twice_and_compare() -> None:
    facts = Facts([("in", "a", "x"), ("in", "x", "x"), ("in", "b", "y")])
    same = [Literal("in", ("?o", "?r"))]
    assert {(s["?o"], s["?r"]) for s in solutions(same, facts, {})} == {("a", "x"), ("x", "x"), ("b", "y")}
    different = [*same, Literal("=", ("?o", "?r"), negated=True), Literal("in", ("?r", "?r"), negated=True)]
    assert list(solutions(different, facts, {})) == [{"?o": "b", "?r": "y"}]


def test_facts_can_be_removed() -> None:
    facts = Facts([("in", "a", "x")])
    facts.discard(("in", "a", "x"))
    facts.discard(("in", "b", "x"))
    assert set(facts) == set() and not facts.candidates(Literal("in", ("?o", "x")), {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pddl_problem": None}, "pddl_problem is None, expected a text"),
        ({"pddl_problem": "(define"}, "not a PDDL problem"),
        ({"grammar": "grammar"}, "Your task is to"),
        ({"grammar": "Your task is to: x."}, "not a PDDL domain with a TextWorld grammar"),
    ],
)
def test_damaged_game_files_are_refused(change: dict[str, Any], message: str) -> None:
    data, trajectory = small_files("pick_and_place_simple")
    with pytest.raises(UserError, match=message):
        _ = translate({**data, **change}, trajectory).rules


def test_the_goal_is_taken_out_of_the_grammar() -> None:
    data, _ = small_files("pick_and_place_simple")
    grammar, goal = split_goal(data["grammar"])
    assert goal in data["grammar"] and goal not in grammar and goal.startswith("put a ")
