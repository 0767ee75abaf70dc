"""`w2sg show`: what a person reads in the terminal."""

import subprocess
import sys
from pathlib import Path

import pytest

from w2sg.commands import __main__ as command_line
from w2sg.commands import show
from w2sg.contracts import layout
from w2sg.contracts.episodes import write_episodes
from w2sg.contracts.paths import DemonstrationPath
from w2sg.evaluation.report.viewer import path_nodes
from w2sg.trees import tree as trees

from .builders import GOAL, episode, path_of, tree


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which one tree, its e* and three episodes of a task have been made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    grown = tree()
    trees.dump(layout.trees("alfworld", 0), {"t1": grown})
    DemonstrationPath.write(layout.paths("alfworld", 0, "w2s_mcts"), [path_of(grown.trajectories[4])])
    played = [episode("sft_weak", score=0.0, steps=9), episode("sft_strong", steps=7), episode("w2s_mcts", steps=7)]
    write_episodes(layout.episodes("alfworld", 0, "sft"), played)
    return tmp_path


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["w2sg", "show", *words])
    code = command_line.main()
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_tree_in_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    grown = tree()
    lines = show.tree_lines(grown, path=path_nodes(grown, path_of(grown.trajectories[4])), minimum_gap=0.5)
    assert lines[0] == "alfworld t1: 6 samples, mean G 0.50" and GOAL in "".join(lines[1:4])
    assert lines[lines.index("") + 2 :][1:] == [
        "* │ go to fridge 1 › open fridge 1  (2 of 6, mean G 0.50)",
        "* │ ◆ ways part here: mean G differs by 1.00",
        "  │ │ look › go to drawer 1 › ■ G 0.00  (1 of 6)",
        "* │ take mug 2 from fridge 1 › go to sinkbasin 1 › clean mug 2 with sinkbasin 1 › go to cabinet 1 › "
        "move mug 2 to cabinet 1 › ■ G 1.00  (1 of 6)",
        "  go to drawer 1  (4 of 6, mean G 0.50)",
        "  ◆ ways part here: mean G differs by 0.67",
        "  │ take mug 1 from drawer 1 › look ×2 › ■ G 0.00  (1 of 6)",
        "  open drawer 1 › take mug 1 from drawer 1  (3 of 6, mean G 0.67)",
        "  ◆ ways part here: mean G differs by 1.00",
        "  │ go to cabinet 1 › move mug 1 to cabinet 1 › look ×2 › fly to cabinet 1 › ■ G 0.00  (1 of 6)",
        "  go to sinkbasin 1 › clean mug 1 with sinkbasin 1 › go to cabinet 1 › move mug 1 to cabinet 1 › "
        "■ G 1.00  (2 of 6)",
    ]


def test_every_sample_of_a_tree_is_told_and_long_lines_are_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    grown = tree()
    lines = show.tree_lines(grown)
    assert sum(line.count("■") for line in lines) == len(grown.stops)
    assert max(map(len, lines)) <= 60


def test_what_steers_a_terminal_is_not_printed() -> None:
    grown = tree(ways=[(("look \x1b[2J\x07", "go\nto"), 1.0)])
    text = "\n".join(show.tree_lines(grown))
    assert "look \ufffd[2J\ufffd › go to › ■ G 1.00" in text and "\x1b" not in text


def test_the_tree_of_a_task(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(monkeypatch, capsys, "tree", "alfworld", "t1")
    assert code == 0 and "* │ go to fridge 1 › open fridge 1  (2 of 6, mean G 0.50)" in out and out.count("◆") == 3
    code, out, _ = call(monkeypatch, capsys, "tree", "alfworld", "t1", "--gap", "0.9")
    assert code == 0 and out.count("◆") == 2


def test_episodes_of_a_task(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(monkeypatch, capsys, "episode", "alfworld", "t1", "--models", "sft_strong,w2s_mcts,sft_weak")
    assert code == 0
    heads = [line for line in out.splitlines() if ": G " in line]
    assert heads == [
        "SFT strong: G 1.00 after 7 steps",
        "W2S MCTS: G 1.00 after 7 steps",
        "SFT weak: G 0.00 after 9 steps, cut off",
    ]
    same, other = out.split("W2S MCTS: G")[1].split("SFT weak: G")
    assert "another way" not in same and other.count("◆ from here on another way") == 1
    code, out, _ = call(monkeypatch, capsys, "episode", "alfworld", "t1")
    assert code == 0 and out.count(": G ") == 3


def test_a_page_is_told_by_what_is_new_on_it() -> None:
    before = "Instruction: [SEP] a shirt [SEP] Back to Search [SEP] page 1"
    assert show.news(before, "Instruction: [SEP] a shirt [SEP] < Prev [SEP] red") == "… < Prev · red"
    assert show.news("You see a mug.", "You open it.") == "You open it."


def test_a_run(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(monkeypatch, capsys, "run")
    assert code == 0 and "results/table1.md: not there yet" in out
    assert "alfworld-0: 1 trees, 1 with successes and failures; the first is t1" in out
    assert "alfworld-0: episodes of sft_weak, w2s_mcts, sft_strong" in out
    layout.RESULTS.joinpath("table1.md").write_bytes(b"\xff")
    code, out, err = call(monkeypatch, capsys, "run")
    assert (code, out, err.count("\n")) == (2, "", 1) and err.startswith("w2sg show: results/table1.md: not a text (")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tree", "alfworld", "t9"), "t9: no tree of this task in data/trees/alfworld-0.pkl; there are t1"),
        (("tree", "alfworld", "t1", "--seed", "3"), "data/trees/alfworld-3.pkl: no trees; there are alfworld-0"),
        (("episode", "webshop", "t1"), "results/episodes/webshop-0: no episodes; run the stages evaluate, or"),
        (("episode", "alfworld", "t9"), "t9: nobody was evaluated on this task of alfworld; there are t1"),
        (("episode", "alfworld", "t1", "--models", "eto"), "eto: no episode of this model on t1; there are sft_weak, "),
    ],
)
def test_what_is_not_there_is_said_in_one_line(
    words: tuple[str, ...],
    said: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = call(monkeypatch, capsys, *words)
    assert (code, out) == (2, "") and err.startswith(f"w2sg show: {said}") and err.count("\n") == 1


def test_a_reader_who_has_seen_enough_is_no_error(project: Path) -> None:
    layout.RESULTS.joinpath("table1.md").write_text("a line of the table\n" * 100_000)
    command = f"{sys.executable} -m w2sg.commands show run | head -n 1"
    done = subprocess.run(command, shell=True, cwd=project, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("a line of the table\n", "")
