"""For people: a trajectory tree drawn so that one sees where success and failure part, and episodes side by side."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape as escape_html
from itertools import takewhile
from statistics import fmean, pvariance

from w2sg.config.data import Aggregate
from w2sg.contracts.episodes import Episode
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.trajectories import Step
from w2sg.evaluation.measures.models import environment_label, in_table_order
from w2sg.evaluation.measures.tree_marks import followed
from w2sg.trees.pairs import informative
from w2sg.trees.tree import ROOT, TrajectoryTree

COLUMN, ROW, MARGIN = 178, 40, 26  # pixels
CHARACTERS, LINES, LINE = 25, 2, 12  # of a label, what fits beside a node; pixels from line to line
HEAD = 9  # characters that a shortened label begins with
SEPARATOR = "[SEP]"  # between the parts of a WebShop page
NODES_SHOWN, COLUMNS_SHOWN = 70, 8
_NOT_XML = {code: "\ufffd" for code in (*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF)}
_FAILURE, _MIDDLE, _SUCCESS = (196, 60, 30), (214, 170, 60), (0, 140, 100)


def choose_tree(
    trees: Mapping[str, TrajectoryTree], *, minimum_gap: float, aggregate: Aggregate
) -> TrajectoryTree | None:
    """The tree to draw: most informative divergences among those that fit a page, then the smaller, then by task id.

    None where no tree has a success beside a failure.
    """
    mixed = [t for t in trees.values() if len({trajectory.success for trajectory in t.trajectories}) == 2]
    fitting = [t for t in mixed if len(t.nodes) <= NODES_SHOWN and len(t.stops) <= COLUMNS_SHOWN] or mixed

    def merit(tree: TrajectoryTree) -> tuple[int, int, str]:
        return -len(gaps(tree, minimum_gap=minimum_gap, aggregate=aggregate)), len(tree.nodes), tree.task_id

    return min(fitting, key=merit, default=None)


def path_nodes(tree: TrajectoryTree, path: DemonstrationPath) -> frozenset[int]:
    """Numbers of the nodes that an extracted path e* runs through, as far as its words can be followed in the tree."""
    found = followed(tree, path.messages)
    if len(found) <= len(path.messages) // 2:
        return frozenset(found)
    return frozenset(found) | {child for child in tree.nodes[found[-1]].children if tree.nodes[child].stop}


def gaps(tree: TrajectoryTree, *, minimum_gap: float, aggregate: Aggregate) -> dict[int, float]:
    """Largest gap in G at each node after which ways part that differ in it (section 3.2)."""
    found: dict[int, float] = {}
    for divergence in informative(tree, minimum_gap=minimum_gap, aggregate=aggregate):
        found[divergence.parent] = max(divergence.gap, found.get(divergence.parent, 0.0))
    return found


def parted(text: str) -> str:
    """A page of WebShop with a line for each of its parts; any other text as it is."""
    if SEPARATOR not in text:
        return text
    return "\n".join(part for part in map(str.strip, text.split(SEPARATOR)) if part)


def escape(text: str) -> str:
    """Text for SVG: a model may generate control characters, which XML has no way to write."""
    return escape_html(text.translate(_NOT_XML))


@dataclass(frozen=True, slots=True)
class _Place:
    """Centre of a node, pixels."""

    x: float
    y: float


def _layout(tree: TrajectoryTree) -> dict[int, _Place]:
    """A row per step, a column per stop leaf. A node stands above its most travelled child, so trunks run straight."""
    places: dict[int, _Place] = {}
    columns = 0

    def place(number: int) -> None:
        nonlocal columns
        node = tree.nodes[number]
        row = node.depth + node.stop
        if not node.children:
            places[number] = _Place(MARGIN + columns * COLUMN, MARGIN + row * ROW)
            columns += 1
            return
        ordered = sorted(node.children, key=lambda child: (tree.nodes[child].stop, -tree.nodes[child].visits, child))
        for child in ordered:
            place(child)
        places[number] = _Place(places[ordered[0]].x, MARGIN + row * ROW)

    place(ROOT)
    return places


def tree_svg(
    tree: TrajectoryTree,
    *,
    path: frozenset[int] = frozenset(),
    minimum_gap: float = 0.0,
    aggregate: Aggregate = "mean",
) -> str:
    """The tree as one <svg> element; `path` are the nodes of e* (`path_nodes`).

    Edges: width by the number of samples, colour by the mean G below, from red (0) to green (1). Stop leaves: a green
    disc for G = 1, a red square else. A diamond marks a node after which outcomes part, as pairs are made.
    """
    places = _layout(tree)
    marked = gaps(tree, minimum_gap=minimum_gap, aggregate=aggregate)
    width = max(p.x for p in places.values()) + COLUMN
    height = max(p.y for p in places.values()) + MARGIN
    edges = [_edge(tree, number, places) for number in range(1, len(tree.nodes))]
    halo = [
        f'<path class="halo" d="{_curve(places[tree.nodes[number].parent], places[number])}"/>'
        for number in sorted(path - {ROOT})
    ]
    marks = [_mark(tree, number, places[number], gap=marked.get(number)) for number in range(len(tree.nodes))]
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    font = 'font-family="sans-serif" font-size="11"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="tree" {size} role="img" {font}>'
    place = f"{environment_label(tree.environment)} task {escape(tree.task_id)}"
    samples = f"{len(tree.trajectories)} samples, {sum(t.success for t in tree.trajectories)} of them successes"
    title = f"<title>Trajectory tree of {place}: {samples}</title>"
    style = (
        "<style>.tree text{fill:currentColor}.tree path{fill:none;stroke-linecap:round}"
        ".tree .halo{stroke:#56b4e9;stroke-opacity:.45;stroke-width:17}</style>"
    )
    return "\n".join([head, title, style, *halo, *edges, *marks, "</svg>"])


def _edge(tree: TrajectoryTree, number: int, places: Mapping[int, _Place]) -> str:
    node = tree.nodes[number]
    curve = _curve(places[node.parent], places[number])
    weight = 1.0 + 9.0 * node.visits / len(tree.trajectories)
    return f'<path d="{curve}" stroke="{_colour(fmean(tree.scores(number)))}" stroke-width="{weight:.1f}"/>'


def _curve(start: _Place, end: _Place) -> str:
    """A way that crosses to its column half-way between two rows, clear of the labels, and then runs straight down."""
    if start.x == end.x:
        return f"M{start.x:g} {start.y:g}V{end.y:g}"
    first, second, below = (start.y + share * ROW for share in (0.6, 0.3, 1.0))
    return f"M{start.x:g} {start.y:g}C{start.x:g} {first:g} {end.x:g} {second:g} {end.x:g} {below:g}V{end.y:g}"


def _colour(score: float) -> str:
    """Red at 0, amber at 0.5, green at 1; the lightness differs too."""
    low, high, share = (_FAILURE, _MIDDLE, 2 * score) if score < 0.5 else (_MIDDLE, _SUCCESS, 2 * score - 1)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(low, high, strict=True))


def _mark(tree: TrajectoryTree, number: int, place: _Place, *, gap: float | None) -> str:
    """Symbol, label and hover text of one node."""
    node, score = tree.nodes[number], fmean(tree.scores(number))
    x, y, colour = place.x, place.y, _colour(score)
    if node.stop:
        success = score >= 1.0
        shape = (
            f'<circle cx="{x:g}" cy="{y:g}" r="8" fill="{colour}"/>'
            if success
            else f'<rect x="{x - 7:g}" y="{y - 7:g}" width="14" height="14" fill="{colour}"/>'
        )
        sign = f'<text x="{x:g}" y="{y + 4:g}" text-anchor="middle" style="fill:#fff">{"✓" if success else "✕"}</text>'
        name = f"{'success' if success else 'failure' if score == 0 else f'G = {score:.2f}'} ×{node.visits}"
        return _group(shape + sign, name, hover=_hover(tree, number), x=x + 13, y=y, bold=True)
    if gap is None:
        shape = f'<circle cx="{x:g}" cy="{y:g}" r="5" fill="{colour}" stroke="#fff"/>'
    else:
        shape = f'<path d="M{x:g} {y - 9:g}l9 9l-9 9l-9 -9z" style="fill:#f0e442;stroke:#222;stroke-width:1.5"/>'
    lines = ["task"] if number == ROOT else label_lines(tree, number)
    return _group(shape, *lines, hover=_hover(tree, number, gap=gap), x=x + 13, y=y, bold=gap is not None)


def _group(shape: str, *lines: str, hover: str, x: float, y: float, bold: bool) -> str:
    weight = ' font-weight="bold"' if bold else ""
    first = y + 4 - LINE / 2 * (len(lines) - 1)
    texts = [f'<tspan x="{x:g}" y="{first + LINE * n:g}">{escape(line)}</tspan>' for n, line in enumerate(lines)]
    return f"<g><title>{escape(hover)}</title>{shape}<text{weight}>{''.join(texts)}</text></g>"


def label_lines(tree: TrajectoryTree, number: int) -> list[str]:
    """A node's action in at most LINES lines; a longer one with the part that tells it from its siblings."""
    siblings = [n for n in tree.nodes[tree.nodes[number].parent].children if n != number and not tree.nodes[n].stop]
    return _shortened(_words(tree.step(number)), beside=[_words(tree.step(sibling)) for sibling in siblings])


def _words(step: Step) -> str:
    return " ".join(parted(step.action).split()) if step.valid else "(no action)"


def _shortened(text: str, *, beside: Sequence[str]) -> list[str]:
    lines = textwrap.wrap(text, CHARACTERS, break_on_hyphens=False)
    if len(lines) <= LINES:
        return lines
    shared = max((_shared(text, other) for other in beside if other != text), default=0)
    start = min(text.rfind(" ", 0, shared + 1) + 1, len(text) - LINES * CHARACTERS // 2)
    if start > HEAD:
        text = f"{text[:HEAD].rstrip()}… {text[start:].lstrip()}"
    return textwrap.wrap(text, CHARACTERS, break_on_hyphens=False, max_lines=LINES, placeholder="…")


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in same)


def _hover(tree: TrajectoryTree, number: int, *, gap: float | None = None) -> str:
    node = tree.nodes[number]
    lines = [f"{node.visits} of {len(tree.trajectories)} samples, mean score below {fmean(tree.scores(number)):.2f}"]
    if gap is not None:
        lines.append(f"Here outcomes part: the best way scores {gap:.2f} more than the worst.")
    if node.depth and not node.stop:
        step = tree.step(number)
        lines += [f"Observation: {step.observation}", f"Thought: {step.thought}", f"Action: {step.action}"]
    elif not node.stop:
        lines.append(tree.trajectories[0].steps[0].observation)
    return parted("\n".join(lines))


def episodes_side_by_side(episodes: Sequence[Episode], *, split: str) -> list[Episode]:
    """One episode per model on the task where the models' scores differ most, in the order of Table 1.

    Only tasks of `split`, and the first seed of each model. Of equal tasks the one with the fewest steps in all wins,
    then the first by id: the choice does not look at who won. Empty where the scores differ nowhere.
    """
    first = {model: min(e.seed for e in episodes if e.model == model) for model in {e.model for e in episodes}}
    tasks: dict[tuple[str, str], list[Episode]] = {}
    for episode in episodes:
        if episode.split == split and episode.seed == first[episode.model]:
            tasks.setdefault((episode.trajectory.environment, episode.trajectory.task_id), []).append(episode)

    def merit(key: tuple[str, str]) -> tuple[float, int, tuple[str, str]]:
        trajectories = [episode.trajectory for episode in tasks[key]]
        return -pvariance(t.score for t in trajectories), sum(len(t.steps) for t in trajectories), key

    candidates = [key for key in tasks if len({episode.trajectory.score for episode in tasks[key]}) > 1]
    if not candidates:
        return []
    chosen = tasks[min(candidates, key=merit)]
    order = in_table_order(episode.model for episode in chosen)
    return sorted(chosen, key=lambda episode: order.index(episode.model))
