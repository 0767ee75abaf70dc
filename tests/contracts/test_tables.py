"""The tables: what is written is read, and what is out of its range is refused in one line."""

from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sg.contracts import files
from w2sg.contracts.episodes import EPISODES, Episode, read_episodes, write_episodes
from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message
from w2sg.contracts.pairs import Pair, ReferenceTurn
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.tasks import SPLITS, Task
from w2sg.contracts.trajectories import (
    TRAJECTORIES,
    Step,
    Trajectory,
    conversation,
    read_trajectories,
    write_trajectories,
)

# An example is several rows, written to files twice.
few = settings(max_examples=30)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
share = st.floats(0.0, 1.0)
count = st.integers(0, 2**40)
user, assistant = (st.builds(Message, role=st.just(role), content=text) for role in ("user", "assistant"))


def turns(*, first: str, last: str) -> st.SearchStrategy:
    """Conversations between a first and a last role."""
    pairs = st.lists(st.tuples(user, assistant), max_size=3).map(
        lambda drawn: [turn for pair in drawn for turn in pair]
    )
    start = assistant.map(lambda turn: [turn]) if first == "assistant" else st.just([])
    end = {"user": user.map(lambda turn: [turn]), "assistant": st.just([])}[last]
    whole = st.tuples(start, pairs, end).map(lambda parts: [turn for part in parts for turn in part])
    return whole.filter(bool)


steps = st.builds(Step, text, text, text, text, text, share, st.booleans())
trajectories = st.builds(
    Trajectory, text, text, text, count, st.floats(0.0, 5.0), st.floats(0.0, 1.0, exclude_min=True), st.booleans(),
    st.lists(steps, min_size=1, max_size=4).map(tuple),
)  # fmt: skip
scores = st.tuples(share, share).filter(lambda drawn: drawn[0] != drawn[1]).map(sorted)
ROWS = {
    Task: st.builds(Task, text, text, st.sampled_from(SPLITS), text, text, text, st.integers(1, 1000)),
    Pair: st.builds(
        lambda drawn, **rest: Pair(**rest, rejected_score=drawn[0], chosen_score=drawn[1]),
        scores, environment=text, task_id=text, kind=text, pair_id=count, divergence=count,
        history=turns(first="user", last="user"),
        chosen=turns(first="assistant", last="assistant"), rejected=turns(first="assistant", last="assistant"),
    ),
    DemonstrationPath: st.builds(
        DemonstrationPath, text, text, text, turns(first="user", last="assistant"), share, share, st.integers(-1, 9),
        st.booleans(),
    ),
    ReferenceTurn: st.builds(
        ReferenceTurn, count, st.sampled_from(["chosen", "rejected"]), count, st.floats(-1e300, 0.0), st.integers(1, 99)
    ),
}  # fmt: skip

STEP = Step("look", "hm", "go", "Thought: hm\nAction: go", "gone", 0.0)
PLAYED = Trajectory("letters", "task-1", "play", 0, 0.0, 1.0, False, (STEP, replace(STEP, score=1.0)))
EXAMPLES = {
    Task: Task("letters", "task-1", "train", "spell", "spell it", "{}", 5),
    Pair: Pair(
        "letters", "task-1", "tree", 0, 0, [Message(role="user", content="u")],
        [Message(role="assistant", content="yes")], [Message(role="assistant", content="no")], 1.0, 0.0,
    ),
    DemonstrationPath: DemonstrationPath(
        "letters", "task-1", "mcts", [Message(role="user", content="u"), Message(role="assistant", content="a")],
        1.0, 1.0, -1, True,
    ),
    ReferenceTurn: ReferenceTurn(0, "chosen", 0, -1.5, 3),
}  # fmt: skip


@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.__name__)
def test_round_trip(kind, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"

    @few
    @given(st.lists(ROWS[kind], max_size=4))
    def check(rows):
        kind.write(path, rows)
        first = path.read_bytes()
        assert kind.read(path) == rows
        kind.write(path, iter(rows))
        assert path.read_bytes() == first

    check()


def told_apart(drawn: list[Trajectory]) -> list[Trajectory]:
    return [replace(trajectory, sample=number) for number, trajectory in enumerate(drawn)]


@few
@given(drawn=st.lists(trajectories, max_size=4).map(told_apart))
def test_trajectories_round_trip(drawn, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "trajectories.parquet"
    write_trajectories(path, drawn)
    assert read_trajectories(path) == drawn
    first = path.read_bytes()
    write_trajectories(path, iter(drawn))
    assert path.read_bytes() == first


@few
@given(drawn=st.lists(st.tuples(text, count, st.sampled_from(SPLITS), trajectories), max_size=3))
def test_episodes_round_trip(drawn, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "episodes.parquet"
    episodes = [
        Episode(model, seed, split, replace(trajectory, sample=number))
        for number, (model, seed, split, trajectory) in enumerate(drawn)
    ]
    write_episodes(path, episodes)
    assert read_episodes(path) == episodes


@pytest.mark.parametrize(
    ("kind", "change", "line"),
    [
        (Task, {"split": "test"}, "split is 'test', allowed are train, seen, unseen"),
        (Task, {"max_steps": 0}, "max_steps is 0, allowed is 1 or more"),
        (Pair, {"chosen_score": 1.1}, "chosen_score is 1.1, allowed is 0 to 1"),
        (Pair, {"rejected_score": -0.1}, "rejected_score is -0.1, allowed is 0 to 1"),
        (Pair, {"rejected_score": float("nan")}, "rejected_score is nan, allowed is 0 to 1"),
        (Pair, {"chosen_score": 0.0}, "chosen_score 0.0 is not above rejected_score 0.0"),
        (Pair, {"history": []}, "history does not end with a user turn"),
        (Pair, {"history": EXAMPLES[Pair].chosen}, "history does not end with a user turn"),
        (Pair, {"chosen": []}, "chosen does not start and end with an assistant turn"),
        (Pair, {"rejected": EXAMPLES[Pair].history}, "rejected does not start and end with an assistant turn"),
        (DemonstrationPath, {"tree_value": 2.0}, "tree_value is 2.0, allowed is 0 to 1"),
        (DemonstrationPath, {"replay_score": -1.0}, "replay_score is -1.0, allowed is 0 to 1"),
        (DemonstrationPath, {"messages": EXAMPLES[Pair].history}, "messages do not end with an assistant turn"),
        (ReferenceTurn, {"side": "left"}, "side is 'left', allowed are chosen, rejected"),
        (ReferenceTurn, {"logprob": 0.1}, "logprob is 0.1, allowed is a finite number up to 0"),
        (ReferenceTurn, {"logprob": float("nan")}, "logprob is nan, allowed is a finite number up to 0"),
        (ReferenceTurn, {"logprob": float("-inf")}, "logprob is -inf, allowed is a finite number up to 0"),
        (ReferenceTurn, {"tokens": 0}, "tokens is 0, allowed is 1 or more"),
    ],
)
def test_values_out_of_range(tmp_path, kind, change, line):
    path = tmp_path / "rows.parquet"
    kind.write(path, [EXAMPLES[kind], replace(EXAMPLES[kind], **change)])
    with pytest.raises(UserError) as caught:
        kind.read(path)
    assert str(caught.value) == f"{path}: row 1: {line}"


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_every_other_table_is_refused(tmp_path, kind):
    path = tmp_path / "rows.parquet"
    for other, example in EXAMPLES.items():
        other.write(path, [example])
        if other is not kind:
            with pytest.raises(UserError, match="wrong columns"):
                kind.read(path)
    write_trajectories(path, [PLAYED])
    for read in (kind.read, read_episodes):
        with pytest.raises(UserError, match="wrong columns"):
            read(path)


def stored(path, rows, *, episodes):
    """Write the rows of PLAYED, changed, as a table of trajectories or of episodes."""
    head = {"model": "m", "seed": 0, "split": "seen"} if episodes else {}
    schema = EPISODES if episodes else TRAJECTORIES
    files.write_parquet(path, pa.Table.from_pylist([head | row for row in rows], schema=schema))


@pytest.fixture
def rows(tmp_path):
    """The two steps of PLAYED as rows."""
    write_trajectories(tmp_path / "played.parquet", [PLAYED])
    return files.read_parquet(tmp_path / "played.parquet", TRAJECTORIES).to_pylist()


@pytest.mark.parametrize("episodes", [False, True])
@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"step": 2}, "task task-1, sample 0, step 2: step 1 belongs here"),
        ({"step": 0}, "task task-1, sample 0, step 0: step 1 belongs here; is the sample there twice?"),
        ({"score": 1.5}, "task task-1, sample 0, step 1: score is 1.5, allowed is 0 to 1"),
        ({"score": float("nan")}, "task task-1, sample 0, step 1: score is nan, allowed is 0 to 1"),
        ({"sample": 1}, "task task-1, sample 1, step 1: step 0 belongs here"),
        ({"score": None}, "empty cells in score; rebuild it"),
    ],
)
def test_wrong_steps(tmp_path, rows, change, line, episodes):
    path = tmp_path / "t.parquet"
    stored(path, [rows[0], rows[1] | change], episodes=episodes)
    with pytest.raises(UserError) as caught:
        (read_episodes if episodes else read_trajectories)(path)
    assert str(caught.value) == f"{path}: {line}"


@pytest.mark.parametrize("episodes", [False, True])
@pytest.mark.parametrize("change", [{"sample": -1}, {"temperature": -0.5}, {"top_p": 0.0}, {"top_p": float("nan")}])
def test_wrong_sampling(tmp_path, rows, change, episodes):
    path = tmp_path / "t.parquet"
    stored(path, [rows[0] | change], episodes=episodes)
    with pytest.raises(UserError, match=r"task task-1: sample .*; allowed are >= 0, >= 0 and > 0 to 1$"):
        (read_episodes if episodes else read_trajectories)(path)


def test_unknown_split_of_an_episode(tmp_path):
    path = tmp_path / "e.parquet"
    write_episodes(path, [Episode("m", 0, "test", PLAYED)])
    with pytest.raises(UserError, match=r"task task-1: split is 'test', allowed are train, seen, unseen$"):
        read_episodes(path)


def test_the_same_trajectory_twice_is_refused(tmp_path):
    write_trajectories(tmp_path / "t.parquet", [PLAYED, PLAYED])
    with pytest.raises(UserError, match=r"step 0: step 2 belongs here; is the sample there twice\?$"):
        read_trajectories(tmp_path / "t.parquet")


def test_a_trajectory_without_steps_is_not_lost_silently(tmp_path):
    empty = replace(PLAYED, steps=())
    assert empty.score == 0.0
    with pytest.raises(AssertionError, match="without steps"):
        write_trajectories(tmp_path / "t.parquet", [PLAYED, empty])
    assert not (tmp_path / "t.parquet").exists()


def test_a_failed_write_leaves_the_old(tmp_path):
    path = tmp_path / "t.parquet"
    Task.write(path, [EXAMPLES[Task]])
    with pytest.raises(pa.ArrowInvalid):
        Task.write(path, [replace(EXAMPLES[Task], max_steps="many")])
    assert Task.read(path) == [EXAMPLES[Task]]
    assert list(tmp_path.iterdir()) == [path]


def test_score_and_success():
    assert PLAYED.score == 1.0
    assert PLAYED.success
    assert not replace(PLAYED, steps=(STEP, replace(STEP, score=0.99))).success


def test_conversation():
    """Observations and responses take turns; the prompt opens the first turn; the last answer is left out."""
    first, second = STEP, replace(STEP, observation="gone", response="R2")
    assert conversation([first, second], prompt="P") == [
        {"role": "user", "content": "P\nlook"},
        {"role": "assistant", "content": "Thought: hm\nAction: go"},
        {"role": "user", "content": "gone"},
        {"role": "assistant", "content": "R2"},
    ]
    assert PLAYED.messages()[0]["content"] == "look"
    assert conversation([]) == []
