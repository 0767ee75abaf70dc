"""`w2sg show`: a run, a trajectory tree or episodes of one task, in the terminal, from what the stages have written."""

import shutil
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import fmean

from w2sg.contracts import layout
from w2sg.contracts.episodes import Episode, read_episodes
from w2sg.contracts.errors import UserError, named
from w2sg.contracts.files import reading
from w2sg.contracts.paths import DemonstrationPath
from w2sg.evaluation.measures.models import in_table_order, label
from w2sg.evaluation.report import viewer
from w2sg.evaluation.report.viewer import SEPARATOR, path_nodes
from w2sg.trees import tree as trees
from w2sg.trees.tree import ROOT, TrajectoryTree

SHORTEST, LONGEST = 60, 160  # columns
LISTED = 5  # names in a message
BAR = "│ "


def run_summary() -> list[str]:
    """What this project has: Table 1, and for each environment and seed its trees and who was evaluated.

    Raises:
        UserError: a file cannot be read.
    """
    table = layout.RESULTS / "table1.md"
    lines = [f"{table}: not there yet", ""]
    if table.is_file():
        with reading(table, "a text"):
            lines = table.read_text(encoding="utf-8").splitlines()
    for file in sorted((layout.DATA / "trees").glob("*.pkl")):
        grown = trees.load(file)
        mixed = sum(len({t.success for t in tree.trajectories}) == 2 for tree in grown.values())
        first = next(iter(grown), "none")
        lines.append(f"{file.stem}: {len(grown)} trees, {mixed} with successes and failures; the first is {first}")
    for folder in sorted((layout.RESULTS / "episodes").glob("*")):
        names = {episode.model for file in sorted(folder.glob("*.parquet")) for episode in read_episodes(file)}
        lines.append(f"{folder.name}: episodes of {', '.join(in_table_order(names))}")
    return lines


def tree_lines(tree: TrajectoryTree, *, path: frozenset[int] = frozenset(), minimum_gap: float = 0.0) -> list[str]:
    """A tree as indented text; steps that the same samples take one after the other stand on one line.

    `*` marks where e* goes, `◆` where outcomes part by `minimum_gap` or more, `■` where samples end with that G.
    """
    gaps = viewer.gaps(tree, minimum_gap=minimum_gap, aggregate="mean")
    total = len(tree.trajectories)
    lines = [f"{tree.environment} {tree.task_id}: {total} samples, mean G {fmean(tree.scores(ROOT)):.2f}"]
    lines += ["", *_wrapped(tree.trajectories[0].steps[0].observation), ""]

    def told(number: int, indent: int) -> None:
        if number == ROOT:
            chain = [ROOT]
        else:
            chain = list(_chain(tree, number))
            lines.extend(_told(tree, chain, indent=indent, starred=number in path))
        last = chain[-1]
        if last in gaps:
            star = "*" if last in path else " "
            lines.append(f"{star} {BAR * indent}◆ ways part here: mean G differs by {gaps[last]:.2f}")
        # The way of most samples comes last and is not indented, so that trunks run straight down.
        ordered = sorted(tree.nodes[last].children, key=lambda child: (tree.nodes[child].visits, -child))
        for place, child in enumerate(ordered):
            told(child, indent + (place < len(ordered) - 1))

    told(ROOT, 0)
    return lines


def _chain(tree: TrajectoryTree, number: int) -> Iterator[int]:
    """A node and those below it that all its samples go through, a stop leaf included."""
    yield number
    while len(children := tree.nodes[number].children) == 1:
        (number,) = children
        yield number


def _told(tree: TrajectoryTree, chain: Sequence[int], *, indent: int, starred: bool) -> Iterator[str]:
    """The lines of a chain: its actions, repeated ones counted, then how many samples came through and their mean G."""
    words: list[str] = []
    for action, same in groupby(_action(tree, number) for number in chain if not tree.nodes[number].stop):
        count = len(list(same))
        words.append(action + (f" ×{count}" if count > 1 else ""))
    first, last = tree.nodes[chain[0]], tree.nodes[chain[-1]]
    through = f"({first.visits} of {len(tree.trajectories)}"
    words.append(f"■ G {last.mean_score:.2f}" if last.stop else "")
    end = f"{through})" if last.stop else f"{through}, mean G {fmean(tree.scores(chain[0])):.2f})"
    text = f"{' › '.join(word for word in words if word)}  {end}"
    margin = f"{'*' if starred else ' '} {BAR * indent}"
    width = max(SHORTEST // 2, _columns() - len(margin))
    parts = textwrap.wrap(text, width, subsequent_indent="    ", break_on_hyphens=False)
    yield from (margin + part for part in parts)


def show_tree(environment: str, task: str, *, seed: int, minimum_gap: float) -> list[str]:
    """The tree of one task and where e* runs in it, if a method has extracted one.

    Raises:
        UserError: there are no trees of this environment and seed, or none of this task.
    """
    file = layout.trees(environment, seed)
    if not file.is_file():
        there = sorted(path.stem for path in file.parent.glob("*.pkl"))
        raise UserError(f"{file}: no trees; {_some(there) if there else 'run the stage trees'}")
    grown = trees.load(file)
    if task not in grown:
        raise UserError(
            f"{named(task)}: no tree of this task in {layout.trees(environment, seed)}; {_some(list(grown))}"
        )
    nodes: frozenset[int] = frozenset()
    for file in sorted(layout.paths(environment, seed, "any").parent.glob("*.parquet")):
        for found in DemonstrationPath.read(file):
            if (found.kind, found.task_id) == ("mcts", task):
                nodes = path_nodes(grown[task], found)
    return tree_lines(grown[task], path=nodes, minimum_gap=minimum_gap)


def show_episodes(environment: str, task: str, *, seed: int, models: Sequence[str]) -> list[str]:
    """Episodes of one task, one after the other; from the second on it says where they leave the first.

    Raises:
        UserError: nobody was evaluated there, not on this task, or not one of these models.
    """
    folder = layout.episodes(environment, seed, "any").parent
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise UserError(f"{folder}: no episodes; run the stages evaluate, or choose another --seed")
    everything = [episode for file in files for episode in read_episodes(file)]
    here = [episode for episode in everything if episode.trajectory.task_id == task]
    if not here:
        known = list(dict.fromkeys(episode.trajectory.task_id for episode in everything))
        raise UserError(f"{named(task)}: nobody was evaluated on this task of {environment}; {_some(known)}")
    # A model of which several samples were played is shown by its first.
    first: dict[str, Episode] = {}
    for episode in here:
        first.setdefault(episode.model, episode)
    if unknown := [model for model in models if model not in first]:
        raise UserError(f"{named(unknown[0])}: no episode of this model on {named(task)}; there are {', '.join(first)}")
    chosen = [first[model] for model in models or in_table_order(first)]
    lines = [f"{environment} {task}", "", *_wrapped(chosen[0].trajectory.steps[0].observation)]
    actions = [step.action for step in chosen[0].trajectory.steps]
    for episode in chosen:
        lines += ["", *_episode(episode, actions)]
    return lines


def _episode(episode: Episode, first: Sequence[str]) -> Iterator[str]:
    own = episode.trajectory
    end = "" if own.completed else ", cut off"
    yield f"{label(episode.model)}: G {own.score:.2f} after {len(own.steps)} steps{end}"
    parted = False
    for number, step in enumerate(own.steps):
        if not parted and (number >= len(first) or first[number] != step.action):
            parted = True
            yield "  ◆ from here on another way"
        thought = f"{_clean(step.thought)} | " if step.thought else ""
        yield _cut(f"  {number + 1:2} {thought}{_clean(step.action or step.response)}")
        yield _cut(f"       {news(step.observation, step.next_observation)}")


def news(before: str, after: str) -> str:
    """An observation without the parts that it begins with as the one before did: a page repeats its instruction."""
    old, new = (text.split(SEPARATOR) for text in (before, after))
    same = next((place for place, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    rest = " · ".join(part for part in map(_clean, new[same:]) if part)
    return f"… {rest}" if same else rest


def _action(tree: TrajectoryTree, number: int) -> str:
    step = tree.step(number)
    return _clean(step.action or step.response)[:SHORTEST]


def _wrapped(text: str) -> list[str]:
    """A text cut to lines of the terminal."""
    width, lines = _columns(), []
    for line in text.splitlines():
        words = " · ".join(filter(None, map(_clean, line.split(SEPARATOR))))
        lines += textwrap.wrap(words, width) or [""]
    return lines


def _cut(line: str) -> str:
    width = _columns()
    return line if len(line) <= width else line[: width - 1] + "…"


def _columns() -> int:
    return min(LONGEST, max(SHORTEST, shutil.get_terminal_size((100, 24)).columns))


def _clean(text: str) -> str:
    """On one line, without what steers a terminal: a model may generate anything."""
    flat = " ".join(text.split())
    return "".join(letter if unicodedata.category(letter)[0] != "C" else "\ufffd" for letter in flat)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"there are {', '.join(names[:LISTED])}{more}" if names else "there are none"
