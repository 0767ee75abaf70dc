"""ALFWorld's PDDL and grammar: our readers against those that ALFWorld uses, on games and on texts made up."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sg.environments.alfworld.tasks.games import TASK_TYPES, GameSettings, draw_game, shipped_rules
from w2sg.environments.alfworld.world.grammar import read_grammar, read_pieces
from w2sg.environments.alfworld.world.pddl import read_domain, read_problem

from .alfworld_examples import older, real_files, small_files
from .alfworld_originals import (
    comparable,
    fast_downward_task,
    problem,
    schemas,
    supertypes,
    textworld_grammar,
    textworld_pieces,
)


def assert_same_pddl(domain: str, text: str) -> None:
    """Both readers find the same actions, types, objects, start and goal, in the same order."""
    task = fast_downward_task(domain, text)
    found = read_domain(domain)
    assert found.schemas == schemas(task)
    assert found.supertypes == supertypes(task)
    ours, theirs = read_problem(found, text), problem(task)
    assert ours == theirs
    assert list(ours.objects) == list(theirs.objects)


def assert_same_grammar(text: str) -> None:
    """Both readers find the same words and rules, in the same order."""
    ours, theirs = comparable(read_grammar(text)), comparable(textworld_grammar(text))
    assert ours == theirs
    assert [list(part) for part in ours] == [list(part) for part in theirs]


@pytest.mark.parametrize("split", ["train", "seen", "unseen"])
@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_new_games_are_read_as_the_originals_read_them(task_type: str, split: str) -> None:
    game, _ = draw_game(GameSettings(), split=split, index=TASK_TYPES.index(task_type), seed=7)
    assert_same_pddl(game["pddl_domain"], game["pddl_problem"])


@pytest.mark.parametrize("archive", ["train_600.tar.xz", "valid_seen.tar.xz"])
def test_official_games_are_read_as_the_originals_read_them(archive: str) -> None:
    games = [files["game.tw-pddl"] for files in real_files(archive, 24)]
    for game in games:
        assert_same_pddl(game["pddl_domain"], game["pddl_problem"])
    assert_same_grammar(games[0]["grammar"])


@pytest.mark.parametrize("change", [lambda game: game, older], ids=["current", "older words"])
def test_the_grammar_is_read_as_the_original_reads_it(change: Any) -> None:
    assert_same_grammar(change(small_files("pick_and_place_simple")[0])["grammar"])


HARD = """; what ALFWorld's domain does not do, in one action
(define (domain d)
 (:requirements :adl :typing)
 (:types place thing - entity cup - thing)
 (:constants Home - place)
 (:predicates (at ?t - thing ?p - place) (on ?a ?b - thing) (clean ?t - thing) (busy))
 (:functions (total-cost) - number)
 (:action nothing :parameters (?c - cup) :precondition () :effect (and (increase (total-cost) 1)))
 (:action move
  :parameters (?c - cup ?p - place)
  :precondition (and (imply (busy) (at ?c ?p)) (or (clean ?c) (exists (?c - thing ?q - place) (and (at ?c ?q)
     (or (busy) (not (forall (?x - thing) (not (on ?c ?x))))) (exists (?x - cup) (on ?x ?c)))) (and)) (not (and (busy)
     (not (at ?c home)))))
  :effect (and (not (busy)) (busy) (at ?c ?p) (not (at ?c ?p)) (when (or (busy) (clean ?c)) (and (not (clean ?c))
     (when (at ?c home) (on ?c ?c)))) (when (and) (clean ?c)) (increase (total-cost) 2)))
 (:action wash :parameters (?c - cup)
  :precondition (and (exists (?q - place) (at ?c ?q)) (or (busy) (at ?c home)) (clean ?c) (or (not (busy)) (on ?c ?c)))
  :effect (clean ?c))
 (:action idle :effect (busy)))
"""
PROBLEM = """(define (problem p) (:domain d) (:requirements :adl) (:objects a b - cup t - thing somewhere - place x)
 (:init (= (total-cost) 0) (at a home) (on a t) (on a t) (not (busy)) (clean b))
 (:goal {goal}) (:metric minimize (total-cost)))
"""
GOALS = (
    "(clean a)",
    "(not (clean a))",
    "(and (clean a) (not (on a b)))",
    "(or (clean a) (on a b))",
    "(exists (?x - cup) (and (clean ?x) (exists (?x ?y - thing) (on ?x ?y)) (not (= ?x a))))",
    "(and (exists (?x - cup) (or (clean ?x) (busy))) (imply (busy) (exists (?x - thing) (at ?x home))) (clean b))",
)


@pytest.mark.parametrize("goal", GOALS)
def test_conditions_are_normalised_as_in_fast_downward(goal: str) -> None:
    assert_same_pddl(HARD, PROBLEM.format(goal=goal))


conditions = st.recursive(
    st.sampled_from(["(busy)", "(clean a)", "(at a home)", "(on ?x a)", "(= ?x ?y)", "(clean ?y)"]),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, max_size=3)).map(
            lambda p: f"({p[0]} {' '.join(p[1])})"
        ),
        inner.map(lambda part: f"(not (not {part}))"),
        st.tuples(st.sampled_from(["?x - thing", "?y ?x - cup"]), inner).map(lambda p: f"(exists ({p[0]}) {p[1]})"),
        st.tuples(inner, st.sampled_from(["(busy)", "(not (clean ?x))"])).map(lambda p: f"(imply {p[1]} {p[0]})"),
    ),
    max_leaves=7,
)


@settings(max_examples=150, deadline=None)
@given(conditions)
def test_any_goal_is_normalised_as_in_fast_downward(condition: str) -> None:
    text = PROBLEM.format(goal=f"(exists (?x ?y - thing) (and (busy) {condition}))")
    task = fast_downward_task(HARD, text)
    if any(type(axiom.condition).__name__ == "Falsity" for axiom in task.axioms):
        with pytest.raises(ValueError, match="nothing can meet"):
            read_problem(read_domain(HARD), text)
    else:
        assert_same_pddl(HARD, text)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=" \nab.|{}[]#;\"()&'", max_size=25))
def test_any_right_hand_side_is_read_as_in_textworld(text: str) -> None:
    try:
        theirs = comparable(textworld_pieces(text))
    except (SyntaxError, ValueError):  # no expression of Python, or no query, in one of its places
        with pytest.raises(ValueError, match="grammar"):
            read_pieces(text)
    else:
        assert comparable(read_pieces(text)) == theirs


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", [""]),
        (" (it is open)", ["(it is open)"]),
        ("a {o.name})} b", ["a ", ("", "o.name", None, False), ")"]),
        ("[{#overview(o)#}] x", [("overview(o)", None, None, True), " x"]),
        ('say "hi"; no', ["say ", "hi"]),
    ],
)
def test_right_hand_sides(text: str, pieces: list[Any]) -> None:
    assert comparable(read_pieces(text)) == pieces == comparable(textworld_pieces(text))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("(:types", "(:tpyes", r"\(:tpyes agent .* is not supported"),
        ("(checked ?l)", "(chekced ?l)", r"\(chekced \?l\): expected a declared predicate"),
        ("(atLocation ?a ?l)", "(atLocation ?a)", r"\(atlocation \?a\): expected a declared predicate"),
        ("(exists (?l - location)", "(forall (?l - location)", "a condition on all objects is not supported"),
        ("(define (domain", "(define (problem", r"not one whole \(define \(domain NAME\)"),
        ("(checked ?a)\n        )\n)\n\n)", "(checked ?a)\n        )\n)\n", "not one whole"),
        ("(checked ?a)\n        )\n)\n\n)", "(checked ?a)\n        )\n)\n\n))", r"a \) too many"),
        ("agent\n", "ägent\n", "a character outside ASCII"),
        (":precondition\n", ":condition\n", "expected :parameters, :precondition and :effect"),
    ],
)
def test_what_is_no_domain_is_refused(old: str, new: str, message: str) -> None:
    domain, _ = shipped_rules()
    assert old in domain
    with pytest.raises(ValueError, match=message):
        read_domain(domain.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("(:domain d)", "(:domain e)", r"\(:domain e\) is not supported in a problem of d"),
        ("a b - cup", "a a - cup", "two objects of one name"),
        ("(:goal (busy))", "", "no :goal"),
        ("(:init", "(:init a", "expected \\(predicate object"),
        ("(on a t)", "(on (a) t)", r"\(a\): expected a name"),
        ("(:goal (busy))", "(:goal (or))", "nothing can meet"),
    ],
)
def test_what_is_no_problem_is_refused(old: str, new: str, message: str) -> None:
    text = PROBLEM.format(goal="(busy)")
    assert old in text
    with pytest.raises(ValueError, match=message):
        read_problem(read_domain(HARD), text.replace(old, new))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grammar :: 3;", "grammar"),
        ("verb x {}", "expected grammar :: or action NAME"),
        ('action look { template :: "look"; }', "needs a template and a feedback"),
        ('action look { template = "look"; }', "expected key :: value;"),
        ('grammar :: """[]""";', "not a JSON object"),
        ('grammar :: """{"a": [{}]}""";', "not a list of"),
        ('grammar :: """{"a": [{"rhs": "{o.}"}]}""";', "not an expression"),
        ('grammar :: """{"a": [{"rhs": "x", "condition": "p"}]}""";', "expected predicate"),
    ],
)
def test_what_is_no_grammar_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_grammar(text)
